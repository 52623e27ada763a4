"""The stand-in images that docker/build-images makes, checked in a real engine."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import secrets
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import pymysql
import pytest

Answer = TypeVar("Answer")

pytestmark = [pytest.mark.container, pytest.mark.timeout(120)]

AS_ON_LAMBDA = (
    *("--read-only", "--tmpfs", "/tmp:mode=1777", "--user", "993:990"),
    *("--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
)
ECHO = """
import os, sys

def handler(event, context):
    return {
        "event": event,
        "request_id": context.aws_request_id,
        "pid": os.getpid(),
        "path": sys.path[:4],
        "command": open("/proc/self/cmdline").read().split("\\0")[:-1],
        "environment": dict(os.environ),
    }
"""
WRAPPER = """#!/bin/bash
export WRAPPED=yes
exec "${@:1:$#-1}" -X dev "${@: -1}"
"""
ECHO_IN_NODEJS = """
import * as client from "/var/runtime/node_modules/aws-lambda-ric/dist/index.mjs";

export const handler = async (event, context) => ({
  event,
  request_id: context.awsRequestId,
  pid: process.pid,
  client: typeof client.run,
  command: [process.execPath, ...process.execArgv],
  environment: process.env,
});
"""
ECHO_IN_SHELL = """#!/bin/bash
set -euo pipefail
api=http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation
while headers=$(mktemp) && event=$(curl -sS -D "$headers" "$api/next"); do
    id=$(awk 'tolower($1) == "lambda-runtime-aws-request-id:" { print $2 }' "$headers" | tr -d '\\r')
    curl -sS -o /dev/null -d "{\\"event\\": $event, \\"handler\\": \\"$_HANDLER\\", \\"pid\\": $$}" "$api/$id/response"
done
"""
INVOCATION = "/2018-06-01/runtime/invocation"
ONE_ROUND = [
    f"GET {INVOCATION}/next",
    f"POST {INVOCATION}/8476a536-e9f4-11e8-9739-2dfe598c3fcd/response",
    f"GET {INVOCATION}/next",
]


def unavailable(reason: str) -> NoReturn:
    """Skip the test, or fail it where everything has to be there."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def docker(*arguments: str, deadline: float = 30) -> subprocess.CompletedProcess[str]:
    """Run the engine's command; its status is for the caller to judge."""
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=deadline, check=False)


def ask(*arguments: str) -> str:
    """What the engine's command prints; it must succeed."""
    done = docker(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def eventually(attempt: Callable[[], Answer], refusal: type[Exception], deadline: float = 30) -> Answer:
    """The first answer that is not a refusal; at the deadline the last refusal is raised."""
    end = time.monotonic() + deadline
    while True:
        try:
            return attempt()
        except refusal:
            if time.monotonic() > end:
                raise
            threading.Event().wait(0.05)


@contextlib.contextmanager
def container(image: str, *options: str, command: tuple[str, ...] = ()) -> Iterator[str]:
    """A container in the background that is gone afterwards, with its anonymous volumes."""
    name = f"lambda-freezer-test-{secrets.token_hex(6)}"
    try:
        ask("run", "--detach", "--name", name, *options, image, *command)
        yield name
    finally:
        docker("rm", "--force", "--volumes", name)


@pytest.fixture(scope="module", autouse=True)
def engine() -> None:
    """An engine that answers."""
    if not shutil.which("docker"):
        unavailable("the docker command is missing: install Docker")
    if docker("version").returncode:
        unavailable("no container engine answers: start Docker, or run as a user it lets in")


def stand_in(reference: str) -> str:
    """Full name of a stand-in the engine has."""
    names = ask("image", "ls", "--filter", f"reference={reference}", "--format", "{{.Repository}}:{{.Tag}}")
    if not names:
        unavailable(f"the image {reference} is missing: run docker/build-images")
    return names.splitlines()[0]


@pytest.fixture(scope="module")
def python_image(engine: None) -> str:
    return stand_in("lambda-freezer/python:*")


@pytest.fixture(scope="module")
def nodejs_image(engine: None) -> str:
    return stand_in("lambda-freezer/nodejs:*")


@pytest.fixture(scope="module")
def java_image(engine: None) -> str:
    return stand_in("lambda-freezer/java:*")


@pytest.fixture(scope="module")
def provided_image(engine: None) -> str:
    return stand_in("lambda-freezer/provided:al2023")


@pytest.fixture(scope="module")
def mysql_image(engine: None) -> str:
    return stand_in("lambda-freezer/mysql:mariadb")


@pytest.fixture(scope="module")
def nethelper_image(engine: None) -> str:
    return stand_in("lambda-freezer/nethelper:1")


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A function folder that another user can read."""
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "app.py").write_text(ECHO)
    folder.chmod(0o755)
    return folder


class RuntimeApi(http.server.ThreadingHTTPServer):
    """A Runtime API with one invocation in it, for containers on one network."""

    daemon_threads = True

    def __init__(self, host: str, network: str, event: dict[str, Any]) -> None:
        super().__init__((host, 0), RuntimeApiRequest)
        self.network = network
        self.event = event
        self.lines: list[str] = []
        self.handed_out = threading.Event()
        self.parked = threading.Event()
        self.closing = threading.Event()
        self.answer: bytes = b""

    @property
    def address(self) -> str:
        return f"{self.server_address[0]!s}:{self.server_port}"

    def __enter__(self) -> RuntimeApi:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.closing.set()
        self.shutdown()
        self.server_close()


class RuntimeApiRequest(http.server.BaseHTTPRequestHandler):
    """One request of a runtime client."""

    protocol_version = "HTTP/1.1"
    server: RuntimeApi

    def do_GET(self) -> None:
        self.server.lines.append(f"GET {self.path}")
        if self.server.handed_out.is_set():
            self.server.parked.set()
            self.server.closing.wait(60)
            self.close_connection = True
            return
        self.server.handed_out.set()
        self.reply(
            200,
            json.dumps(self.server.event).encode(),
            {
                "Lambda-Runtime-Aws-Request-Id": "8476a536-e9f4-11e8-9739-2dfe598c3fcd",
                "Lambda-Runtime-Deadline-Ms": str(int(time.time() * 1000) + 30_000),
                "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:us-east-1:123456789012:function:echo",
            },
        )

    def do_POST(self) -> None:
        self.server.lines.append(f"POST {self.path}")
        self.server.answer = self.rfile.read(int(self.headers["Content-Length"]))
        self.reply(202, b'{"status":"OK"}\n', {})

    def reply(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Type": "application/json"}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name in the standard library)
        """Keep quiet."""


@pytest.fixture
def runtime_api(engine: None) -> Iterator[RuntimeApi]:
    """A Runtime API that listens on a network of its own."""
    network = f"lambda-freezer-test-{secrets.token_hex(6)}"
    ask("network", "create", network)
    try:
        gateway = ask("network", "inspect", network, "--format", "{{(index .IPAM.Config 0).Gateway}}")
        try:
            server = RuntimeApi(gateway, network, {"id": 1})
        except OSError as error:
            unavailable(f"the engine's networks are not on this machine ({error}): use a local engine")
        with server:
            yield server
    finally:
        docker("network", "rm", network)


def serve_one(image: str, api: RuntimeApi, code: Path, *options: str, handler: str = "app.handler") -> dict[str, Any]:
    """Run the image as Lambda does until it asks for a second invocation; the answer to the first."""
    variables = ("--network", api.network, "--env", f"AWS_LAMBDA_RUNTIME_API={api.address}")
    mount = ("--volume", f"{code}:/var/task:ro")
    with container(image, *AS_ON_LAMBDA, *variables, *mount, *options, command=(handler,)) as name:
        parked = api.parked.wait(30)
        assert parked, docker("logs", name).stderr
    answer: dict[str, Any] = json.loads(api.answer)
    return answer


@pytest.mark.parametrize("runtime", ["python", "nodejs", "java", "provided"])
def test_an_image_is_configured_like_the_one_of_aws(runtime: str, request: pytest.FixtureRequest) -> None:
    """Entry point, working directory, user and environment are those that function images are built upon."""
    image: str = request.getfixturevalue(f"{runtime}_image")
    config = json.loads(ask("image", "inspect", "--format", "{{json .Config}}", image))
    environment = dict(entry.split("=", 1) for entry in config["Env"])
    version = image.rpartition(":")[2]
    identifier = {"nodejs": f"nodejs{version}.x", "provided": f"provided.{version}"}.get(runtime, f"{runtime}{version}")

    assert config["Entrypoint"] == ["/lambda-entrypoint.sh"]
    assert config["WorkingDir"] == "/var/task"
    assert config.get("User", "") == ""
    assert config["Labels"]["lambda-freezer.standin"] == identifier
    assert environment["LAMBDA_TASK_ROOT"] == "/var/task"
    assert environment["LAMBDA_RUNTIME_DIR"] == "/var/runtime"
    assert environment["TZ"] == ":UTC"
    if runtime == "provided":
        assert "AWS_EXECUTION_ENV" not in environment
    else:
        assert environment["AWS_EXECUTION_ENV"] == f"AWS_Lambda_{identifier}"
        assert environment["PATH"].split(":")[0] == "/var/lang/bin"


@pytest.mark.parametrize(
    ("runtime", "program", "says"),
    [
        ("nodejs", "/var/lang/bin/node --version", "v{version}."),
        ("java", "/var/lang/bin/java -version", 'openjdk version "{version}.'),
        ("provided", "curl --version", "curl "),
    ],
)
def test_an_image_has_the_folders_and_rights_of_lambda(
    runtime: str, program: str, says: str, request: pytest.FixtureRequest
) -> None:
    """Folders and the user are where AWS has them, the program runs, and only /tmp can be written to."""
    image: str = request.getfixturevalue(f"{runtime}_image")
    paths = ["/var/task", "/opt", "/var/runtime", "/tmp", "/lambda-entrypoint.sh"]
    script = (
        f"stat --format '%a %U %n' {' '.join(paths)}; id; {program} 2>&1 | head -n 1;"
        "for place in / /var/task /opt /var/runtime /tmp; do touch $place/x 2>/dev/null && echo $place; done"
    )
    lines = ask("run", "--rm", *AS_ON_LAMBDA, "--entrypoint", "sh", image, "-c", script).splitlines()

    assert lines[:5] == [f"{1777 if path == '/tmp' else 755} root {path}" for path in paths]
    assert lines[5].startswith("uid=993(sbx_user1051) gid=990(sbx_user1051)")
    assert lines[6].startswith(says.format(version=image.rpartition(":")[2]))
    assert lines[7:] == ["/tmp"]


def test_python_image_has_the_folders_of_lambda(python_image: str) -> None:
    """The folders, programs and the user that functions and layers rely on are where AWS has them."""
    paths = ["/var/task", "/opt", "/var/runtime", "/tmp", "/lambda-entrypoint.sh", "/var/runtime/bootstrap"]
    modes = ask("run", "--rm", "--entrypoint", "stat", python_image, "--format", "%a %U %n", *paths)
    user = ask("run", "--rm", "--user", "sbx_user1051", "--entrypoint", "id", python_image)
    version = ask("run", "--rm", "--entrypoint", "/var/lang/bin/python3", python_image, "--version")

    assert modes.splitlines() == [f"{1777 if path == '/tmp' else 755} root {path}" for path in paths]
    assert user.startswith("uid=993(sbx_user1051) gid=990(sbx_user1051)")
    assert version.startswith("Python " + python_image.rpartition(":")[2])


def test_python_image_has_every_module_compiled(python_image: str) -> None:
    """Not one module has to be compiled at a cold start, where nothing could store the result."""
    script = (
        "import importlib.util, pathlib, sysconfig;"
        "folders = [sysconfig.get_path('stdlib'), '/var/runtime'];"
        "files = [file for folder in folders for file in pathlib.Path(folder).rglob('*.py')];"
        "cached = importlib.util.cache_from_source;"
        "print(len(files), [str(f) for f in files if not pathlib.Path(cached(f)).exists()])"
    )
    found = ask("run", "--rm", *AS_ON_LAMBDA, "--entrypoint", "/var/lang/bin/python3", python_image, "-c", script)

    count, _, missing = found.partition(" ")
    assert int(count) > 500
    assert missing == "[]"


def test_python_image_gives_a_function_no_rights(python_image: str) -> None:
    """Started as on Lambda, it can write to /tmp only, has no capabilities and no way to any."""
    script = (
        "for place in / /var/task /opt /var/runtime /tmp; do touch $place/x 2>/dev/null && echo $place; done;"
        "grep -E '^(CapEff|CapBnd|NoNewPrivs|Uid|Gid):' /proc/self/status"
    )
    lines = ask("run", "--rm", *AS_ON_LAMBDA, "--entrypoint", "sh", python_image, "-c", script).splitlines()

    assert lines[0] == "/tmp"
    facts = {name: values.split() for name, values in (line.split(":") for line in lines[1:])}
    assert facts["Uid"] == ["993"] * 4
    assert facts["Gid"] == ["990"] * 4
    assert facts["NoNewPrivs"] == ["1"]
    assert int(facts["CapEff"][0], 16) == int(facts["CapBnd"][0], 16) == 0


def test_python_image_serves_an_invocation(python_image: str, runtime_api: RuntimeApi, code: Path) -> None:
    """AWS's runtime client, unchanged, as the first process, fetches an invocation and posts the answer."""
    answer = serve_one(python_image, runtime_api, code)

    assert runtime_api.lines[:3] == ONE_ROUND
    assert answer["event"] == {"id": 1}
    assert answer["request_id"] == "8476a536-e9f4-11e8-9739-2dfe598c3fcd"
    assert answer["pid"] == 1
    assert answer["environment"]["_HANDLER"] == "app.handler"
    assert answer["environment"]["PYTHONPATH"] == "/var/runtime"
    assert answer["environment"].keys().isdisjoint({"HOME", "HOSTNAME"})


def test_python_image_uses_layers_and_wrapper(
    python_image: str, runtime_api: RuntimeApi, code: Path, tmp_path: Path
) -> None:
    """Layers come between code and runtime, and a wrapper gets a command line it can add options to."""
    layers = tmp_path / "opt"
    (layers / "python").mkdir(parents=True)
    layers.chmod(0o755)
    wrapper = layers / "wrapper"
    wrapper.write_text(WRAPPER)
    wrapper.chmod(0o755)
    answer = serve_one(
        *(python_image, runtime_api, code, "--volume", f"{layers}:/opt:ro"),
        *("--env", "AWS_LAMBDA_EXEC_WRAPPER=/opt/wrapper"),
    )

    version = python_image.rpartition(":")[2]
    assert answer["path"] == [
        "/var/task",
        f"/opt/python/lib/python{version}/site-packages",
        "/opt/python",
        "/var/runtime",
    ]
    assert answer["environment"]["WRAPPED"] == "yes"
    assert answer["command"][1:3] == ["-X", "dev"]


def test_nodejs_image_serves_an_invocation(nodejs_image: str, runtime_api: RuntimeApi, tmp_path: Path) -> None:
    """AWS's runtime client, as the first process, serves an ES module with the memory of the function's size."""
    (tmp_path / "index.mjs").write_text(ECHO_IN_NODEJS)
    tmp_path.chmod(0o755)
    size = ("--env", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=256")
    answer = serve_one(nodejs_image, runtime_api, tmp_path, *size, handler="index.handler")

    assert runtime_api.lines[:3] == ONE_ROUND
    assert answer["event"] == {"id": 1}
    assert answer["request_id"] == "8476a536-e9f4-11e8-9739-2dfe598c3fcd"
    assert (answer["pid"], answer["client"]) == (1, "function")
    assert answer["command"][0] == "/var/lang/bin/node"
    assert answer["command"][-2:] == ["--max-semi-space-size=12", "--max-old-space-size=231"]
    layers = answer["environment"]["NODE_PATH"].split(":")[:2]
    assert layers == [f"/opt/nodejs/node{nodejs_image.rpartition(':')[2]}/node_modules", "/opt/nodejs/node_modules"]
    assert answer["environment"].keys().isdisjoint({"HOME", "HOSTNAME"})


def test_java_image_serves_an_invocation(java_image: str, runtime_api: RuntimeApi, tmp_path: Path) -> None:
    """AWS's runtime client serves a handler; a method of Java's own that returns its argument is enough of one."""
    tmp_path.chmod(0o755)
    size = ("--env", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=256")
    answer = serve_one(java_image, runtime_api, tmp_path, *size, handler="java.util.Stack::push")

    assert runtime_api.lines[:3] == ONE_ROUND
    assert answer == {"id": 1}


def test_java_image_has_an_archive_of_prepared_classes(java_image: str) -> None:
    """The archive fits this Java and the class path of the runtime, or Java would refuse to start with it."""
    script = (
        "java -Xshare:on -XX:SharedArchiveFile=/var/lang/lib/server/runtime.jsa -XX:+UseSerialGC"
        ' -classpath "$(cat /var/runtime/lib/classpath)" -Xlog:class+load -version'
    )
    found = ask("run", "--rm", *AS_ON_LAMBDA, "--entrypoint", "sh", java_image, "-c", script)

    assert found.count("source: shared objects file") > 300


def test_provided_image_starts_the_bootstrap_of_the_function(
    provided_image: str, runtime_api: RuntimeApi, tmp_path: Path
) -> None:
    """A script with curl is runtime and function at once."""
    bootstrap = tmp_path / "bootstrap"
    bootstrap.write_text(ECHO_IN_SHELL)
    bootstrap.chmod(0o755)
    tmp_path.chmod(0o755)
    answer = serve_one(provided_image, runtime_api, tmp_path, handler="leave")

    assert runtime_api.lines[:3] == ONE_ROUND
    assert answer == {"event": {"id": 1}, "handler": "leave", "pid": 1}


def test_provided_image_tells_what_it_cannot_start(provided_image: str, tmp_path: Path) -> None:
    """Without a bootstrap it says so; one that may not be executed is not passed over."""
    (tmp_path / "bootstrap").write_text("#!/bin/sh\n")
    tmp_path.chmod(0o755)
    variables = ("--env", "AWS_LAMBDA_RUNTIME_API=127.0.0.1:9")
    nothing = docker("run", "--rm", *variables, provided_image, "leave")
    locked = docker("run", "--rm", *variables, "--volume", f"{tmp_path}:/var/task:ro", provided_image, "leave")

    assert nothing.returncode == 127
    assert "no /var/task/bootstrap" in nothing.stderr
    assert locked.returncode == 126


def test_python_image_says_that_it_has_no_interface_emulator(python_image: str) -> None:
    """Started by hand, without a Runtime API, it ends at once and says why."""
    done = docker("run", "--rm", python_image, "app.handler")

    assert done.returncode == 1
    assert "AWS_LAMBDA_RUNTIME_API is not set" in done.stderr


def test_mysql_image_serves_as_the_official_ones_do(mysql_image: str) -> None:
    """Database, user, passwords of any characters and server options arrive; the server has no rights."""
    root_password, password = "it's \\ `root`", 'say "x"; %_'
    settings = {
        "MYSQL_ROOT_PASSWORD": root_password,
        "MYSQL_DATABASE": "shop_1",
        "MYSQL_USER": "orders",
        "MYSQL_PASSWORD": password,
    }
    options = [part for name, value in settings.items() for part in ("--env", f"{name}={value}")]
    with container(mysql_image, *options, "--publish", "127.0.0.1::3306", command=("--max-connections=66",)) as name:
        port = int(ask("port", name, "3306/tcp").splitlines()[0].rpartition(":")[2])

        def connect(user: str, password: str, database: str | None = None) -> pymysql.Connection[Any]:
            return pymysql.connect(
                host="127.0.0.1",
                port=port,
                user=user,
                password=password,
                database=database,
                connect_timeout=5,
            )

        root = eventually(lambda: connect("root", root_password), pymysql.OperationalError)
        with contextlib.closing(root), root.cursor() as cursor:
            cursor.execute("SELECT @@max_connections, @@character_set_server, @@skip_name_resolve")
            assert cursor.fetchone() == (66, "utf8mb4", 1)
            cursor.execute("SELECT User, Host FROM mysql.user WHERE User <> 'mariadb.sys' ORDER BY 1, 2")
            assert cursor.fetchall() == (("orders", "%"), ("root", "%"), ("root", "localhost"))
        user = connect("orders", password, "shop_1")
        with contextlib.closing(user), user.cursor() as cursor:
            cursor.execute("CREATE TABLE stock (item INT PRIMARY KEY)")
            with pytest.raises(pymysql.OperationalError, match="denied"):
                cursor.execute("SELECT * FROM mysql.user")
        with pytest.raises(pymysql.OperationalError, match="Access denied"):
            connect("root", "")

        status = ask("exec", name, "grep", "-E", "^(Name|Uid|CapEff):", "/proc/1/status").split()
        assert status == ["Name:", "mariadbd", "Uid:", *["999"] * 4, "CapEff:", "0" * 16]
        assert ask("inspect", "--format", "{{len .Mounts}}", name) == "0"
        ask("stop", "--time", "20", name)
        assert ask("inspect", "--format", "{{.State.ExitCode}}", name) == "0"


def test_mysql_image_keeps_data_in_a_volume(mysql_image: str) -> None:
    """What one container wrote, the next one finds, if a volume is mounted; accounts are then left alone."""
    volume = f"lambda-freezer-test-{secrets.token_hex(6)}"
    mount = ("--volume", f"{volume}:/var/lib/mysql")
    client = ("mariadb", "--user=root", "--password=secret", "--skip-column-names", "--execute")

    def ask_server(name: str, statement: str) -> str:
        return eventually(lambda: ask("exec", name, *client, statement), AssertionError)

    try:
        with container(mysql_image, *mount, "--env", "MYSQL_ROOT_PASSWORD=secret") as first:
            ask_server(first, "CREATE DATABASE kept")
            ask("stop", "--time", "20", first)
        with container(mysql_image, *mount, "--env", "MYSQL_ROOT_PASSWORD=other") as second:
            assert ask_server(second, "SHOW DATABASES LIKE 'kept'") == "kept"
    finally:
        docker("volume", "rm", "--force", volume)


def test_mysql_image_refuses_to_start_without_a_password(mysql_image: str) -> None:
    """Like the official images it does not start an open server by accident."""
    done = docker("run", "--rm", mysql_image)

    assert done.returncode == 1
    assert "MYSQL_ROOT_PASSWORD" in done.stderr


@pytest.mark.parametrize("command", ["ip -br link", "bridge link", "ss -tn", "tc qdisc"])
def test_nethelper_image_has_the_network_tools(nethelper_image: str, command: str) -> None:
    """Every tool the network work needs runs in the image, with all libraries it loads."""
    ask("run", "--rm", "--network", "none", nethelper_image, "sh", "-c", command)
