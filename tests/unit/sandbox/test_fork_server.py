"""The fork server: which runtimes can be forked, that a fork is what an ordinary start makes, and its ends."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from pathlib import Path
from types import MappingProxyType

import psutil
import pytest

from emulator.model import Function
from emulator.sandbox.fork_server import ForkedProcess, ForkServer
from emulator.sandbox.fork_server_main import dependent
from emulator.sandbox.fork_server_rules import Prepared, obstacle, path_of
from emulator.sandbox.process_settings import plain_runtime_command, runtime_variables
from emulator.sandbox.warden import Warden
from tests.support import in_loop

PREPARED = Prepared(("/usr/lib/python311.zip", "/usr/lib/python"), frozenset({"json", "simplejson"}), home=False)


def variables(code: Path, given: Mapping[str, str] = MappingProxyType({}), opt: Path | None = None) -> dict[str, str]:
    function = Function(name="orders", code=code, handler="app.main")
    return runtime_variables(function, given, opt=opt, temporary=code, runtime_api="127.0.0.1:9")


@contextlib.asynccontextmanager
async def running() -> AsyncIterator[ForkServer]:
    with Warden() as warden:
        server = ForkServer(warden)
        server.start()
        try:
            await server.ready()
            yield server
        finally:
            await server.close()


def with_server(test: Callable[[ForkServer, Path], Coroutine[None, None, None]]) -> Callable[[Path], None]:
    """Run a test with a fork server of its own."""

    @in_loop
    async def in_folder(tmp_path: Path) -> None:
        async with running() as server:
            await test(server, tmp_path)

    def run_test(tmp_path: Path) -> None:
        in_folder(tmp_path)

    run_test.__name__, run_test.__doc__ = test.__name__, test.__doc__
    return run_test


def fork(server: ForkServer, code: Path, output: int, program: str = "", **given: str) -> ForkedProcess | None:
    """A runtime whose function is this program."""
    (code / "app.py").write_text(program)
    return server.fork(
        "orders",
        plain_runtime_command(),
        folder=code,
        variables=variables(code, given),
        output=output,
        groups=(),
        new_groups=True,
    )


async def output_of(server: ForkServer, code: Path, program: str, **given: str) -> tuple[str, int]:
    """What it has printed, and how it ended."""
    reading, writing = os.pipe()
    try:
        process = fork(server, code, writing, program, **given)
    finally:
        os.close(writing)
    with os.fdopen(reading) as pipe:
        assert process is not None
        process.release()
        said = await asyncio.to_thread(pipe.read)
    return said, process.wait()


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"PYTHONHASHSEED": "0"}, "PYTHONHASHSEED is read at the start of a program"),
        ({"MALLOC_ARENA_MAX": "2"}, "MALLOC_ARENA_MAX is read at the start of a program"),
        ({"LANG": "C"}, "LANG is read at the start of a program"),
        ({"LD_PRELOAD": "mine.so"}, "LD_PRELOAD is read at the start of a program"),
        ({"LD_LIBRARY_PATH": "/usr/lib"}, "LD_LIBRARY_PATH names folders that exist"),
        ({"LD_LIBRARY_PATH": "/nowhere:/nowhere/else"}, None),
        ({"PYTHONPATH": "mine"}, "PYTHONPATH is not made of absolute paths"),
        ({"PYTHONPATH": "/nowhere"}, None),
        ({"HOME": "/root", "COLOUR": "blue"}, None),
    ],
)
def test_what_is_read_at_the_start_of_a_program_needs_one(
    tmp_path: Path, given: dict[str, str], reason: str | None
) -> None:
    """A fork has started already; what it cannot make up for is left to an ordinary start."""
    assert obstacle(PREPARED, variables(tmp_path, given)) == reason


def test_the_home_folder_counts_where_modules_come_from_it(tmp_path: Path) -> None:
    """Not in a virtual environment."""
    at_home = Prepared(PREPARED.path, PREPARED.modules, home=True)
    assert obstacle(at_home, variables(tmp_path)) is None
    assert obstacle(at_home, variables(tmp_path, {"HOME": "/root"})) == "HOME has a say in what can be imported"


@pytest.mark.parametrize(
    "name", ["simplejson", "simplejson.py", "json.cpython-311-x86_64-linux-gnu.so", "sitecustomize.py"]
)
@pytest.mark.parametrize("place", [".", "opt/python"])
def test_a_module_that_the_function_brings_must_not_have_been_imported(tmp_path: Path, name: str, place: str) -> None:
    """The function's comes first, in its code and in its layers; names that only look alike do not matter."""
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    (tmp_path / place / "simplejson_of_mine.py").touch()
    assert obstacle(PREPARED, variables(tmp_path, opt=tmp_path / "opt")) is None
    (tmp_path / place / name).touch()
    assert obstacle(PREPARED, variables(tmp_path, opt=tmp_path / "opt")) == f"it brings {name.split('.')[0]} of its own"


def test_the_search_path_is_that_of_an_ordinary_start() -> None:
    """Code, layers, what PYTHONPATH says, and the interpreter's own; each once."""
    given = variables(Path("/code"), {"PYTHONPATH": "/mine:/code/:/usr/lib/python"}, Path("/opt"))
    assert [path for path in path_of(PREPARED, given) if "site-packages" not in path] == [
        *("/code", "/opt/python", "/mine", "/usr/lib/python", "/usr/lib/python311.zip")
    ]


def test_what_depends_on_variables_is_found_by_its_words() -> None:
    """In whatever is defined in it; and who speaks of such a module depends on it, too."""
    texts = {
        "client.plain": "import json\ndef f(): return json",
        "client.reads": "import os\ndef f():\n    def g(): return os.environ['A']\n    return g",
        "client.asks": "from .reads import f",
        "client.loads": "import runtime_client",
        "client.last": "from . import asks",
    }
    found = dependent({name: compile(text, name, "exec") for name, text in texts.items()})
    assert found == {"client.reads", "client.asks", "client.loads", "client.last"}


@with_server
async def test_a_fork_is_our_child_and_leads_a_session(server: ForkServer, code: Path) -> None:
    """It runs the function's module with its variables; its status is told as that of any child."""
    program = (
        "import os; print(os.environ['COLOUR'], os.getppid(), os.getsid(0) == os.getpid(), flush=True); os._exit(7)"
    )
    assert await output_of(server, code, program, COLOUR="blue") == (f"blue {os.getpid()} True\n", 7)
    assert await output_of(server, code, "import os, signal; os.kill(0, signal.SIGKILL)") == ("", -signal.SIGKILL)


@with_server
async def test_variables_are_read_by_the_client_in_each_fork(server: ForkServer, code: Path) -> None:
    """The format of logs, and the address of the Runtime API, which its C extension copies when it is loaded."""
    program = (
        "import os\nfrom awslambdaric import bootstrap, lambda_runtime_client as client\n"
        "is_json = 'timestamp' in str(bootstrap.log_error.__code__.co_consts)\n"
        "print(is_json, client.runtime_client.__file__, flush=True)\n"
        "os._exit(0)"
    )
    assert (await output_of(server, code, program, AWS_LAMBDA_LOG_FORMAT="JSON"))[0].startswith("True /")
    assert (await output_of(server, code, program))[0].startswith("False /")


@with_server
async def test_chance_is_not_shared(server: ForkServer, code: Path) -> None:
    """Two forks draw different numbers, as two processes do; hashes are the same, which the documentation says."""
    program = "import os, random, uuid; print(random.random(), uuid.uuid4(), hash('x'), flush=True); os._exit(0)"
    first, second = [(await output_of(server, code, program))[0].split() for _ in range(2)]
    assert first[0] != second[0]
    assert first[1] != second[1]
    assert first[2] == second[2]


@with_server
async def test_an_error_looks_as_if_there_were_no_fork_server(server: ForkServer, code: Path) -> None:
    """The traceback begins with the runtime's own script, and the status is Python's."""
    said, status = await output_of(server, code, "import awslambdaric.bootstrap as b; b._get_handler = None")
    assert "fork_server_main" not in said
    assert status == 1
    assert (await output_of(server, code, "raise SystemExit(4)"))[1] == 4


@with_server
async def test_what_is_not_let_go_does_nothing(server: ForkServer, code: Path) -> None:
    """And ends with whoever should have let it go."""
    with Path(os.devnull).open("wb") as nowhere:
        process = fork(server, code, nowhere.fileno(), "open('ran', 'w')")
    assert process is not None
    assert process.is_in_groups()
    process._way.close()
    assert process.wait() == 1
    assert not (code / "ran").exists()


@with_server
async def test_a_fork_server_that_was_killed_comes_again(server: ForkServer, code: Path) -> None:
    """Its forks live on; until it is back, starts are ordinary."""
    with Path(os.devnull).open("wb") as nowhere:
        child = fork(server, code, nowhere.fileno(), "import time; time.sleep(60)")
        assert child is not None
        child.release()
        before = server.pid
        os.kill(before, signal.SIGKILL)
        os.waitid(os.P_PID, before, os.WEXITED | os.WNOWAIT)
        assert fork(server, code, nowhere.fileno()) is None
        assert psutil.pid_exists(child.pid)
        child.kill()
        assert child.wait() == -signal.SIGKILL
        async with asyncio.timeout(10):
            while server.pid in (0, before):
                await asyncio.sleep(0.002)
            await server.ready()
        again = fork(server, code, nowhere.fileno())
        assert again is not None
        again.kill()
        again.wait()
    assert server.notes == []


@with_server
async def test_what_cannot_be_asked_for_is_started_in_the_ordinary_way(server: ForkServer, code: Path) -> None:
    """Who is told why, and as soon as it works is not any more."""
    with Path(os.devnull).open("wb") as nowhere:
        assert fork(server, code, nowhere.fileno(), PYTHONHASHSEED="1") is None
        (note,) = server.notes
        assert "orders" in note
        assert "PYTHONHASHSEED" in note
        process = fork(server, code, nowhere.fileno())
        assert process is not None
        process.kill()
        process.wait()
    assert server.notes == []


@in_loop
async def test_one_that_cannot_start_is_told_of_and_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its last words."""
    program = tmp_path / "broken.py"
    program.write_text("raise RuntimeError('no such machine')")
    monkeypatch.setattr("emulator.sandbox.fork_server._PROGRAM", program)
    async with running() as server:
        (note,) = server.notes
        assert "RuntimeError: no such machine" in note
        assert server.pid == 0
        with Path(os.devnull).open("wb") as nowhere:
            assert fork(server, tmp_path, nowhere.fileno()) is None


def test_the_client_is_where_the_fork_server_looks_for_it() -> None:
    """It is made of Python files, and its C extension is a module beside it."""
    assert importlib.util.find_spec("awslambdaric.__main__") is not None
    extension = importlib.util.find_spec("runtime_client")
    assert extension is not None
    assert extension.origin is not None
    assert Path(extension.origin).suffix == ".so"
    assert sys.platform == "linux"
