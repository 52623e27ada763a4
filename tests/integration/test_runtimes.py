"""Functions in other languages than Python, by AWS's public clients, unchanged, in both kinds of sandboxes.

Some of them take more than two seconds: a timeout is a whole number of seconds, and a Java starts slowly.
"""

from __future__ import annotations

import http.client
import itertools
import json
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from emulator import Emulator, Function, returning
from emulator.embedded import DeployedFunction
from emulator.errors import ConfigurationError, EmulatorError, RuntimeNotFoundError
from emulator.runtimes import RuntimeKind
from tests.conformance.kinds import KINDS
from tests.integration.conftest import FUNCTIONS
from tests.needs import need_engine, need_program, need_runtime

CODE = FUNCTIONS / "runtimes"
OF_PYTHON = {"PYTHONPATH", "LAMBDA_FREEZER_ORIGINS", "LAMBDA_FREEZER_CLIENT"}


@dataclass(frozen=True)
class Language:
    """How the same function is said in a language.

    Attributes:
        timeout: seconds that the test of timeouts gives it; the runtime starts anew within them, too.
        failure: what a failure says to the client, without where it happened.
        trace: the member that says where.
    """

    kind: RuntimeKind
    runtime: str
    handler: str
    timeout: int
    failure: dict[str, str]
    trace: str = ""
    environment: dict[str, str] = field(default_factory=dict)


NODEJS = Language(
    RuntimeKind.NODEJS,
    "nodejs20.x",
    "index.handler",
    timeout=3,
    failure={"errorType": "RangeError", "errorMessage": "not today"},
    trace="trace",
)
JAVA = Language(
    RuntimeKind.JAVA,
    "java17",
    "shop.Shop::handle",
    timeout=6,
    failure={"errorType": "java.lang.IllegalStateException", "errorMessage": "not today"},
    trace="stackTrace",
)
SHELL = Language(
    RuntimeKind.PROVIDED,
    "provided.al2023",
    "anything",
    timeout=3,
    failure={"errorType": "Shop.Closed", "errorMessage": "not today"},
)
LANGUAGES = [NODEJS, JAVA, SHELL]
Deploy = Callable[..., DeployedFunction]


class Workshop:
    """One emulator of a kind, and the packages of the languages, made when they are asked for."""

    def __init__(self, emulator: Emulator, kind: str, folder: Path) -> None:
        self.emulator, self.kind, self._folder = emulator, kind, folder
        self._deployed: dict[str, DeployedFunction] = {}
        self._numbers = itertools.count(1)
        self.greeting = b""
        """A class that the package of Java does not have."""

    def need(self, language: Language) -> None:
        need_runtime(language.kind, self.kind)
        if language is JAVA:
            need_program("javac", "default-jdk-headless")
        if language is SHELL and self.kind == "process":
            need_program("curl", "curl")

    def package(self, language: Language) -> Path:
        """The language's function, with a wrapper beside it."""
        place = self._folder / language.kind
        if not place.exists():
            if language is JAVA:
                # The compiler takes a second to start, so what belongs into a layer comes along.
                sources = sorted((CODE / "java").glob("*.java"))
                subprocess.run(["javac", "-d", place, *sources], check=True, timeout=60)
                self.greeting = (place / "greeting" / "Greeting.class").read_bytes()
                shutil.rmtree(place / "greeting")
            else:
                shutil.copytree(CODE / ("shell" if language is SHELL else "nodejs"), place)
            shutil.copy(CODE / "wrapper", place / "wrapper")
        return place

    def function(self, language: Language) -> DeployedFunction:
        """The one that tests share, with a wrapper and origins, which are for Python alone."""
        self.need(language)
        if language.kind not in self._deployed:
            self._deployed[language.kind] = self.deploy(
                language, environment={"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/wrapper"}
            )
        return self._deployed[language.kind]

    def deploy(self, language: Language, **settings: Any) -> DeployedFunction:
        """A function of its own; what the settings do not say is the language's."""
        chosen = {
            "name": f"{language.kind}-{next(self._numbers)}",
            "code": self.package(language) if "code" not in settings else None,
            "handler": language.handler,
            "runtime": language.runtime,
            "timeout": 20,
            "memory": 512,
        }
        return self.emulator.add(Function(**(chosen | settings)))


@pytest.fixture(scope="module", params=KINDS)
def workshop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    if request.param == "container":
        need_engine()
    folder = tmp_path_factory.mktemp("packages")
    folder.chmod(0o755)
    own = {"command": ["/bin/sh", "$LAMBDA_TASK_ROOT/bootstrap"], "image": "lambda-freezer/provided:al2023"}
    settings = {
        "emulator": {"sandbox": request.param, "origins": True},
        "database": {"server": "none"},
        "runtimes": {"own": own, "other": {"command": ["no-such-program"]}},
    }
    with Emulator(settings) as emulator:
        yield Workshop(emulator, request.param, folder)


@pytest.fixture(params=LANGUAGES, ids=lambda language: str(language.kind))
def language(request: pytest.FixtureRequest) -> Language:
    found: Language = request.param
    return found


def count(function: DeployedFunction) -> int:
    """How many times this runtime has been asked that."""
    answer = function.invoke({"do": "count"})
    assert answer.function_error is None, answer.payload
    number: int = answer.payload["count"]
    return number


# -- the life of an environment ------------------------------------------------------------------------------------


def test_a_runtime_lives_from_one_invocation_to_the_next(workshop: Workshop, language: Language) -> None:
    """Its memory stays, and it is frozen between them."""
    function = workshop.function(language)
    function.recycle()
    first = function.invoke({"do": "count"})
    assert (first.payload, first.cold_start) == ({"count": 1}, True)
    assert [environment.state for environment in function.environments()] == ["frozen"]
    second = function.invoke({"do": "count"})
    assert (second.payload, second.cold_start) == ({"count": 2}, False)
    assert second.environment_id == first.environment_id


def test_what_it_writes_is_in_the_log(workshop: Workshop, language: Language) -> None:
    """Between START and END."""
    logs = workshop.function(language).invoke({"do": "say", "text": "good morning"}).logs
    start, said, end = (logs.index(word) for word in ("START", "good morning", "END"))
    assert start < said < end


def test_a_failure_is_told_in_its_clients_words(workshop: Workshop, language: Language) -> None:
    """With the member in which each client says where; the runtime goes on with what it has in memory."""
    function = workshop.function(language)
    before = count(function)
    answer = function.invoke({"do": "fail"})
    assert answer.function_error == "Unhandled"
    where = answer.payload.pop(language.trace, None)
    assert answer.payload == language.failure
    assert (where is not None) == bool(language.trace)
    assert count(function) == before + 1


def test_a_runtime_that_ends_is_started_anew(workshop: Workshop, language: Language) -> None:
    """The client hears how it ended; the next one is served by another process in the same environment."""
    function = workshop.function(language)
    count(function)
    answer = function.invoke({"do": "exit"})
    assert answer.payload["errorType"] == "Runtime.ExitError"
    assert answer.payload["errorMessage"].endswith("Error: Runtime exited with error: exit status 3")
    assert count(function) == 1


def test_a_runtime_that_takes_too_long_is_started_anew(workshop: Workshop, language: Language) -> None:
    """After the function's timeout, whatever it was doing."""
    workshop.need(language)
    function = workshop.deploy(language, timeout=language.timeout)
    answer = function.invoke({"do": "sleep"})
    assert answer.payload["errorType"] == "Sandbox.Timedout"
    assert answer.payload["errorMessage"].endswith(f"Task timed out after {language.timeout}.00 seconds")
    assert count(function) == 1


# -- surroundings ------------------------------------------------------------------------------------------------


def test_it_has_the_variables_of_its_language(workshop: Workshop, language: Language) -> None:
    """And none of Python's. A wrapper is a matter of the runtimes that are AWS's [D]."""
    found = workshop.function(language).invoke({"do": "variables"}).payload
    assert found.keys().isdisjoint(OF_PYTHON)
    assert found["_HANDLER"] == language.handler
    if language is SHELL:
        assert found.keys().isdisjoint({"AWS_EXECUTION_ENV", "WRAPPED"})
    else:
        assert (found["AWS_EXECUTION_ENV"], found["WRAPPED"]) == (f"AWS_Lambda_{language.runtime}", "yes")
    code = "/var/task" if workshop.kind == "container" else str(workshop.package(language))
    assert code in found["LD_LIBRARY_PATH"].split(":")
    if language is JAVA and workshop.kind == "process":  # what all would share under one name
        (environment,) = workshop.function(language).environments()
        maps = Path(f"/proc/{environment.sandbox.pid}/maps").read_text()
        assert "/client.so" in maps
        assert "/tmp/." not in maps
    if language is NODEJS:
        assert found["NODE_PATH"].split(":")[-1] == code


def test_it_finds_what_layers_bring(workshop: Workshop, language: Language, tmp_path: Path) -> None:
    """Where each language looks for it on Lambda: a module, an archive of classes, a program."""
    workshop.need(language)
    layer, wanted = tmp_path / "layer", "greeting"
    if language is NODEJS:
        module = layer / "nodejs" / "node_modules" / "greeting"
        module.mkdir(parents=True)
        (module / "index.js").write_text('module.exports = "hello";\n')
    elif language is JAVA:
        wanted = "greeting.Greeting"
        (layer / "java" / "lib").mkdir(parents=True)
        workshop.package(language)
        with zipfile.ZipFile(layer / "java" / "lib" / "greeting.jar", "w") as archive:
            archive.writestr("greeting/Greeting.class", workshop.greeting)
    else:
        program = layer / "bin" / "greeting"
        program.parent.mkdir(parents=True)
        program.write_text("#!/bin/sh\necho hello\n")
        program.chmod(0o755)
    function = workshop.deploy(language, layers=[layer])
    assert function.invoke({"do": "load", "module": wanted}).payload == "hello"
    function.recycle()


def test_node_streams_a_response(workshop: Workshop) -> None:
    """Piece by piece, in the words of its client; what fails on the way is told behind the pieces."""
    workshop.need(NODEJS)
    function = workshop.deploy(NODEJS, handler="index.stream")
    assert list(function.invoke_stream({"pieces": ["one ", "two ", "three"]})) == [b"one ", b"two ", b"three"]
    pieces = function.invoke_stream({"pieces": ["one"], "fail": True})
    assert next(pieces) == b"one"
    with pytest.raises(EmulatorError, match="not to the end"):
        next(pieces)
    function.recycle()


def test_a_script_streams_a_response(workshop: Workshop) -> None:
    """Any client of HTTP can that sends its body in chunks; curl waits to be told to continue before it does."""
    function = workshop.function(SHELL)
    assert list(function.invoke_stream({"do": "stream"})) == [b"one ", b"two ", b"three"]
    assert function.invoke({"do": "count"}).function_error is None


def test_a_client_that_is_quicker_than_the_runtime_meets_the_same_environment(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script takes its time from its answer to its next call; events one after the other are one environment's."""
    monkeypatch.setattr(returning, "_PATIENCE", 30.0)
    workshop.need(SHELL)
    function = workshop.deploy(SHELL)
    path = f"/2015-03-31/functions/{function.name}/invocations"
    place = urlsplit(workshop.emulator.endpoint_url).netloc
    with closing(http.client.HTTPConnection(place, timeout=30)) as connection:
        answers = []
        for _ in range(10):
            connection.request("POST", path, b'{"do": "count"}')
            answers.append(json.loads(connection.getresponse().read()))
    assert answers == [{"count": number} for number in range(1, 11)]


def test_a_runtime_that_is_an_extension_hears_of_the_end(workshop: Workshop) -> None:
    """Registered from within and for nothing, as by the libraries of Go and Rust; for the end it may not."""
    workshop.need(SHELL)
    function = workshop.deploy(SHELL, code=CODE / "graceful")
    function.invoke()
    function.recycle()
    logs = function.logs()
    assert "for the end: 403, for nothing: 200\n" in logs
    assert "EXTENSION\tName: no-op\tState: Ready\tEvents: []\n" in logs
    assert logs.endswith("asked to end\n")


# -- what cannot be started ----------------------------------------------------------------------------------------


def test_a_program_that_cannot_be_executed_is_told_in_the_words_of_aws(workshop: Workshop, tmp_path: Path) -> None:
    """Both inits fail; nothing runs, and the environment is like any other."""
    workshop.need(SHELL)
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "something").touch()
    trouble = "fork/exec /var/task/bootstrap: "
    cases: list[tuple[str | None, int, str]] = [
        (None, 0, "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"),
        ("#!/bin/sh\n", 0o644, f"{trouble}permission denied"),
        ("echo hello\n", 0o755, f"{trouble}exec format error"),
    ]
    for content, mode, words in cases:
        if content is not None:
            (folder / "bootstrap").write_text(content)
            (folder / "bootstrap").chmod(mode)
        function = workshop.deploy(SHELL, code=folder)
        answer = function.invoke()
        assert answer.payload["errorType"] == "Runtime.InvalidEntrypoint"
        assert answer.payload["errorMessage"] == f"RequestId: {answer.request_id} Error: {words}"
        assert answer.logs.count("Status: error\tError Type: Runtime.InvalidEntrypoint") == 3
        assert [environment.state for environment in function.environments()] == ["frozen"]
        function.recycle()


def test_a_runtime_of_the_configuration_runs(workshop: Workshop) -> None:
    """By its command as a process, by its image in a container."""
    workshop.need(SHELL)
    function = workshop.deploy(SHELL, runtime="own")
    assert count(function) == 1
    function.recycle()


def test_what_cannot_run_is_refused_at_deployment(workshop: Workshop) -> None:
    """With one sentence that says what is missing, and what there is."""
    with pytest.raises(ConfigurationError, match="there is no runtime 'cobol'"):
        workshop.deploy(SHELL, runtime="cobol")
    if workshop.kind == "process":
        with pytest.raises(RuntimeNotFoundError, match="needs the program no-such-program, which is not in PATH"):
            workshop.deploy(SHELL, runtime="other")
        with pytest.raises(RuntimeNotFoundError, match=r"there is no command for a process of the runtime ruby3\.4"):
            workshop.deploy(SHELL, runtime="ruby3.4")
        with pytest.raises(RuntimeNotFoundError, match="an image runs in a container"):
            workshop.emulator.add(Function(name="image", image="something"))


# -- images --------------------------------------------------------------------------------------------------------

IN_CONTAINERS = pytest.mark.parametrize("workshop", KINDS[1:], indirect=True)

# Its entry point is as in many images: without the variable it would start an emulator of its own, and hang.
_DOCKERFILE = """
FROM {base}
COPY entry.py /srv/entry.py
COPY app.py /srv/app.py
WORKDIR /srv
ENTRYPOINT ["/srv/entry.py", "-m", "awslambdaric"]
CMD ["app.told"]
"""
_ENTRY = """#!/var/lang/bin/python3
import os, sys, time

if "AWS_LAMBDA_RUNTIME_API" not in os.environ:
    time.sleep(3600)
os.environ["STEPPED_ASIDE"] = "yes"
os.environ["PYTHONPATH"] = os.getcwd() + ":/var/runtime"
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
_APP = """
import os

def told(event, context):
    return {"called": "told", "folder": os.getcwd(), "variables": dict(os.environ)}

def other(event, context):
    return {"called": "other", "folder": os.getcwd()}
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A function that is an image, made from the stand-in for AWS's base image of Python."""
    need_runtime(RuntimeKind.PYTHON, "container")
    listed = subprocess.run(
        ["docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "lambda-freezer/python"],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    folder, name = tmp_path_factory.mktemp("image"), "lambda-freezer-test/function:1"
    (folder / "Dockerfile").write_text(_DOCKERFILE.format(base=listed.stdout.split()[0]))
    (folder / "app.py").write_text(_APP)
    (folder / "entry.py").write_text(_ENTRY)
    (folder / "entry.py").chmod(0o755)
    (folder / "app.py").chmod(0o644)
    subprocess.run(["docker", "build", "--quiet", "--tag", name, folder], capture_output=True, timeout=60, check=True)
    yield name
    subprocess.run(["docker", "image", "rm", "--force", name], capture_output=True, timeout=60, check=False)


@IN_CONTAINERS
def test_an_image_is_a_function(workshop: Workshop, image: str) -> None:
    """It needs no code, and what it has of its own interface emulator stays out of the way."""
    function = workshop.emulator.add(Function(name="image", image=image, memory=256))
    answer = function.invoke()
    found = answer.payload["variables"]
    assert (answer.payload["called"], answer.payload["folder"]) == ("told", "/srv")
    assert (found["STEPPED_ASIDE"], found["AWS_EXECUTION_ENV"], found["_HANDLER"]) == (
        "yes",
        "AWS_Lambda_Image",
        "app.told",
    )
    assert "sitecustomize" not in json.dumps(found)
    assert "INIT_START" not in function.logs()
    function.recycle()


@IN_CONTAINERS
def test_what_an_image_runs_can_be_said_otherwise(workshop: Workshop, image: str) -> None:
    """Entry point, command and working directory, each for itself, as AWS's ImageConfig does."""
    function = workshop.emulator.add(
        Function(
            name="overrides",
            image=image,
            entry_point=["/usr/bin/env", "PYTHONPATH=/srv:/var/runtime", "/var/lang/bin/python3", "-m", "awslambdaric"],
            command=["app.other"],
            working_directory="/tmp",
            memory=256,
        )
    )
    assert function.invoke().payload == {"called": "other", "folder": "/tmp"}
    function.recycle()


# What many images of Go and Rust are: a program that is linked statically, and nothing else, no shell either.
_BARE = """
FROM scratch
COPY bare /bare
COPY script /script
ENTRYPOINT ["/bare"]
CMD ["told"]
"""


@pytest.fixture(scope="module")
def bare_image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One made ``FROM scratch``, with a script besides whose interpreter is not there."""
    need_engine()
    need_program("gcc", "gcc")
    folder, name = tmp_path_factory.mktemp("bare"), "lambda-freezer-test/bare:1"
    source = CODE / "bare" / "bare.c"
    subprocess.run(["gcc", "-O1", "-static", "-o", folder / "bare", source], check=True, timeout=60)
    (folder / "script").write_text("#!/no/such\n")
    (folder / "script").chmod(0o755)
    (folder / "Dockerfile").write_text(_BARE)
    subprocess.run(["docker", "build", "--quiet", "--tag", name, folder], capture_output=True, timeout=60, check=True)
    yield name
    subprocess.run(["docker", "image", "rm", "--force", name], capture_output=True, timeout=60, check=False)


@IN_CONTAINERS
def test_an_image_without_a_shell_is_a_function(workshop: Workshop, bare_image: str) -> None:
    """It lives, fails, is too slow and is started anew like any other, and its end is heard of by nobody else."""
    function = workshop.emulator.add(Function(name="bare", image=bare_image, timeout=1))
    assert [function.invoke().payload for _ in range(2)] == [{"told": 1}, {"told": 2}]
    assert function.invoke({"do": "exit"}).payload["errorMessage"].endswith("exited with error: exit status 3")
    assert function.invoke().payload == {"told": 1}
    assert function.invoke({"do": "sleep"}).payload["errorType"] == "Sandbox.Timedout"
    assert function.invoke().payload == {"told": 1}
    function.recycle()


@IN_CONTAINERS
def test_what_the_kernel_refuses_in_an_image_is_told_in_the_words_of_aws(workshop: Workshop, bare_image: str) -> None:
    """As what is seen to be missing is."""
    function = workshop.emulator.add(Function(name="bare-broken", image=bare_image, entry_point=["/script"]))
    answer = function.invoke()
    assert answer.payload["errorType"] == "Runtime.InvalidEntrypoint"
    assert answer.payload["errorMessage"].endswith("Error: fork/exec /script: no such file or directory")
    function.recycle()


@IN_CONTAINERS
@pytest.mark.parametrize(
    ("settings", "error_type", "words"),
    [
        ({"entry_point": ["/no/such"]}, "InvalidEntrypoint", "fork/exec /no/such: no such file or directory"),
        ({"entry_point": ["none"]}, "InvalidEntrypoint", 'exec: "none": executable file not found in $PATH'),
        ({"entry_point": ["/etc/passwd"]}, "InvalidEntrypoint", "fork/exec /etc/passwd: permission denied"),
        ({"working_directory": "/no"}, "InvalidWorkingDir", "the working directory doesn't exist: /no"),
    ],
    ids=["missing", "not in PATH", "forbidden", "folder"],
)
def test_an_image_that_cannot_be_started_says_why(
    workshop: Workshop, image: str, settings: dict[str, Any], error_type: str, words: str
) -> None:
    """In the words of AWS, to the client."""
    function = workshop.emulator.add(Function(name="broken", image=image, **settings))
    answer = function.invoke()
    assert answer.payload == {
        "errorType": f"Runtime.{error_type}",
        "errorMessage": f"RequestId: {answer.request_id} Error: {words}",
    }
    function.recycle()
