"""Zombies, skipped time and ends of one's choice, as a user types them and as a program posts them."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from emulator import Emulator, Function
from emulator.client import Client
from tests.integration.conftest import FUNCTIONS, SAMPLES
from tests.integration.running import Up, start_up
from tests.needs import need_database
from tests.support import eventually


def flat(text: str) -> str:
    """What was printed, whatever the width of the terminal."""
    return " ".join(text.split())


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """An emulator with a database; only what has a policy of its own is recycled by itself."""
    need_database()
    folder = tmp_path_factory.mktemp("project")
    (folder / "lambda-freezer.toml").write_text(
        f"""
        [emulator]
        sandbox = "process"
        [policy]
        name = "keep-warm"
        [functions.orders]
        code = "{SAMPLES / "connect_once"}"
        timeout = 10
        [functions.brief]
        code = "{FUNCTIONS / "anything"}"
        policy = {{ name = "aws" }}
        """
    )
    with start_up(folder) as running:
        yield running


@pytest.fixture(autouse=True)
def nothing_of_before(request: pytest.FixtureRequest) -> None:
    """Each test begins without zombies and without environments of the functions."""
    if "up" not in request.fixturenames:
        return
    up: Up = request.getfixturevalue("up")
    for function in ("orders", "brief"):
        Client(up.endpoint).post(f"/_emulator/api/functions/{function}/recycle", {"reclaim": "fin"})
    eventually(lambda: not environments(up), "the end of all environments", 20)
    Client(up.endpoint).post("/_emulator/api/zombies/kill")
    eventually(lambda: not sessions(up), "the end of all sessions", 20)


def environments(up: Up, function: str | None = None) -> list[Any]:
    """Those of all functions, or of one."""
    found: list[Any] = Client(up.endpoint).get("/_emulator/api/environments")["environments"]
    return [one for one in found if function in (None, one["function"])]


def sessions(up: Up, *, zombies: bool = False) -> list[int]:
    """The server's thread ids of all sessions, or of zombies."""
    found = Client(up.endpoint).get("/_emulator/api/connections")["connections"]
    return [one["id"] for one in found if one["zombie"] or not zombies]


def invoke(up: Up, function: str, payload: bytes = b"{}") -> Any:
    """What a function answers, once its environment is at rest again."""
    answer = Client(up.endpoint).invoke(function, payload, kind="RequestResponse", tail=False).json()
    eventually(lambda: all(one["state"] == "frozen" for one in environments(up, function)), "the freeze", 20)
    return answer


def now(up: Up) -> float:
    """The emulator's clock."""
    return float(post(up.endpoint, "fast-forward", b'{"seconds": 0}')[1]["now"])


def read(up: Up, *arguments: str) -> Any:
    """What a command says with --json."""
    done = up.run(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def connect(up: Up) -> tuple[int, str]:
    """Have the function connect; its session and its environment, which is frozen now."""
    session = invoke(up, "orders")["connection_id"]
    (environment,) = environments(up, "orders")
    return session, environment["id"]


def zombie(up: Up) -> int:
    """Make one; its session."""
    session, _environment = connect(up)
    post(up.endpoint, "functions/orders/recycle", b'{"reclaim": "silent"}')
    eventually(lambda: sessions(up, zombies=True) == [session] and not environments(up), "a zombie", 20)
    return session


def test_without_zombies(up: Up) -> None:
    """A frozen environment's session is none; the counts are shown all the same."""
    connect(up)
    done = up.run("zombies")
    assert done.returncode == 0
    assert "No zombies." in done.stdout
    found = read(up, "zombies")
    assert found["connections"] == []
    assert (found["summary"]["zombies"], found["summary"]["connected"]) == (0, 1)
    assert read(up, "zombies", "--kill") == {"killed": []}
    assert flat(up.run("zombies", "--kill").stdout) == "0 zombies ended"


def test_zombies_are_listed_and_ended(up: Up) -> None:
    """With their session, function and end, beside a living one that stays."""
    dead = zombie(up)
    alive, _environment = connect(up)
    (session,) = read(up, "zombies")["connections"]
    assert (session["id"], session["function"], session["zombie"]) == (dead, "orders", True)
    assert session["environment_state"] == "gone"
    assert 0 < session["drops_in"] <= 7875
    table = flat(up.run("zombies").stdout)
    assert f"{dead} orders asleep" in table
    assert f"{alive} orders" not in table
    assert flat(up.run("zombies", "--kill").stdout) == "1 zombie ended"
    eventually(lambda: sessions(up) == [alive], "the end of the zombie", 20)


def test_killed_zombies_are_named_to_programs(up: Up) -> None:
    """Each as it was."""
    dead = zombie(up)
    (killed,) = read(up, "zombies", "--kill")["killed"]
    assert (killed["id"], killed["zombie"]) == (dead, True)


@pytest.mark.parametrize("how", ["fin", "rst", "graceful"])
def test_an_end_that_is_heard_leaves_no_zombie(up: Up, how: str) -> None:
    """By function or by the beginning of an environment's id."""
    for by_environment in (False, True):
        _session, environment = connect(up)
        name = environment[:8] if by_environment else "orders"
        assert read(up, "recycle", name, "--reclaim", how) == {"recycled": [environment], "when_parked": []}
        eventually(lambda: not sessions(up), "the end of the session", 20)


def test_without_a_word_the_policy_decides(up: Up) -> None:
    """Silent, where nothing else was said."""
    session, environment = connect(up)
    assert flat(up.run("recycle", environment[:8]).stdout) == "1 recycled"
    eventually(lambda: sessions(up, zombies=True) == [session], "a zombie", 20)


@pytest.mark.parametrize("word", ["loud", "", "SILENT", "fin,rst"])
def test_a_wrong_word_for_an_end_is_refused(up: Up, word: str) -> None:
    """One message with the words there are, exit status 2, and nothing has ended."""
    session, environment = connect(up)
    done = up.run("recycle", "orders", f"--reclaim={word}")
    assert done.returncode == 2, done.stdout
    for allowed in ("reclaim", "silent", "fin", "rst", "graceful"):
        assert allowed in done.stderr
    assert "Traceback" not in done.stderr
    assert connect(up) == (session, environment)


def test_skipped_time_lists_what_it_caused(up: Up) -> None:
    """The policy's timeout with its reason, as a table and as JSON."""
    for as_json in (False, True):
        invoke(up, "brief", b'{"do": "count"}')
        (environment,) = environments(up, "brief")
        if as_json:
            answer = read(up, "fast-forward", "7m1s")
            assert answer["seconds"] == 421
            assert answer["timers"] >= 1
            (event,) = [e for e in answer["caused"] if e["environment"] == environment["id"]]
            assert (event["kind"], event["function"]) == ("environment.shutting-down", "brief")
            assert event["reason"].startswith("idle 7 min")
        else:
            told = flat(up.run("fast-forward", "7m1s").stdout)
            assert f"environment.shutting-down brief {environment['id'][:8]} idle 7 min" in told
        eventually(lambda: not environments(up, "brief"), "the end of the environment", 20)


def test_nothing_was_due(up: Up) -> None:
    """No time, or too little: nothing happens, and that is said."""
    assert flat(up.run("fast-forward", "0").stdout) == "Nothing was due."
    before = now(up)
    after = read(up, "fast-forward", "1.5")
    assert (after["seconds"], after["caused"]) == (1.5, [])
    assert after["now"] >= before + 1.5


def test_nine_hours_from_the_command_line(up: Up) -> None:
    """The story of the README: connected, frozen, nine hours, and the sample's check finds a new connection."""
    session, environment = connect(up)
    told = flat(up.run("fast-forward", "9h").stdout)
    assert f"connection.closed – {environment[:8]}" in told or "connection.closed orders" in told, told
    again, same_environment = connect(up)
    assert same_environment == environment
    assert again != session


@pytest.mark.parametrize("span", ["8 bananas", "", "nan", "inf", "1e9", "7", "-5", "99999d"])
def test_spans_of_time(up: Up, span: str) -> None:
    """A plain number is seconds; whatever is none is refused with the form that is expected, and no traceback."""
    before = now(up)
    done = up.run("fast-forward", span)
    assert "Traceback" not in done.stderr
    if span == "7":
        assert done.returncode == 0
        return
    assert done.returncode == 2
    assert done.stderr
    assert now(up) - before < 60


# -- by HTTP ---------------------------------------------------------------------------------------------


def post(endpoint: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
    """Status and body of an answer; always JSON."""
    parts = urlsplit(endpoint)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    try:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        connection.request("POST", f"/_emulator/api/{path}", body, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_skipping_time_by_http(up: Up) -> None:
    """What was skipped, what time it is now, and the events as the timeline has them."""
    invoke(up, "brief", b'{"do": "count"}')
    status, answer = post(up.endpoint, "fast-forward", b'{"seconds": 450}')
    assert status == 200
    assert answer.keys() == {"seconds", "now", "timers", "caused"}
    assert answer["seconds"] == 450
    assert abs(answer["now"] - time.time()) > 400
    (event,) = [event for event in answer["caused"] if event["kind"] == "environment.shutting-down"]
    assert event.keys() >= {"seq", "at", "kind", "function", "environment", "reason"}


@pytest.mark.parametrize(
    "body",
    [
        b'{"seconds": -1}',
        b'{"seconds": NaN}',
        b'{"seconds": Infinity}',
        b'{"seconds": -Infinity}',
        b'{"seconds": 1e300}',
        b'{"seconds": "soon"}',
        b'{"seconds": null}',
        b'{"second": 1}',
        b'{"seconds": 1, "hours": 1}',
        b"{}",
        b"[]",
        b"{no",
        b"",
        None,
    ],
)
def test_time_that_cannot_be_skipped(up: Up, body: bytes | None) -> None:
    """The client's fault, told as such, and no time has passed."""
    before = now(up)
    status, answer = post(up.endpoint, "fast-forward", body)
    assert 400 <= status < 500, answer
    assert answer.get("detail") or answer.get("error")
    assert now(up) - before < 60


@pytest.mark.parametrize(
    ("body", "left"),
    [(None, 1), (b"{}", 1), (b'{"reclaim": null}', 1), (b'{"reclaim": "silent"}', 1), (b'{"reclaim": "fin"}', 0)],
)
def test_recycling_by_http(up: Up, body: bytes | None, left: int) -> None:
    """With a body or without one; what is not said is the policy's, which is silent here."""
    _session, environment = connect(up)
    assert post(up.endpoint, "functions/orders/recycle", body) == (200, {"recycled": [environment], "when_parked": []})
    eventually(lambda: not environments(up), "the end of the environment", 20)
    eventually(lambda: len(sessions(up)) == left, f"{left} sessions left", 20)
    assert sessions(up, zombies=True) == sessions(up)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("functions/orders/recycle", b'{"reclaim": "loud"}', 422),
        ("functions/orders/recycle", b'{"reclam": "fin"}', 422),
        ("functions/orders/recycle", b'{"reclaim": 1}', 422),
        ("functions/orders/recycle", b"{no", 422),
        ("environments/x/recycle", b'{"reclaim": "loud"}', 422),
        ("functions/nobody/recycle", b'{"reclaim": "fin"}', 404),
        ("environments/nobody/recycle", b'{"reclaim": "fin"}', 404),
    ],
)
def test_recycling_that_is_refused(up: Up, path: str, body: bytes, status: int) -> None:
    """What is wrong with it is said, and nothing has ended."""
    before = connect(up)
    found, answer = post(up.endpoint, path, body)
    assert found == status
    assert answer.get("detail") or answer.get("error")
    assert connect(up) == before


def test_without_a_database() -> None:
    """There are no zombies to be asked for, and it is said how to have a database; time can be skipped all the same."""
    with Emulator({"emulator": {"sandbox": "process"}, "database": {"server": "none"}}) as emulator:
        status, answer = post(emulator.endpoint_url, "zombies/kill")
        assert status == 503
        assert "without a database" in answer["error"]
        assert "[database]" in answer["cure"]
        function = emulator.add(Function(name="brief", code=FUNCTIONS / "anything", policy={"name": "aws"}))
        ended = function.invoke({"do": "count"}).environment_id
        status, answer = post(emulator.endpoint_url, "fast-forward", b'{"seconds": 420}')
        assert status == 200
        assert [event["environment"] for event in answer["caused"]] == [ended]
