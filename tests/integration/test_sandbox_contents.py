"""What functions and extensions find in a sandbox of either kind, and how a sandbox keeps several processes.

The sandboxes of the second half are driven directly, with a script in the runtime's place (a wrapper, as Lambda has
them); so what is told of starts, outputs and ends can be seen without anybody who acts on it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import textwrap
import zipfile
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import psutil
import pytest

from emulator import Emulator, Function
from emulator.clock import SystemClock
from emulator.doctor import examine
from emulator.errors import CodeError, FreezeError, SandboxError
from emulator.model import KEEPALIVE, EnvironmentId
from emulator.sandbox.base import ExitStatus, Sandbox, SandboxProvider, SandboxSpec
from emulator.sandbox.cgroup import Group, Place
from emulator.sandbox.container import ContainerProvider, ContainerSandbox
from emulator.sandbox.engine import Engine
from emulator.sandbox.held import HeldSockets
from emulator.sandbox.instance import Instance
from emulator.sandbox.process import ProcessProvider
from emulator.sandbox.warden import Warden
from emulator.variables import lambda_variables
from tests.integration.conftest import Deploy
from tests.needs import need_engine
from tests.support import eventually
from tests.unit.sandbox.busy import is_alive

IMAGE = "lambda-freezer/python:3.11"
IN_CONTAINERS = pytest.mark.parametrize(
    "emulator", [pytest.param("container", marks=pytest.mark.container)], indirect=True
)
"""For what processes have of the host, where there is nothing to look at."""

# -- what a function finds -------------------------------------------------------------------------------------

LOOKING = """
import os, resource, socket, stat, subprocess, sys

TRACE_OF_INIT = os.environ["_X_AMZN_TRACE_ID"]

def handler(event, context):
    return globals()[event](context)

def variables(context):
    return dict(os.environ)

def files(context):
    paths = ["/", "/opt", "/var/task", "/var/runtime", "/var/lang", "/lambda-entrypoint.sh", "/tmp"]
    return {path: [stat.S_IMODE(os.stat(path).st_mode), os.stat(path).st_uid] for path in paths}

def traced(context):
    return TRACE_OF_INIT

def limits(context):
    names = [name for name in dir(resource) if name.startswith("RLIMIT_")]
    return {name[7:]: resource.getrlimit(getattr(resource, name)) for name in names}

def identity(context):
    return subprocess.run(["id"], capture_output=True, text=True, check=True).stdout.strip()

def own_names(context):
    return [socket.gethostbyname(name) for name in ("sandbox", "sandbox.localdomain")]

def writable(context):
    found = []
    for folder in ("/", "/opt", "/var/task", "/var/runtime", "/usr", "/etc", "/tmp", "/var/tmp"):
        try:
            open(os.path.join(folder, "trial"), "w").close()
        except OSError:
            continue
        found.append(folder)
    return found

def curl(context):
    command = ["curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}"]
    url = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/ping"
    return subprocess.run([*command, url], capture_output=True, text=True, check=True).stdout

def orphans(context):
    for _ in range(5):
        subprocess.run(["sh", "-c", "sleep 0 &"], check=True)
    return context.aws_request_id

def from_layers(context):
    import both, only_first, only_second
    tool = subprocess.run(["tool"], capture_output=True, text=True, check=True).stdout.strip()
    return [both.NAME, only_first.NAME, only_second.NAME, tool, os.environ.get("LAMBDA_FREEZER_OPT")]
"""


def package(folder: Path, source: str = LOOKING) -> Path:
    """A deployment package with this source as its module."""
    code = folder / "code"
    code.mkdir()
    code.chmod(0o755)
    (code / "app.py").write_text(textwrap.dedent(source))
    return code


def layer_with(path: Path, **files: str) -> Path:
    """A layer as a folder; what begins with ``#!`` can be executed, double underscores in names are slashes."""
    for name, content in files.items():
        file = path / name.replace("__", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        file.chmod(0o755 if content.startswith("#!") else 0o644)
    for folder in (path, *path.rglob("*")):
        if folder.is_dir():
            folder.chmod(0o755)
    return path


def test_variables(emulator: Emulator, deploy: Deploy, tmp_path: Path) -> None:
    """Every variable that was recorded in a function without tracing, with its value; none that engines add."""
    function = deploy(code=package(tmp_path))
    traced = function.invoke("traced").payload
    assert re.fullmatch(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0", traced)
    found = function.invoke("variables").payload
    assert found["AWS_XRAY_DAEMON_ADDRESS"] == "169.254.100.1:2000"
    assert found["_AWS_XRAY_DAEMON_ADDRESS"] == "169.254.100.1"
    assert found["_AWS_XRAY_DAEMON_PORT"] == "2000"
    assert found["AWS_XRAY_CONTEXT_MISSING"] == "LOG_ERROR"
    assert found["AWS_LAMBDA_METADATA_API"] == found["AWS_LAMBDA_RUNTIME_API"]
    assert found["TZ"] == ":UTC"
    assert found["SHLVL"] == "0"
    assert found["_HANDLER"] == "app.handler"
    assert found["PWD"] == found["LAMBDA_TASK_ROOT"]
    assert found.keys().isdisjoint({"HOME", "HOSTNAME", "AWS_LAMBDA_LOG_FORMAT", "LAMBDA_FREEZER_OPT"})
    if emulator.status().sandbox == "container":
        assert found["LANG"] == "en_US.UTF-8"
        assert found["LC_CTYPE"] == "C.UTF-8"
        assert found["PATH"] == "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin"
        assert found["LD_LIBRARY_PATH"] == (
            "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib"
        )
        assert found["PYTHONPATH"] == found["LAMBDA_RUNTIME_DIR"] == "/var/runtime"
        assert found["PWD"] == "/var/task"


def test_variables_that_users_may_change(deploy: Deploy, tmp_path: Path) -> None:
    """Time zone, search path and the names of our own shell's variables are the user's if they say so."""
    own = {"TZ": "Europe/Berlin", "PATH": "/opt/mine:/usr/bin:/bin", "HOME": "/srv", "line": "kept", "name": "kept"}
    found = deploy(code=package(tmp_path), environment=own).invoke("variables").payload
    assert {name: found[name] for name in own} == own


@IN_CONTAINERS
def test_files_user_and_limits(emulator: Emulator, deploy: Deploy, tmp_path: Path) -> None:
    """As they were recorded: modes and owners, the user, what can be written, the limits of a process."""
    function = deploy(code=package(tmp_path))
    files = function.invoke("files").payload
    assert files["/tmp"][0] == 0o1777
    for path in ("/opt", "/var/task", "/var/runtime", "/var/lang", "/lambda-entrypoint.sh"):
        assert files[path][0] == 0o755, path
    assert function.invoke("identity").payload == "uid=993(sbx_user1051) gid=990(sbx_user1051) groups=990(sbx_user1051)"
    assert function.invoke("writable").payload == ["/tmp"]
    limits = function.invoke("limits").payload
    assert limits["NOFILE"] == [1024, 1024]
    assert limits["CORE"] == [10_737_418_240, 10_737_418_240]
    assert limits["MEMLOCK"] == [65_536, 65_536]
    assert limits["STACK"] == [8_388_608, -1]


@pytest.mark.parametrize("emulator", ["process"], indirect=True)
def test_limits_of_processes(emulator: Emulator, deploy: Deploy, tmp_path: Path) -> None:
    """Those that can be lowered without rights are lowered; nobody else's are touched."""
    limits = deploy(code=package(tmp_path)).invoke("limits").payload
    assert limits["NOFILE"] == [1024, 1024]
    assert limits["MEMLOCK"] == [65_536, 65_536]
    assert limits["STACK"][0] == 8_388_608


@IN_CONTAINERS
def test_an_environment_knows_its_own_names(emulator: Emulator, deploy: Deploy, tmp_path: Path) -> None:
    """Extensions have telemetry sent to ``sandbox.localdomain``: it is the address by which we reach it."""
    function = deploy(code=package(tmp_path))
    first, second = function.invoke("own_names").payload
    assert first == second
    api = function.invoke("variables").payload["AWS_LAMBDA_RUNTIME_API"]
    assert first.split(".")[:2] == api.split(".")[:2]


@IN_CONTAINERS
def test_curl_is_there(emulator: Emulator, deploy: Deploy, tmp_path: Path) -> None:
    """AWS's images have it, and runtimes and extensions that are shell scripts need it."""
    assert deploy(code=package(tmp_path)).invoke("curl").payload == "200"


@IN_CONTAINERS
def test_processes_without_a_parent_leave_nothing_behind(emulator: Emulator, deploy: Deploy, tmp_path: Path) -> None:
    """The first process reaps them: the number of processes is limited, and dead ones would count."""
    function = deploy(code=package(tmp_path))
    function.invoke("orphans")
    (view,) = function.environments()

    def none_is_left() -> bool:
        function.invoke("variables")  # they have time only while the environment is not frozen
        states = [process.status() for process in psutil.Process(view.sandbox.pid).children(recursive=True)]
        return psutil.STATUS_ZOMBIE not in states

    eventually(none_is_left, "the end of the last zombie")


# -- layers and wrappers ---------------------------------------------------------------------------------------


def two_layers(folder: Path) -> list[Path]:
    """A folder, and over it an archive."""
    folder.mkdir(exist_ok=True)
    first = layer_with(
        folder / "first",
        python__only_first="",
        bin__tool="#!/bin/sh\necho first\n",
    )
    (first / "python" / "only_first").rename(first / "python" / "only_first.py")
    (first / "python" / "only_first.py").write_text("NAME = 'first'\n")
    (first / "python" / "both.py").write_text("NAME = 'first'\n")
    with zipfile.ZipFile(folder / "second.zip", "w") as archive:
        for name, mode, content in (
            ("python/both.py", 0o644, "NAME = 'second'\n"),
            ("python/only_second.py", 0o644, "NAME = 'second'\n"),
            ("bin/tool", 0o755, "#!/bin/sh\necho second\n"),
        ):
            entry = zipfile.ZipInfo(name)
            entry.external_attr = mode << 16
            archive.writestr(entry, content)
    return [first, folder / "second.zip"]


def test_layers(emulator: Emulator, deploy: Deploy, tmp_path: Path) -> None:
    """Modules and programs of both are found, and the later one wins; code wins over both."""
    code = package(tmp_path)
    *names, opt = deploy(code=code, layers=two_layers(tmp_path / "layers")).invoke("from_layers").payload
    assert names == ["second", "first", "second", "second"]
    if emulator.status().sandbox == "process":
        assert Path(opt).is_dir()
    else:
        assert opt is None
    (code / "both.py").write_text("NAME = 'code'\n")
    again = deploy(code=code, layers=two_layers(tmp_path / "layers")).invoke("from_layers").payload
    assert again[0] == "code"


def test_a_changed_layer_recycles(emulator: Emulator, deploy: Deploy, tmp_path: Path) -> None:
    """A saved file, and then an archive that was replaced: the next event finds the new layer."""
    layers = two_layers(tmp_path / "layers")
    function = deploy(code=package(tmp_path), layers=layers)
    first = function.invoke("from_layers")
    (layers[0] / "python" / "only_first.py").write_text("NAME = 'the new first'\n")
    ended = emulator.wait_for("environment.shutting-down", environment=first.environment_id)
    assert ended.reason == "its code or a layer changed"
    second = function.invoke("from_layers")
    assert second.payload[:3] == ["second", "the new first", "second"]
    with zipfile.ZipFile(tmp_path / "fresh.zip", "w") as archive:
        for name in ("both", "only_second"):
            archive.writestr(zipfile.ZipInfo(f"python/{name}.py"), "NAME = 'the new second'\n")
            archive.infolist()[-1].external_attr = 0o644 << 16
    (tmp_path / "fresh.zip").rename(layers[1])
    emulator.wait_for("environment.shutting-down", environment=second.environment_id)
    assert function.invoke("from_layers").payload[:3] == ["the new second", "the new first", "the new second"]


def test_a_layer_that_breaks_is_told_and_the_old_one_stays(emulator: Emulator, deploy: Deploy, tmp_path: Path) -> None:
    """Somebody builds a new archive, and has not finished."""
    layers = two_layers(tmp_path / "layers")
    function = deploy(code=package(tmp_path), layers=layers)
    first = function.invoke("from_layers")
    layers[1].write_text("half")
    trouble = emulator.wait_for("function.trouble")
    assert "is no zip archive" in trouble.reason
    second = function.invoke("from_layers")
    assert second.environment_id == first.environment_id
    assert second.payload[0] == "second"


def test_a_layer_that_is_no_archive_is_refused(deploy: Deploy, tmp_path: Path) -> None:
    """When it is deployed, with the cure."""
    (tmp_path / "layer.zip").write_text("x")
    with pytest.raises(CodeError, match="is no zip archive") as caught:
        deploy(code=package(tmp_path), layers=[tmp_path / "layer.zip"])
    assert caught.value.cure


WRAPPER = """\
#!/bin/sh
# As people write them for AWS: options go before the script, which is the last word of the command line.
for last; do :; done
echo "$#" "${last##*/}"
export WRAPPED=yes
exec "$@"
"""


def test_a_wrapper_starts_the_runtime(deploy: Deploy, tmp_path: Path) -> None:
    """It gets the whole command line, and what it sets the function finds; its place is one in ``/opt``."""
    layer = layer_with(tmp_path / "layer", wrapper=WRAPPER)
    function = deploy(code=package(tmp_path), layers=[layer], environment={"AWS_LAMBDA_EXEC_WRAPPER": "/opt/wrapper"})
    result = function.invoke("variables")
    assert result.payload["WRAPPED"] == "yes"
    assert any(line.endswith(".py") and line[0].isdigit() for line in result.logs.splitlines())


def test_a_wrapper_may_be_in_the_code(deploy: Deploy, tmp_path: Path) -> None:
    """Functions without layers bring theirs themselves."""
    code = package(tmp_path)
    layer_with(code, wrapper=WRAPPER)
    function = deploy(code=code, environment={"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/wrapper"})
    assert function.invoke("variables").payload["WRAPPED"] == "yes"


def test_a_missing_wrapper_ends_with_status_127(deploy: Deploy, tmp_path: Path) -> None:
    """As it was recorded on AWS."""
    function = deploy(code=package(tmp_path), environment={"AWS_LAMBDA_EXEC_WRAPPER": "/opt/nowhere"})
    failed = function.invoke("variables")
    assert failed.payload["errorType"] == "Runtime.ExitError"
    assert failed.payload["errorMessage"].endswith("Error: Runtime exited with error: exit status 127")
    assert "/opt/nowhere" in failed.logs or "nowhere: not found" in failed.logs


# -- a sandbox and its processes -------------------------------------------------------------------------------

# In the runtime's place. It says what it is told by signals, and goes on.
RUNTIME = """\
#!/bin/sh
trap 'echo caught; exit 7' TERM
before=$(cat "${TMPDIR:-/tmp}/kept" 2>/dev/null)
echo kept >"${TMPDIR:-/tmp}/kept"
echo "runtime up $before"
while :; do sleep 0.01; done
"""
AGENT = """\
#!/bin/sh
echo "agent up [$_HANDLER$LAMBDA_TASK_ROOT$AWS_EXECUTION_ENV$_AWS_XRAY_DAEMON_PORT] $AWS_LAMBDA_RUNTIME_API $COLOUR"
(while :; do sleep 0.01; done) &
while :; do sleep 0.01; done
"""


class Heard:
    """Who listens to a sandbox."""

    def __init__(self) -> None:
        self.runtime = self.extensions = b""
        self.ends: list[tuple[str, ExitStatus]] = []

    def runtime_wrote(self, output: bytes) -> None:
        self.runtime += output

    def extension_wrote(self, output: bytes) -> None:
        self.extensions += output

    def runtime_exited(self, status: ExitStatus) -> None:
        self.ends.append(("runtime", status))

    def extension_exited(self, name: str, status: ExitStatus) -> None:
        self.ends.append((name, status))

    def connection_told(self, port: int, peer_port: int, place: str) -> None:
        raise AssertionError("nobody has asked for it")

    async def until(self, condition: Callable[[Heard], object], what: str) -> None:
        try:
            async with asyncio.timeout(10):
                while not condition(self):
                    await asyncio.sleep(0.005)
        except TimeoutError:
            raise AssertionError(f"{what}: {self.runtime!r}, {self.extensions!r}, {self.ends}") from None


@contextlib.asynccontextmanager
async def providing(kind: str) -> AsyncIterator[SandboxProvider]:
    """A provider, as an emulator has it: ``container``, or ``process`` with the freezer to use."""
    with Instance() as instance, Warden() as warden:
        warden.keep("folder", folders=[instance.folder])
        if kind == "container":
            need_engine()
            async with (
                asyncio.TaskGroup() as tasks,
                Engine(instance) as engine,
                ContainerProvider(instance, warden, engine, tasks.create_task) as containers,
            ):
                yield containers
        else:
            held = HeldSockets(SystemClock(), KEEPALIVE)
            async with ProcessProvider(instance, warden, held, freezer=kind) as processes:
                yield processes


@contextlib.asynccontextmanager
async def sandbox_of(provider: SandboxProvider, function: Function) -> AsyncIterator[tuple[Sandbox, Heard]]:
    """One that has not started yet; whatever happens, it is stopped."""
    await provider.prepare(function)
    variables = lambda_variables(
        function, region="r", log_stream="s", database={}, metadata_token="t", trace_id="Root=1"
    )
    heard = Heard()
    sandbox = provider.create(SandboxSpec(EnvironmentId(os.urandom(16).hex()), function, variables, 9001), heard)
    try:
        yield sandbox, heard
    finally:
        await sandbox.stop()


KINDS = ["auto", "signals", pytest.param("container", marks=pytest.mark.container)]


def function_with(folder: Path, **extensions: str) -> Function:
    """A function with a script in the runtime's place, and these extensions."""
    layer = layer_with(folder / "layer", runtime=RUNTIME)
    layer_with(layer / "extensions", **extensions)
    code = package(folder)
    return Function(
        name="f",
        code=code,
        memory=512,
        layers=[layer],
        environment={"AWS_LAMBDA_EXEC_WRAPPER": "/opt/runtime", "COLOUR": "blue"},
    )


def drive(kind: str, function: Function, play: Callable[[Sandbox, Heard], Coroutine[Any, Any, None]]) -> None:
    """Play with one sandbox of this kind; afterwards nobody has heard more than while it was played."""

    async def run() -> None:
        async with asyncio.timeout(50), providing(kind) as provider:
            async with sandbox_of(provider, function) as (sandbox, heard):
                await play(sandbox, heard)
                before = list(heard.ends)
            assert heard.ends == before, "an end that was asked for was told"

    asyncio.run(run())


@pytest.mark.parametrize("kind", KINDS)
def test_extensions_start_first(tmp_path: Path, kind: str) -> None:
    """They are known before the start and started by it; the runtime starts when it is told to, beside them."""

    async def play(sandbox: Sandbox, heard: Heard) -> None:
        assert list(sandbox.extensions) == ["agent", "other"]
        await sandbox.start()
        await heard.until(lambda h: h.extensions.count(b"up") == 2, "both extensions run")
        assert heard.runtime == b""
        sandbox.start_runtime()
        await heard.until(lambda h: b"runtime up" in h.runtime, "the runtime runs")
        first, second = heard.extensions.decode().splitlines()
        assert first == second
        seen, api, colour = first.removeprefix("agent up ").split()
        assert (seen, colour) == ("[]", "blue")
        assert api.endswith(":9001")
        assert heard.ends == []
        everything = sandbox.process_ids()
        assert len(everything) >= 5  # the runtime, two extensions, and a child of each
        names = b"".join(Path(f"/proc/{pid}/cmdline").read_bytes() for pid in everything if is_alive(pid))
        assert b"extensions/agent" in names
        assert b"/runtime" in names

    drive(kind, function_with(tmp_path, agent=AGENT, other=AGENT), play)


@pytest.mark.parametrize("kind", KINDS)
def test_without_extensions_the_runtime_starts_at_once(tmp_path: Path, kind: str) -> None:
    """As ever; a layer alone changes nothing."""

    async def play(sandbox: Sandbox, heard: Heard) -> None:
        assert list(sandbox.extensions) == []
        await sandbox.start()
        await heard.until(lambda h: b"runtime up" in h.runtime, "the runtime runs")

    drive(kind, function_with(tmp_path), play)


@pytest.mark.parametrize("kind", KINDS)
def test_signals_reach_whom_they_are_for(tmp_path: Path, kind: str) -> None:
    """The runtime can catch SIGTERM, and an extension is killed alone; each end is told once, the others live on."""

    async def play(sandbox: Sandbox, heard: Heard) -> None:
        await sandbox.start()
        sandbox.start_runtime()
        sandbox.kill_extension("nobody")
        await heard.until(lambda h: h.runtime and h.extensions.count(b"up") == 2, "all run")
        sandbox.signal_runtime(signal.SIGTERM)
        await heard.until(lambda h: h.ends, "the runtime ends")
        assert heard.ends == [("runtime", ExitStatus(code=7))]
        assert b"caught" in heard.runtime
        sandbox.kill_extension("agent")
        await heard.until(lambda h: len(h.ends) == 2, "the extension ends")
        assert heard.ends[1] == ("agent", ExitStatus(signal=9))
        sandbox.signal_runtime(signal.SIGKILL)  # it has ended already
        sandbox.start_runtime()
        await heard.until(lambda h: h.runtime.count(b"up") == 2, "the runtime runs again")
        sandbox.signal_runtime(signal.SIGKILL)
        await heard.until(lambda h: len(h.ends) == 3, "the runtime is killed")
        assert heard.ends[2] == ("runtime", ExitStatus(signal=9))

    drive(kind, function_with(tmp_path, agent=AGENT, other=AGENT), play)


@pytest.mark.parametrize("kind", KINDS)
def test_ends_of_extensions_are_told(tmp_path: Path, kind: str) -> None:
    """With status or signal; 126 and 127 where they could not be executed."""
    function = function_with(
        tmp_path,
        clean="#!/bin/sh\nexit 0\n",
        failing="#!/bin/sh\necho last words\nexit 3\n",
        crashing="#!/bin/sh\nkill -SEGV $$\n",
        forbidden="no program",
        lost="#!/no/such/interpreter\n",
    )

    async def play(sandbox: Sandbox, heard: Heard) -> None:
        await sandbox.start()
        await heard.until(lambda h: len(h.ends) == 5, "all have ended")
        assert dict(heard.ends) == {
            "clean": ExitStatus(code=0),
            "failing": ExitStatus(code=3),
            "crashing": ExitStatus(signal=11),
            "forbidden": ExitStatus(code=126),
            "lost": ExitStatus(code=127),
        }
        assert b"last words\n" in heard.extensions
        assert heard.runtime == b""

    drive(kind, function, play)


@pytest.mark.parametrize("kind", KINDS)
def test_reset_ends_all_tells_nothing_and_all_can_start_anew(tmp_path: Path, kind: str) -> None:
    """Three generations; what one had in ``/tmp`` the next one finds, of its processes there is nothing left."""

    async def play(sandbox: Sandbox, heard: Heard) -> None:
        await sandbox.start()
        sandbox.start_runtime()
        for generation in range(1, 4):
            await heard.until(
                lambda h, times=generation: h.runtime.count(b"up") == times == h.extensions.count(b"up"),  # type: ignore[misc]
                "the generation runs",
            )
            before = set(sandbox.process_ids())
            first = sandbox.view.pid if kind == "container" else 0  # the shell, which stays
            await sandbox.reset()
            eventually(lambda pids=before - {first}: not any(is_alive(p) for p in pids), "the end of all")  # type: ignore[misc]
            assert heard.ends == []
            sandbox.start_extensions()
            sandbox.start_runtime()
        await heard.until(lambda h: h.runtime.count(b"up") == 4, "the last one runs")
        assert heard.runtime.decode().splitlines() == ["runtime up ", *["runtime up kept"] * 3]
        sandbox.signal_runtime(signal.SIGTERM)
        await heard.until(lambda h: h.ends, "an end that nobody asked for is told again")
        assert heard.ends == [("runtime", ExitStatus(code=7))]

    drive(kind, function_with(tmp_path, agent=AGENT), play)


@pytest.mark.parametrize("kind", KINDS)
def test_an_end_that_nobody_has_heard_of_yet_is_not_told_after_a_reset(tmp_path: Path, kind: str) -> None:
    """It was on its way when the reset began."""

    async def play(sandbox: Sandbox, heard: Heard) -> None:
        await sandbox.start()
        sandbox.start_runtime()
        await heard.until(lambda h: h.runtime and h.extensions, "all run")
        sandbox.kill_extension("agent")
        sandbox.signal_runtime(signal.SIGKILL)
        await sandbox.reset()
        sandbox.start_extensions()
        sandbox.start_runtime()
        await heard.until(lambda h: h.runtime.count(b"up") == 2 == h.extensions.count(b"up"), "the next one runs")
        assert heard.ends == []

    drive(kind, function_with(tmp_path, agent=AGENT), play)


@pytest.mark.parametrize(
    "kind", ["auto", "signals", "cgroup-v1", pytest.param("container", marks=pytest.mark.container)]
)
def test_a_freeze_stops_runtime_and_extensions(tmp_path: Path, kind: str) -> None:
    """Nobody prints while they are frozen, and all go on; a reset of a thawed one still finds all."""
    ticking = "#!/bin/sh\nwhile :; do echo tick; sleep 0.005; done\n"
    function = function_with(tmp_path, one=ticking, two=ticking)
    (function.layers[0] / "runtime").write_text(ticking)

    async def switched(switch: Callable[[Callable[[FreezeError | None], None]], None]) -> None:
        done: asyncio.Future[FreezeError | None] = asyncio.get_running_loop().create_future()
        switch(done.set_result)
        assert await done is None

    async def play(sandbox: Sandbox, heard: Heard) -> None:
        await sandbox.start()
        sandbox.start_runtime()
        await heard.until(lambda h: len(h.runtime) > 20 and len(h.extensions) > 20, "all tick")
        await switched(sandbox.freezer.freeze)
        sandbox.drain_output()
        before = (heard.runtime, heard.extensions)
        await asyncio.sleep(0.05)  # not waiting for anything: this is the span in which nobody may tick
        sandbox.drain_output()
        assert (heard.runtime, heard.extensions) == before
        await switched(sandbox.freezer.thaw)
        await heard.until(
            lambda h: len(h.runtime) > len(before[0]) and len(h.extensions) > len(before[1]), "on it goes"
        )
        await sandbox.reset()
        assert heard.ends == []
        sandbox.start_extensions()
        await heard.until(lambda h: len(h.extensions) > len(before[1]) + 40, "the next generation ticks")
        await switched(sandbox.freezer.freeze)  # and it is stopped frozen

    drive(kind, function, play)


def test_the_warden_ends_extensions_too() -> None:
    """An emulator that is killed leaves none of them: the freezer that needs no rights holds no group either."""
    asyncio.run(_leave_all_to_the_warden())


async def _leave_all_to_the_warden() -> None:
    with Instance() as instance:
        folder = instance.make_folder("project", mode=0o755)
        function = function_with(folder, agent="#!/bin/sh\necho up\nexec sleep 60\n")
        with Warden() as warden:
            held = HeldSockets(SystemClock(), KEEPALIVE)
            async with ProcessProvider(instance, warden, held, freezer="signals") as provider:
                await provider.prepare(function)
                heard = Heard()
                spec = SandboxSpec(
                    EnvironmentId("e"),
                    function,
                    lambda_variables(
                        function, region="r", log_stream="s", database={}, metadata_token="t", trace_id="Root=1"
                    ),
                    9001,
                )
                sandbox = provider.create(spec, heard)
                await sandbox.start()
                sandbox.start_runtime()
                await heard.until(lambda h: h.runtime and h.extensions, "all run")
                left = list(sandbox.process_ids())
                assert len(left) >= 2
        eventually(lambda: not any(is_alive(pid) for pid in left), "the end of all of them")
        await heard.until(lambda h: len(h.ends) == 2, "both ends are heard")


@pytest.mark.container
def test_reset_where_processes_cannot_be_seen(tmp_path: Path) -> None:
    """With an engine elsewhere everything is killed from inside, several times over; nothing of it is told."""

    async def play(sandbox: Sandbox, heard: Heard) -> None:
        assert isinstance(sandbox, ContainerSandbox)
        await sandbox.start()
        seen, sandbox._vessel.group = sandbox._vessel.group, Group(Place(), own=False)
        for generation in range(1, 3):
            sandbox.start_runtime()
            await heard.until(lambda h, times=generation: h.runtime.count(b"up") == times, "the runtime runs")  # type: ignore[misc]
            before = {pid for pid in seen.process_ids() if pid != sandbox.view.pid}
            await sandbox.reset()
            assert not any(is_alive(pid) for pid in before)
            assert heard.ends == []
            sandbox.start_extensions()
        sandbox._vessel.group = seen

    drive("container", function_with(tmp_path, agent=AGENT), play)


@pytest.mark.container
def test_reset_of_a_container_that_has_ended_is_an_error(tmp_path: Path) -> None:
    """Somebody has removed it; nothing can be started there any more."""

    async def play(sandbox: Sandbox, heard: Heard) -> None:
        await sandbox.start()
        await heard.until(lambda h: h.extensions, "it runs")
        os.kill(sandbox.view.pid, signal.SIGKILL)
        await heard.until(lambda h: h.ends, "its end is told")
        with pytest.raises(SandboxError, match="has ended"):
            await sandbox.reset()
        with pytest.raises(SandboxError, match="has ended"):
            sandbox.start_extensions()

    drive("container", function_with(tmp_path, agent=AGENT), play)


@pytest.mark.container
def test_extensions_of_an_image_are_found(tmp_path: Path) -> None:
    """Without being told: an image of one's own is looked into, once, and they are started from there."""
    need_engine()
    tag = "lambda-freezer-test/own:1"
    (tmp_path / "agent").write_text(AGENT)
    (tmp_path / "Dockerfile").write_text(
        f"FROM {IMAGE}\nCOPY agent /opt/extensions/agent\nCOPY agent /opt/extensions/data/deep\n"
        "RUN chmod 755 /opt/extensions/agent\n"
    )
    subprocess.run(["docker", "build", "--quiet", "--tag", tag, str(tmp_path)], check=True, capture_output=True)

    async def play(sandbox: Sandbox, heard: Heard) -> None:
        assert list(sandbox.extensions) == ["agent"]
        await sandbox.start()
        await heard.until(lambda h: b"agent up []" in h.extensions, "it runs")

    try:
        drive("container", Function(name="own", code=package(tmp_path), memory=512, image=tag), play)
    finally:
        subprocess.run(["docker", "image", "rm", "--force", tag], check=False, capture_output=True)


@pytest.mark.container
def test_nonsense_from_a_function_fools_only_itself(tmp_path: Path) -> None:
    """It can write into the pipe of reports; what it says of others is not believed, and a reset works as ever."""
    lying = """\
#!/bin/sh
echo "ended 1 0 extension nobody" >/run/lambda-freezer/reports
echo "ended 99 0 runtime" >/run/lambda-freezer/reports
head -c 100000 /dev/zero >/run/lambda-freezer/reports
echo >/run/lambda-freezer/reports
echo "runtime up"
while :; do sleep 0.01; done
"""
    function = function_with(tmp_path)
    (function.layers[0] / "runtime").write_text(lying)

    async def play(sandbox: Sandbox, heard: Heard) -> None:
        await sandbox.start()
        await heard.until(lambda h: b"up" in h.runtime, "it runs")
        assert heard.ends == []
        await sandbox.reset()
        sandbox.start_runtime()
        await heard.until(lambda h: h.runtime.count(b"up") == 2, "it runs again")
        assert heard.ends == []

    drive("container", function, play)


def test_doctor_says_what_processes_lack() -> None:
    """One line with everything that a container has and a process has not."""
    (check,) = [check for check in asyncio.run(examine()).checks if check.name == "process sandboxes"]
    assert check.fine
    for lack in ("/opt", "/var/task", "user", "sandbox.localdomain", "CPU share", "read-only"):
        assert lack in check.found
