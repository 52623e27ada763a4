"""Runtimes that are forked from a prepared process: nothing but the speed of their start tells them from others."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from emulator import Emulator, Function
from emulator.embedded import DeployedFunction
from tests.integration.conftest import FUNCTIONS
from tests.integration.running import start_up
from tests.needs import need_database
from tests.support import eventually

_numbers = itertools.count(1)
# What no two environments have in common, and no two functions.
OWN = {
    *("AWS_LAMBDA_RUNTIME_API", "AWS_LAMBDA_METADATA_API", "AWS_LAMBDA_METADATA_TOKEN", "AWS_LAMBDA_LOG_STREAM_NAME"),
    *("AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_LOG_GROUP_NAME", "_X_AMZN_TRACE_ID", "TMPDIR", "DB_HOST", "DB_PORT"),
}
SERVER, RUNTIME = "fork_server_main.py", "runtime_main.py"


@pytest.fixture(scope="module")
def forking() -> Iterator[Emulator]:
    """One emulator with a fork server and a database."""
    need_database()
    with Emulator({"emulator": {"sandbox": "process", "fork_server": True}}) as running:
        yield running


def deploy(emulator: Emulator, folder: str | Path = "anything", **settings: Any) -> DeployedFunction:
    code = FUNCTIONS / folder
    chosen: dict[str, Any] = {"memory": 512, "timeout": 10, "code": code} | settings
    return emulator.add(Function(name=f"{code.name}-{next(_numbers)}", **chosen))


def server_of(pid: int | None = None) -> psutil.Process:
    """The fork server of an emulator: of this process, or of another."""
    found = [child for child in psutil.Process(pid).children() if any(SERVER in word for word in child.cmdline())]
    (server,) = found
    return server


def is_forked(function: DeployedFunction) -> bool:
    """Whether the runtime of the only environment comes from the fork server: its libraries lie at the same place."""
    (view,) = function.environments()
    return _places(view.sandbox.pid) == _places(server_of().pid)


def _places(pid: int) -> set[str]:
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return {line.split()[0] for line in lines if "libc.so" in line}


def test_a_forked_runtime_looks_like_any_other(forking: Emulator) -> None:
    """Arguments, search path, variables by three ways, signals, limits, descriptors, streams, groups, parent."""
    forked = deploy(forking, "portrait", environment={"COLOUR": "blåu"})
    ordinary = deploy(forking, "portrait", environment={"COLOUR": "blåu", "MALLOC_PERTURB_": "0"})
    ours, theirs = (function.invoke().payload for function in (forked, ordinary))
    assert is_forked(forked)
    assert not is_forked(ordinary)
    for name in ours:
        if name not in ("variables", "inherited", "shown"):
            assert ours[name] == theirs[name], name
    assert ours["parent"] == os.getpid()
    assert ours["main"]
    assert ours["shown"] == ours["inherited"] == sorted(["", *(f"{k}={v}" for k, v in ours["variables"].items())])
    assert ours["variables"].keys() == theirs["variables"].keys() - {"MALLOC_PERTURB_"}
    different = {name for name, value in ours["variables"].items() if value != theirs["variables"][name]}
    assert different <= OWN
    (note,) = [note for note in forking.status().notes if ordinary.name in note]
    assert "MALLOC_PERTURB_ is read at the start of a program" in note


def test_environments_do_not_share_memory(forking: Emulator) -> None:
    """Each counts for itself, and what one prints is in its own log."""
    function = deploy(forking)
    first, second = function.invoke_parallel([{"do": "sleep", "seconds": 0.2}] * 2)
    assert first.environment_id != second.environment_id
    assert {first.payload, second.payload} == {1}
    said = function.invoke({"do": "say", "lines": ["one", "two"], "rest": "three"})
    assert [line for line in said.logs.splitlines() if not line.startswith(("START", "END", "REPORT"))] == [
        *("one", "two", "three")
    ]


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({"do": "leave", "status": 3}, "exit status 3"),
        ({"do": "kill_self"}, "signal: killed"),
        ({"do": "segfault"}, "signal: segmentation fault"),
        ({"do": "sleep", "seconds": 60}, "timed out"),
    ],
)
def test_after_a_failure_the_next_runtime_is_forked(forking: Emulator, event: dict[str, Any], message: str) -> None:
    """How it ended is told as ever; the environment stays, with what is in /tmp, and without what was in memory."""
    function = deploy(forking, timeout=3)
    function.invoke({"do": "write", "name": "kept", "content": "still here"})
    failed = function.invoke(event)
    assert message in failed.payload["errorMessage"]
    after = function.invoke({"do": "read", "name": "kept"})
    assert after.payload == "still here"
    assert after.environment_id == failed.environment_id
    assert function.invoke({"do": "count"}).payload == 2
    assert is_forked(function)


def test_a_silent_end_leaves_the_session(forking: Emulator) -> None:
    """As for any process: the server goes on thinking that the client is there."""
    function = deploy(forking, "sql")
    result = function.invoke({"statements": ["SELECT 1"]})
    assert is_forked(function)
    function.recycle("silent")
    (session,) = [session for session in forking.connections() if session.id == result.payload["connection_id"]]
    assert session.zombie
    forking.kill_zombies()


def test_a_layer_with_libraries_is_left_to_an_ordinary_start(forking: Emulator, tmp_path: Path) -> None:
    """The loader reads where they are when a program starts; a layer without any is no obstacle."""
    for name in ("lib", "python"):
        (tmp_path / name / name).mkdir(parents=True)
        (tmp_path / name / name / "empty").touch()
        function = deploy(forking, layers=[tmp_path / name])
        function.invoke({"do": "nothing"})
        assert is_forked(function) == (name == "python")


def test_a_fork_server_that_is_killed_takes_nothing_with_it(forking: Emulator) -> None:
    """Its forks live, new runtimes start in any case, and it comes again."""
    function = deploy(forking)
    before = function.invoke({"do": "count"})
    server = server_of()
    server.kill()
    assert function.invoke({"do": "count"}).payload == 2
    function.recycle()
    again = function.invoke({"do": "count"})
    assert (again.payload, again.environment_id != before.environment_id) == (1, True)

    def is_back() -> bool:
        function.recycle()
        function.invoke({"do": "count"})
        return is_forked(function)

    eventually(lambda: server.pid not in [child.pid for child in psutil.Process().children()], "the end is heard of")
    eventually(is_back, "runtimes are forked again")


def test_everything_dies_with_the_emulator(tmp_path: Path) -> None:
    """After kill -9: the fork server, and the frozen runtime with its child; also where no control group holds them."""
    (tmp_path / "lambda-freezer.toml").write_text(
        f"""
        [emulator]
        sandbox = "process"
        fork_server = true
        [database]
        server = "none"
        [functions.counting]
        code = "{FUNCTIONS / "counting"}"
        memory = 1769
        """
    )
    with start_up(tmp_path, "--freezer", "signals") as up:
        assert up.run("invoke", "counting").returncode == 0
        family = psutil.Process(up.process.pid).children(recursive=True)
        assert server_of(up.process.pid) in family
        assert len([process for process in family if any(RUNTIME in word for word in process.cmdline())]) == 2
        os.kill(up.process.pid, signal.SIGKILL)
        up.process.wait(timeout=10)
        _, alive = psutil.wait_procs(family, timeout=10)
        assert alive == []
