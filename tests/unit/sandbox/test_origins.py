"""Which line has opened a connection: the pipe on our side, and the code that runs in the function's."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from emulator.sandbox.origins import SCRIPT, OriginPipe, container_search_path, read_origin
from emulator.sandbox.origins_main import place_of, vendored
from tests.support import in_loop

ROOT = "/var/task"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"41022 3306 app.py:12 in handler", (41022, 3306, "app.py:12 in handler")),
        (b"1 2 \xff", (1, 2, "\ufffd")),
        (b"1 2 ", None),
        (b"x 2 app.py", None),
        (b"", None),
        (b"1 2 " + b"x" * 2001, None),
    ],
)
def test_lines_of_the_pipe(line: bytes, expected: tuple[int, int, str] | None) -> None:
    """What no runtime of ours says is passed over."""
    assert read_origin(line) == expected


@in_loop
async def test_pieces_become_lines(tmp_path: Path) -> None:
    """However they were cut, and in time: what was written before is handed on by a drain."""
    told: list[tuple[int, int, str]] = []
    pipe = OriginPipe(tmp_path / "origins", lambda *origin: told.append(origin))
    writing = os.open(tmp_path / "origins", os.O_WRONLY | os.O_NONBLOCK)
    try:
        os.write(writing, b"1 3306 a.py:1 in f\n2 33")
        pipe.drain()
        assert told == [(1, 3306, "a.py:1 in f")]
        os.write(writing, b"06 b.py:2 in g\nnonsense\n")
        async with asyncio.timeout(30):
            while len(told) < 2:
                await asyncio.sleep(0)
    finally:
        os.close(writing)
        pipe.close()
    assert told[1:] == [(2, 3306, "b.py:2 in g")]


def test_search_path_of_a_container() -> None:
    """Ours first, and behind it what would have been there without us."""
    assert container_search_path("/run/x", {}) == "/run/x/sitecustomize:/var/runtime"
    assert container_search_path("/run/x", {"PYTHONPATH": "/opt/mine"}) == "/run/x/sitecustomize:/opt/mine"


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ([("/usr/lib/socket.py", 1, "x"), (f"{ROOT}/app.py", 12, "handler")], "app.py:12 in handler"),
        ([(f"{ROOT}/shop/db.py", 3, "connect"), (f"{ROOT}/app.py", 12, "handler")], "shop/db.py:3 in connect"),
        ([(f"{ROOT}/pymysql/connections.py", 9, "c"), (f"{ROOT}/app.py", 12, "<module>")], "app.py:12 in <module>"),
        ([(f"{ROOT}/sqlalchemy/pool.py", 9, "c"), (f"{ROOT}/app.py", 12, "f")], "app.py:12 in f"),
        ([(f"{ROOT}/six.py", 9, "c"), (f"{ROOT}/app.py", 12, "f")], "app.py:12 in f"),
        ([(f"{ROOT}/lib/site-packages/x.py", 9, "c"), (f"{ROOT}/app.py", 12, "f")], "app.py:12 in f"),
        ([(f"{ROOT}/pymysql/connections.py", 9, "c")], "pymysql/connections.py:9 in c"),
        ([("/var/tasks/app.py", 1, "x"), ("/opt/python/app.py", 1, "x")], None),
        ([], None),
    ],
)
def test_the_innermost_place_of_the_functions_own_code(
    frames: list[tuple[str, int, str]], expected: str | None
) -> None:
    """Packages beside it are others' code, and count only where nothing else does."""
    assert place_of(frames, ROOT, frozenset({"pymysql", "six"})) == expected


def test_packages_are_known_from_their_records(tmp_path: Path) -> None:
    """By what was installed; where that record is gone, by the name of the package."""
    record = tmp_path / "PyMySQL-1.1.dist-info"
    record.mkdir()
    (record / "RECORD").write_text("pymysql/__init__.py,sha256=x,1\nsix.py,,\n")
    (tmp_path / "Slim-2.0.dist-info").mkdir()
    (tmp_path / "app.py").touch()
    assert {"pymysql", "six", "slim"} <= vendored(str(tmp_path))
    assert "app" not in vendored(str(tmp_path))


APPLICATION = """
import asyncio, os, socket, sys
def connects(port):
    socket.create_connection(("127.0.0.1", port)).close()
def connects_ex(port):
    with socket.socket() as one:
        assert one.connect_ex(("127.0.0.1", port)) == 0
async def connects_in_a_loop(port):
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()
    await writer.wait_closed()
def is_refused():
    try:
        socket.create_connection(("127.0.0.1", 1))
    except ConnectionRefusedError as error:
        return error
if "sitecustomize" in sys.modules:
    print("customized by", getattr(sys.modules["sitecustomize"], "__file__", None))
port = int(sys.argv[1])
connects(port)
connects_ex(port)
asyncio.run(connects_in_a_loop(port))
assert is_refused() is not None
left, right = socket.socketpair()
left.close(); right.close()
print("PYTHONPATH", os.environ.get("PYTHONPATH"), "ours" if any("sitecustomize" in p for p in sys.path) else "clean")
"""


@pytest.mark.parametrize(("pipe_is_there", "has_its_own"), [(True, True), (True, False), (False, True)])
def test_inside_a_python_of_its_own(tmp_path: Path, *, pipe_is_there: bool, has_its_own: bool) -> None:
    """As the ``sitecustomize`` of a container: each way to connect is told, and nothing of it is left to be seen.

    Without anybody at the pipe the function goes on just as well; the user's own ``sitecustomize`` is run, if there is.
    """
    (tmp_path / "sitecustomize").mkdir()
    (tmp_path / "sitecustomize" / "sitecustomize.py").write_text(SCRIPT.read_text())
    (tmp_path / "users").mkdir()
    if has_its_own:
        (tmp_path / "users" / "sitecustomize.py").touch()
    task = tmp_path / "task"
    task.mkdir()
    (task / "app.py").write_text(APPLICATION)
    reading = -1
    if pipe_is_there:
        os.mkfifo(tmp_path / "origins")
        reading = os.open(tmp_path / "origins", os.O_RDWR | os.O_NONBLOCK)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-s", str(task / "app.py"), str(port)],
            env={"PYTHONPATH": f"{tmp_path}/sitecustomize:{tmp_path}/users", "LAMBDA_TASK_ROOT": str(task)},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")
    customized = f"{tmp_path}/users/sitecustomize.py" if has_its_own else None
    assert done.stdout.splitlines() == [f"customized by {customized}", f"PYTHONPATH {tmp_path}/users clean"]
    if pipe_is_there:
        told = [read_origin(line) for line in os.read(reading, 10_000).splitlines()]
        os.close(reading)
        places = [origin[2] for origin in told if origin is not None and origin[1] == port]
        assert places == ["app.py:4 in connects", "app.py:7 in connects_ex", "app.py:9 in connects_in_a_loop"]
