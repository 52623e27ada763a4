"""What users meet when things go wrong around the emulator: no engine, readers that go, interrupts, want of files."""

from __future__ import annotations

import gc
import http.client
import json
import os
import resource
import signal
import socket
import subprocess
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from emulator import Emulator, Function, Settings
from emulator.database.local import free_port
from emulator.errors import CodeError, ServiceError
from tests.integration.conftest import FUNCTIONS
from tests.integration.running import PROGRAM, command, start_up
from tests.support import eventually


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a configuration of one function, without a database."""
    (tmp_path / "lambda-freezer.toml").write_text(
        f"""
        [emulator]
        sandbox = "process"
        [database]
        server = "none"
        [functions.anything]
        code = "{FUNCTIONS / "anything"}"
        timeout = 30
        """
    )
    return tmp_path


def without_engine(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``up`` where DOCKER_HOST leads nowhere."""
    return subprocess.run(
        [PROGRAM, "up", "--port", "0", *arguments],
        env=os.environ | {"DOCKER_HOST": "unix:///nowhere/docker.sock"},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        cwd=project,
    )


@pytest.mark.parametrize("arguments", [("--sandbox", "container"), ("--database", "docker")])
def test_no_engine(project: Path, arguments: tuple[str, ...]) -> None:
    """Where DOCKER_HOST names no engine, what needs one is refused, with the address and the cure."""
    done = without_engine(project, *arguments)
    assert done.returncode == 2
    assert "no container engine answers at unix:///nowhere/docker.sock" in done.stderr
    assert "sandbox = " in done.stderr
    assert "Traceback" not in done.stderr


def test_auto_without_engine_is_processes(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no engine answers, auto takes processes."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    with start_up(project, "--sandbox", "auto") as up:
        eventually(lambda: "sandbox   process" in up.output.read_text(), "it tells its sandbox")


def invoke_raw(endpoint: str, event: dict[str, object]) -> tuple[int, bytes, str]:
    """Status, body and error type of an invocation over HTTP."""
    parts = urlsplit(endpoint)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=40)
    try:
        connection.request("POST", "/2015-03-31/functions/anything/invocations", json.dumps(event))
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers.get("x-amzn-ErrorType", "")
    finally:
        connection.close()


def test_interrupt_answers_whoever_waits(project: Path) -> None:
    """Ctrl-C in the middle of an invocation: the client gets AWS's kind of answer, the screen no traceback."""
    with start_up(project) as up:
        answers: list[tuple[int, bytes, str]] = []
        waiting = threading.Thread(
            target=lambda: answers.append(invoke_raw(up.endpoint, {"do": "sleep", "seconds": 25}))
        )
        waiting.start()
        eventually(lambda: '"invoking"' in up.run("ps", "--json").stdout, "the function runs", 20)
        up.process.send_signal(signal.SIGINT)
        assert up.process.wait(timeout=20) == 0
        waiting.join(timeout=20)
    ((status, body, kind),) = answers
    assert (status, kind) == (502, "ServiceException")
    assert b"the emulator stops" in body
    assert "Traceback" not in up.output.read_text()


@pytest.mark.parametrize("moment", [0.05, 0.15, 0.3, 0.5, 0.8])
def test_interrupt_at_any_moment_of_the_start(project: Path, moment: float) -> None:
    """Whenever it comes, there is no traceback."""
    with start_up(project, wait=False) as up:
        threading.Event().wait(moment)  # not waiting for anything: the moment is the subject
        up.process.send_signal(signal.SIGINT)
        status = up.process.wait(timeout=20)
    text = up.output.read_text()
    if "Fatal Python error" in text:  # Python was still reading in its own first modules
        return
    assert status in (0, 130, -signal.SIGINT)
    assert "never awaited" not in text
    assert "Exception ignored" not in text
    if "Traceback" in text:  # it was not yet our turn
        assert "cli.py" not in text
        assert text.count("Traceback") == 1
        assert text.rstrip().endswith("KeyboardInterrupt")


def test_reader_that_does_not_read_holds_nothing_up(project: Path) -> None:
    """A stopped terminal, or a pager: functions go on, and Ctrl-C ends it all the same."""
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [PROGRAM, "up", "--port", "0"], stdout=writing, stderr=writing, cwd=project, start_new_session=True
    )
    os.close(writing)
    try:
        greeting = b""
        while b"function " not in greeting:
            greeting += os.read(reading, 4096)
        endpoint = greeting.decode().partition("http://")[2].split()[0]
        event: dict[str, object] = {"do": "say", "lines": ["x" * 99] * 20_000}  # far more than a pipe holds
        assert invoke_raw(f"http://{endpoint}", event)[:2] == (200, b"null")
        assert invoke_raw(f"http://{endpoint}", {"do": "count"})[0] == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) in (0, 130)
    finally:
        os.close(reading)
        process.kill()
        process.wait()


def test_reader_that_goes_away_breaks_nothing(project: Path) -> None:
    """`up | head -3`: what comes after the third line is lost, and nothing else."""
    reading, writing = os.pipe()
    with start_up(project, wait=False):  # another one on another port is not disturbed
        process = subprocess.Popen([PROGRAM, "up", "--port", "0"], stdout=writing, cwd=project, start_new_session=True)
        os.close(writing)
        try:
            greeting = b""
            while b"function " not in greeting:
                greeting += os.read(reading, 4096)
            os.close(reading)
            endpoint = greeting.decode().partition("http://")[2].split()[0]
            for _ in range(3):
                assert invoke_raw(f"http://{endpoint}", {"do": "count"})[0] == 200
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=20) in (0, 130)
        finally:
            process.kill()
            process.wait()


def test_want_of_open_files_is_told_and_passes() -> None:
    """Without a free descriptor an invocation is refused as ours to answer for, and its slot comes back."""
    with Emulator({"emulator": {"sandbox": "process"}}) as emulator:
        function = emulator.add(Function(name="anything", code=FUNCTIONS / "anything"))
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        # Not the number of those open: what was closed before leaves gaps below it, and a limit is on the highest.
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
        try:
            with pytest.raises(ServiceError):
                function.invoke({"do": "count"})
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        eventually(lambda: emulator.status().concurrency_in_use == 0, "the slot comes back")
        assert function.invoke({"do": "count"}).payload == 1


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("ps", "--endpoint", "http://127.0.0.1:notaport"), "is not an emulator's address"),
        (("recycle", ""), "the name is empty"),
        (("invoke", ""), "the name of the function is empty"),
        (("up", "--host", "300.1.1.1"), "an IPv4 address of this machine"),
    ],
)
def test_wrong_words(arguments: tuple[str, ...], complaint: str, project: Path) -> None:
    """Each is told in a sentence, without a traceback."""
    done = command(*arguments, cwd=project)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr


def test_names_with_anything_in_them(project: Path) -> None:
    """A name that is no name is not found, whatever it is made of."""
    with start_up(project) as up:
        for name in ("é", "a b", "../..", "%2e"):
            done = up.run("recycle", name)
            assert done.returncode == 2
            assert done.stderr.startswith("✗ ")
            assert "Traceback" not in done.stderr


def test_lost_database_is_in_the_status() -> None:
    """When the server has ended, the status says so, and functions without it go on."""
    with Emulator({"emulator": {"sandbox": "process"}}) as emulator:
        function = emulator.add(Function(name="anything", code=FUNCTIONS / "anything"))
        with emulator.connect() as admin, admin.cursor() as cursor:
            cursor.execute("SHUTDOWN")
        emulator.wait_for("database.unreachable")
        assert any("does not answer" in note for note in emulator.status().notes)
        assert function.invoke({"do": "count"}).payload == 1


def test_a_start_that_fails_gives_the_port_back() -> None:
    """It is taken first, so that a port which is taken already is told at once."""
    port = free_port(["127.0.0.1"])
    settings: dict[str, dict[str, Any]] = {
        "emulator": {"sandbox": "process", "port": port},
        "database": {"server": "none"},
        "functions": {"gone": {"code": "/nowhere"}},
    }
    with pytest.raises(CodeError, match="does not exist"), Emulator(settings):
        pass
    gc.collect()  # a socket that nobody has closed would be complained about here
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_log_sink_that_fails_harms_nobody() -> None:
    """What a program does with log lines is its own affair."""

    def sink(_function: str, _environment: str, _line: bytes) -> None:
        raise RuntimeError("the sink is broken")

    settings = Settings().with_values({"emulator": {"sandbox": "process", "port": 0}, "database": {"server": "none"}})
    with Emulator(settings, log_sink=sink) as emulator:
        function = emulator.add(Function(name="anything", code=FUNCTIONS / "anything"))
        assert [function.invoke({"do": "count"}).payload for _ in range(2)] == [1, 2]


def test_events_that_are_not_done_are_listed_at_the_end(project: Path) -> None:
    """One waits for its retry and one runs for too long: both are told with their payload, and Ctrl-C is no wait."""
    with start_up(project) as up:
        for payload in ({"do": "fail", "message": "no"}, {"do": "sleep", "seconds": 25}):
            assert up.run("invoke", "anything", "--event", "--payload", json.dumps(payload)).returncode == 0

        def states() -> list[str]:
            events = json.loads(up.run("queue", "--json").stdout)["events"]
            return [event["state"] for event in events]

        eventually(lambda: states() == ["waiting", "running"], "the first attempt of both")
        assert "ValueError" in up.run("queue").stdout
        up.process.send_signal(signal.SIGINT)
        up.process.wait(timeout=15)
        text = " ".join(up.output.read_text().split())
    assert "2 asynchronous events are not done" in text
    assert "waiting: attempt 1 of 3 failed: ValueError; again in 1 min" in text
    assert "running: attempt 1 of 3" in text
    assert '{"do": "sleep", "seconds": 25}' in text


def test_events_that_can_be_served_are_served_before_the_end(project: Path, tmp_path: Path) -> None:
    """Also those that wait for a place when the emulator is told to stop."""
    config = project / "lambda-freezer.toml"
    told = f'reserved_concurrency = 1\nasynchronous = {{ on_success = "file:{tmp_path}/done" }}\n'
    config.write_text(config.read_text().rstrip() + "\n" + told)
    with start_up(project) as up:
        assert invoke_raw(up.endpoint, {"do": "count"})[0] == 200  # the end waits for events, but not for long
        for number in range(4):
            event = json.dumps({"do": "sleep", "seconds": 0.1, "number": number})
            assert invoke_event(up.endpoint, event) == 202
        up.process.send_signal(signal.SIGINT)
        assert up.process.wait(timeout=15) is not None
        assert "not done" not in up.output.read_text()
    done = [json.loads(line)["requestPayload"]["number"] for line in (tmp_path / "done").read_text().splitlines()]
    assert done == [0, 1, 2, 3]


def invoke_event(endpoint: str, event: str) -> int:
    """The status of an asynchronous invocation."""
    parts = urlsplit(endpoint)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    try:
        path = "/2015-03-31/functions/anything/invocations"
        connection.request("POST", path, event, {"X-Amz-Invocation-Type": "Event"})
        return connection.getresponse().status
    finally:
        connection.close()
