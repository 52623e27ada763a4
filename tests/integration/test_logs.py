"""Logs for real: nothing of a flood is lost, readers of any speed get it all, and the command shows it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import pty
import re
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from emulator import Emulator, Function
from emulator.embedded import DeployedFunction
from emulator.model import Logging
from tests.integration.conftest import FUNCTIONS
from tests.integration.running import PROGRAM, Up, start_up
from tests.needs import need_engine
from tests.support import eventually

LINES = 100_000  # of 100 bytes, from each of three writers


@pytest.fixture(scope="module", params=["process", pytest.param("container", marks=pytest.mark.container)])
def emulator(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """An emulator of each kind whose log folder is a user's."""
    if request.param == "container":
        need_engine()
    settings = {"sandbox": request.param, "log_folder": str(tmp_path_factory.mktemp("logs"))}
    with Emulator({"emulator": settings, "database": {"server": "none"}}) as running:
        yield running


def add(emulator: Emulator, name: str, folder: str = "anything", **settings: Any) -> DeployedFunction:
    return emulator.add(Function(name=name, code=FUNCTIONS / folder, timeout=60, memory=1769, **settings))


def file_of(function: DeployedFunction, group: str | None = None) -> Path:
    """The only stream of a function."""
    (view,) = function.environments()
    group = group or f"aws/lambda/{function.name}"
    return Path(function.emulator.status().log_folder) / group / f"{view.log_stream}.log"


def get(emulator: Emulator, path: str) -> bytes:
    with urllib.request.urlopen(f"{emulator.endpoint_url}/_emulator/api/functions/{path}") as answer:
        found = answer.read()
    assert isinstance(found, bytes)
    return found


def test_a_flood_is_in_the_file_whole_and_in_order(emulator: Emulator) -> None:
    """30 MB from standard output, standard error and a child process: each line once, in each writer's order."""
    function = add(emulator, "flood", "chatty")
    function.invoke({"lines": LINES})
    seen = {b"out": 0, b"err": 0, b"child": 0}
    platform = []
    for line in file_of(function).read_bytes().splitlines():
        words = line.split(b" ")
        if len(line) == 99 and words[0] in seen:
            assert int(words[1]) == seen[words[0]]
            seen[words[0]] += 1
        else:
            platform.append(words[0])
    assert set(seen.values()) == {LINES}
    assert platform == [b"INIT_START", b"START", b"END", b"REPORT"]
    assert get(emulator, "flood/logs") == file_of(function).read_bytes()


def test_a_client_that_does_not_read_holds_nobody_up_and_misses_nothing(emulator: Emulator) -> None:
    """It follows and reads nothing, the function is served, and then the client has it all."""
    function = add(emulator, "slow", "chatty")
    function.invoke({"lines": 1})
    parts = urlsplit(emulator.endpoint_url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=30)
    connection.request("GET", "/_emulator/api/functions/slow/logs?follow=true")
    answer = connection.getresponse()
    for _ in range(2):
        function.invoke({"lines": 50_000})
    written = file_of(function).read_bytes()
    assert len(written) > 30_000_000
    assert answer.read(len(written)) == written
    connection.close()


def test_environments_are_merged_and_told_apart(emulator: Emulator) -> None:
    """In the order in which lines came, as NDJSON with their origin, and each alone by the beginning of its id."""
    function = add(emulator, "merged")
    first, second = function.invoke_parallel([{"do": "sleep", "seconds": 0.5}] * 2)
    ids = {first.environment_id, second.environment_id}
    entries = [json.loads(line) for line in get(emulator, "merged/logs?format=json").splitlines()]
    assert {entry["environment"] for entry in entries} == ids
    assert [entry["time"] for entry in entries] == sorted(entry["time"] for entry in entries)
    assert entries[0].keys() == {"time", "environment", "stream", "line"}
    assert entries[0]["stream"].endswith(f"[$LATEST]{entries[0]['environment']}")
    assert "".join(entry["line"] + "\n" for entry in entries) == function.logs()
    assert get(emulator, f"merged/logs?environment={first.environment_id[:12]}").decode() == first.logs
    assert function.logs(second.environment_id) == second.logs
    assert function.logs(tail=2) == "".join(function.logs().splitlines(keepends=True)[-2:])
    function.recycle()
    assert function.logs(first.environment_id).startswith(first.logs)


def test_a_json_log_with_levels_in_a_group_of_ones_own(emulator: Emulator) -> None:
    """Every line of Lambda's is an event; what is below the function's level is not there."""
    function = add(emulator, "levels", logging=Logging(format="JSON", application_level="WARN", group="/shared/by.all"))
    said = ['{"level": "DEBUG", "n": 1}', '{"level": "ERROR", "n": 2}', "plain"]
    result = function.invoke({"do": "say", "lines": said})
    file = file_of(function, "shared/by.all")
    assert re.fullmatch(r"levels\[\$LATEST\][0-9a-f]{32}\.log", file.name)
    assert file.read_text() == result.logs == function.logs()
    entries = result.logs.splitlines()
    assert '{"level": "ERROR", "n": 2}' in entries
    assert "plain" in entries
    assert '"DEBUG"' not in result.logs
    types = [json.loads(entry).get("type") for entry in entries if entry.startswith("{")]
    assert [kind for kind in types if kind in ("platform.initStart", "platform.start", "platform.report")] == [
        "platform.initStart",
        "platform.start",
        "platform.report",
    ]


@pytest.mark.parametrize(
    ("path", "status", "complaint"),
    [
        ("nobody/logs", 404, "Function not found"),
        ("silent/logs?environment=nobody", 404, "Environment not found"),
        ("silent/logs?tail=-1", 422, "greater than or equal to 0"),
        ("silent/logs?format=xml", 422, "'text' or 'json'"),
    ],
)
def test_wrong_wishes_are_refused(emulator: Emulator, path: str, status: int, complaint: str) -> None:
    """In the style of the other routes; a function without a log is not one of them."""
    add(emulator, "silent")
    assert get(emulator, "silent/logs") == b""
    with pytest.raises(urllib.error.HTTPError) as caught:
        get(emulator, path)
    assert caught.value.code == status
    assert complaint in caught.value.read().decode()


# -- the command -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """``lambda-freezer up`` without a database."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "lambda-freezer.toml").write_text(
        f"""
        [emulator]
        sandbox = "process"
        log_folder = "logs"
        [database]
        server = "none"
        [functions.anything]
        code = "{FUNCTIONS / "anything"}"
        """
    )
    with start_up(folder) as running:
        yield running


def say(up: Up, *lines: str) -> None:
    done = up.run("invoke", "anything", "--payload", json.dumps({"do": "say", "lines": lines}))
    assert done.returncode == 0, done.stderr


def follow(up: Up, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [PROGRAM, "logs", "anything", "--follow", *arguments, "--endpoint", up.endpoint],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_command_prints_what_was_written(up: Up) -> None:
    """Whole, the last lines of it, or as JSON; piped it is what the files have, which are where ``up`` says."""
    say(up, "one", "two")
    whole = up.run("logs", "anything").stdout
    assert "\none\ntwo\nEND RequestId: " in whole
    assert up.run("logs", "anything", "--tail", "1").stdout == whole.splitlines(keepends=True)[-1]
    entries = [json.loads(line) for line in up.run("logs", "anything", "--json").stdout.splitlines()]
    assert [entry["line"] for entry in entries] == whole.splitlines()
    chosen = up.run("logs", "anything", "--environment", entries[0]["environment"][:8])
    assert chosen.stdout == whole
    folder = up.output.parent / "logs"
    assert "".join(path.read_text() for path in folder.rglob("*.log")) == whole
    eventually(lambda: f"logs      {folder}" in up.output.read_text(), "the greeting names the folder")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [(["nobody"], "Function not found"), (["anything", "--environment", "nobody"], "Environment not found")],
)
def test_unknown_names_are_exit_status_2(up: Up, arguments: list[str], complaint: str) -> None:
    """With or without following."""
    for more in ([], ["--follow"]):
        done = up.run("logs", *arguments, *more)
        assert (done.returncode, done.stdout) == (2, "")
        assert complaint in " ".join(done.stderr.split())


def test_following_goes_on_until_ctrl_c(up: Up) -> None:
    """What comes is printed as it comes; the end is quiet."""
    say(up, "before")
    with follow(up, "--tail", "3") as command:
        assert command.stdout is not None
        assert command.stderr is not None
        assert command.stdout.readline() == "before\n"
        assert command.stdout.readline().startswith("END ")
        assert command.stdout.readline().startswith("REPORT ")
        say(up, "while following")
        assert command.stdout.readline().startswith("START ")
        assert command.stdout.readline() == "while following\n"
        command.send_signal(signal.SIGINT)
        assert command.wait(10) == 130
        assert command.stderr.read() == ""


def test_a_terminal_shows_where_lines_come_from_and_what_failed(up: Up) -> None:
    """The environment is dim and short in front, Lambda's own lines are dim, errors red."""
    say(up, "hello", "[ERROR] no")
    (environment,) = json.loads(up.run("ps", "--json").stdout)["environments"]
    reading, terminal = pty.openpty()
    subprocess.run(
        [PROGRAM, "logs", "anything", "--tail", "3", "--endpoint", up.endpoint],
        stdout=terminal,
        env=os.environ | {"TERM": "xterm", "COLORTERM": "", "NO_COLOR": ""},
        timeout=50,
        check=True,
    )
    os.close(terminal)
    shown = b""
    with contextlib.suppress(OSError):  # a terminal without a program ends like that
        while piece := os.read(reading, 4096):
            shown += piece
    os.close(reading)
    where = f"\x1b[2m{environment['id'][:8]} \x1b[0m"
    failed, ended, reported = shown.decode().splitlines()
    assert failed == f"{where}\x1b[31m[ERROR] no\x1b[0m"
    assert ended.startswith(f"{where}\x1b[2mEND RequestId: ")
    assert reported.startswith(f"{where}\x1b[2mREPORT RequestId: ")


def test_following_ends_with_the_emulator(tmp_path: Path) -> None:
    """A stop is no error: the last lines come, and then the end."""
    (tmp_path / "lambda-freezer.toml").write_text(
        f"""
        [emulator]
        sandbox = "process"
        [database]
        server = "none"
        [functions.anything]
        code = "{FUNCTIONS / "anything"}"
        """
    )
    with start_up(tmp_path) as up:
        say(up, "before")
        with follow(up) as command:
            assert command.stdout is not None
            assert command.stdout.readline().startswith("INIT_START ")
            up.process.send_signal(signal.SIGINT)
            assert command.wait(20) == 0
            assert command.stdout.read().endswith("\t\n")
        assert up.process.wait(20) == 0
    assert "Traceback" not in up.output.read_text()
