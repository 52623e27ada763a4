"""The commands as a user types them, with what they print and how they end."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import FUNCTIONS, SAMPLES
from tests.integration.running import PROGRAM, Up, command, start_up
from tests.needs import need_database
from tests.support import eventually


def flat(text: str) -> str:
    """What was printed, whatever the width of the terminal."""
    return " ".join(text.split())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project folder with a configuration file of two functions."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "lambda-freezer.toml").write_text(
        f"""
        [emulator]
        sandbox = "process"
        [functions.anything]
        code = "{FUNCTIONS / "anything"}"
        [functions.connect_once]
        code = "{SAMPLES / "connect_once"}"
        """
    )
    return folder


@pytest.fixture(scope="module")
def up(folder: Path) -> Iterator[Up]:
    """An emulator with a database, started in the folder without further words."""
    need_database()
    with start_up(folder) as running:
        yield running


def test_up_tells_how_it_runs(up: Up) -> None:
    """The first lines name the address, the sandbox, the freezer in force and the network fidelity."""
    eventually(lambda: "connect_once" in up.output.read_text(), "the greeting is complete")
    text = up.output.read_text()
    assert "sandbox   process" in text
    assert "a freeze" in text
    assert "network   fidelity" in text
    assert "anything, connect_once" in text


def test_invoke(up: Up) -> None:
    """The answer goes to standard output alone, so that it can be piped."""
    done = up.run("invoke", "anything", "--payload", '{"do": "echo", "n": 1}')
    assert (done.returncode, json.loads(done.stdout), done.stderr) == (0, {"do": "echo", "n": 1}, "")


def test_invoke_with_payload_from_elsewhere(up: Up, tmp_path: Path) -> None:
    """A payload comes from a file or from standard input as well."""
    (tmp_path / "event.json").write_text('{"do": "echo", "from": "file"}')
    assert json.loads(up.run("invoke", "anything", "-p", f"@{tmp_path}/event.json").stdout)["from"] == "file"
    done = up.run("invoke", "anything", "-p", "-", stdin='{"do": "echo", "from": "stdin"}')
    assert json.loads(done.stdout)["from"] == "stdin"


def test_invoke_shows_the_log(up: Up) -> None:
    """--log brings the log lines on standard error, the answer stays alone on standard output."""
    done = up.run("invoke", "anything", "--log", "--payload", '{"do": "say", "lines": ["hello there"]}')
    assert done.stdout == "null\n"
    assert "hello there" in done.stderr
    assert "REPORT RequestId" in done.stderr


def test_failing_function_is_exit_status_1(up: Up) -> None:
    """The error of the function is printed, and the exit status tells it apart."""
    done = up.run("invoke", "anything", "--payload", '{"do": "fail", "message": "no"}')
    assert done.returncode == 1
    assert json.loads(done.stdout)["errorMessage"] == "no"


def test_asynchronous_invocation(up: Up) -> None:
    """--event does not wait."""
    done = up.run("invoke", "anything", "--event", "--payload", '{"do": "count"}')
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["invoke", "nobody"], "Function not found: arn:aws:lambda:us-east-1:123456789012:function:nobody"),
        (["invoke", "anything", "--payload", "{no"], "Could not parse request body into json"),
        (["invoke", "anything", "--payload", "@/does/not/exist"], "the payload cannot be read"),
        (["recycle", "nobody"], "Function not found"),
        (["ps", "--function", "nobody"], "Function not found"),
    ],
)
def test_wrong_input_is_exit_status_2(up: Up, arguments: list[str], complaint: str) -> None:
    """One message, no traceback."""
    done = up.run(*arguments)
    assert done.returncode == 2
    assert complaint in flat(done.stderr)
    assert "Traceback" not in done.stderr


def test_ps_connections_and_recycle(up: Up) -> None:
    """Environments and sessions can be seen, as tables and as JSON, and be ended."""
    answer = json.loads(up.run("invoke", "connect_once").stdout)
    (environment,) = json.loads(up.run("ps", "--json", "--function", "connect_once").stdout)["environments"]
    assert environment["state"] == "frozen"
    assert environment["connections"] == 1
    found = json.loads(up.run("connections", "--json").stdout)
    (session,) = [s for s in found["connections"] if s["environment"] == environment["id"]]
    assert session["id"] == answer["connection_id"]
    assert environment["id"][:8] in up.run("ps").stdout
    assert "❄ frozen" in up.run("connections").stdout
    recycled = json.loads(up.run("recycle", "--json", environment["id"][:8]).stdout)
    assert recycled == {"recycled": [environment["id"]], "when_parked": []}
    eventually(
        lambda: json.loads(up.run("ps", "--json", "--function", "connect_once").stdout)["environments"] == [],
        "the environment goes",
    )


def test_timeline_in_the_terminal_and_for_programs(up: Up, tmp_path: Path) -> None:
    """A line an event, filtered, as text and as JSON; the JSON can be compared, and exported as a trace."""
    up.run("invoke", "connect_once")
    text = up.run("timeline", "--kind", "invocation.finished", "--function", "connect_once").stdout
    assert "✓ invocation.finished" in text
    assert "took" in text
    assert len({line.index("invocation.") for line in text.splitlines()}) == 1
    found = up.run("timeline", "--json", "--since", "1h")
    events = [json.loads(line) for line in found.stdout.splitlines()]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    later = up.run("timeline", "--json", "--since", str(events[-3]["seq"])).stdout
    assert json.loads(later.splitlines()[0])["seq"] == events[-2]["seq"]
    (tmp_path / "run.jsonl").write_text(found.stdout)
    done = command("timeline", "diff", str(tmp_path / "run.jsonl"), str(tmp_path / "run.jsonl"))
    assert "→ nothing got better or worse" in done.stdout
    up.run("timeline", "export", "--perfetto", str(tmp_path / "trace.json"))
    trace = json.loads((tmp_path / "trace.json").read_text())
    assert {"M", "X", "b", "C"} <= {entry["ph"] for entry in trace["traceEvents"]}


@pytest.mark.parametrize("arguments", [["timeline", "--follow", "--json"], ["ps", "--watch"]])
def test_what_follows_ends_at_an_interrupt_without_a_word(up: Up, arguments: list[str]) -> None:
    """It shows what is there at once, and goes quietly."""
    following = subprocess.Popen(
        [PROGRAM, *arguments, "--endpoint", up.endpoint],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    assert following.stdout is not None
    assert following.stdout.readline()
    following.send_signal(signal.SIGINT)
    _, complaints = following.communicate(timeout=20)
    assert (following.returncode, complaints) == (130, "")


def test_watch_is_not_for_programs(up: Up) -> None:
    """JSON that is drawn over itself is none; the message names what programs follow."""
    done = up.run("ps", "--watch", "--json")
    assert done.returncode == 2
    assert "timeline --follow --json" in flat(done.stderr)


def test_sessions_in_sentences(up: Up) -> None:
    """What each does, where, and what becomes of it; the figures of monitoring know of it as well."""
    up.run("invoke", "connect_once")
    shown = flat(up.run("connections").stdout)
    assert re.search(r"asleep [^;]* in environment [0-9a-f]{4}, ❄ frozen; MySQL drops it in [^;]*; its slot", shown)
    assert 'lambda_invocations_total{function="connect_once"}' in up.run("metrics").stdout


def test_no_emulator() -> None:
    """Without an emulator the message says how to start one."""
    done = command("ps", "--endpoint", "http://127.0.0.1:9")
    assert done.returncode == 2
    assert "lambda-freezer up" in done.stderr


def test_port_in_use(folder: Path) -> None:
    """A taken port is named, with the cure; nothing was started before."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = command("up", "--port", str(port), cwd=folder)
    assert done.returncode == 2
    assert f"127.0.0.1:{port}" in done.stderr
    assert "--port" in done.stderr


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[emulator]\nprot = 1", "[emulator] prot is not a setting; there are: account, concurrency"),
        ("[emulator]\nport = 'x'", "[emulator] port is 'x'"),
        ("[policy]\nidle_timeout = '7 bananas'", 'a duration is written like "7m"'),
        ("[functions.f]\ncode = '/does/not/exist'", "its code /does/not/exist does not exist"),
        ("[functions.f]\nhandler = 'a.b'", "function f: code is missing"),
        ("[functions.f]\ncode = '.'\nmemory = 1", "memory is 1"),
        ("[functions.f]\ncode = '.'\nruntime = 'cobol85'", "cobol85"),
        ("[emulator", "is not TOML"),
        ("[database]\nprofile = 'db.t3.mikro'", "Close to it: db.t3.micro"),
        ("[emulator]\ntimeline_file = '/proc/nothing/run.jsonl'", "the timeline cannot be written to /proc/nothing"),
        ("[database]\nserver = 'mysql://u:p@127.0.0.1:9/d'", "127.0.0.1:9"),
        ("[functions.f]\ncode = '.'\n[emulator]\nstate = 'kept'", "kept, which is part of the code of f"),
    ],
)
def test_wrong_configuration(tmp_path: Path, text: str, complaint: str) -> None:
    """File, key, what was found and what is allowed; exit status 2; nothing runs."""
    (tmp_path / "lambda-freezer.toml").write_text(text)
    done = command("up", "--port", "0", "--sandbox", "process", cwd=tmp_path)
    assert done.returncode == 2
    assert complaint in flat(done.stderr)
    assert "Traceback" not in done.stderr
    assert "→" in done.stderr


def test_ctrl_c_in_the_middle_of_a_cold_start(folder: Path) -> None:
    """Interrupted while an environment starts: exit status 0 and no process left."""
    import threading

    with start_up(folder) as running:
        slow = threading.Thread(target=running.run, args=("invoke", "anything", "-p", '{"do": "count"}'))
        slow.start()
        eventually(lambda: json.loads(running.run("ps", "--json").stdout)["environments"], "an environment starts", 20)
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(timeout=20) == 0
        slow.join(timeout=20)
    assert "Traceback" not in running.output.read_text()


def test_ctrl_c_while_starting(folder: Path) -> None:
    """Interrupted before it is ready: no traceback, nothing left."""
    with start_up(folder, wait=False) as running:
        eventually(lambda: Path(f"/proc/{running.process.pid}/task").exists(), "it runs")
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(timeout=20) in (0, 1, 130, -2)


def test_doctor() -> None:
    """doctor looks at the machine without an emulator, for people and for programs."""
    done = command("doctor")
    assert done.returncode == 0, done.stderr
    assert "freezer" in done.stdout.lower()
    found = json.loads(command("doctor", "--json").stdout)
    assert {check["name"] for check in found["checks"]} >= {"python", "database server", "container engine"}
    assert found["freezers"]["process"]["name"] in ("cgroup-v2", "cgroup-v1", "signals")


def test_usage() -> None:
    """Without a command the help; a command that is not there is exit status 2."""
    assert "connections" in command("--help").stdout
    assert command("frobnicate").returncode == 2
