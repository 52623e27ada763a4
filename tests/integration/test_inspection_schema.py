"""The inspection API keeps to its own schema: asked for everything that is in it, and for what is not."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from emulator import Emulator, Function
from emulator.errors import InvalidParameterValueError
from tests.integration.conftest import FUNCTIONS
from tests.needs import need_database
from tests.support import eventually

API = "/_emulator/api"
# Where the schema cannot say all: a policy names a module that has to be there, and a range has a shorter end.
SETTINGS = """
[[operations]]
include-method = "PUT"
checks.positive_data_acceptance.enabled = false

[[operations]]
include-path = "/_emulator/api/functions/{name}/logs"
parameters.follow = "false"
"""


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """One with a database and a function of the name that the schema's examples have; few run at once."""
    need_database()
    with Emulator({"emulator": {"sandbox": "process", "concurrency": 2}}) as running:
        orders = running.add(Function(name="orders", code=FUNCTIONS / "anything", memory=512, timeout=2))
        orders.invoke({"do": "count"})
        yield running


def ask(
    emulator: Emulator, method: str, path: str, body: bytes | None = None, *, below: str = API
) -> tuple[int, dict[str, str], Any]:
    """Status, headers by their names in lower case, and the body's JSON, of one request."""
    address = urlsplit(emulator.endpoint_url)
    with closing(http.client.HTTPConnection(str(address.hostname), address.port, timeout=20)) as connection:
        headers = {"content-type": "application/json"} if body is not None else {}
        connection.request(method, f"{below}{path}", body, headers)
        answer = connection.getresponse()
        content = answer.read()
        told = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, told, json.loads(content) if content else None


def test_every_operation_answers_as_its_schema_says(emulator: Emulator, tmp_path: Path) -> None:
    """Schemathesis finds nothing: no 500, no status, type, member or method that is not documented."""
    settings = tmp_path / "schemathesis.toml"
    settings.write_text(SETTINGS)
    done = subprocess.run(
        [
            Path(sys.executable).with_name("schemathesis"),
            *("--config-file", settings, "run", f"{emulator.endpoint_url}{API}/openapi.json"),
            *("--exclude-path", f"{API}/timeline/stream"),  # it has no end
            *("--phases", "examples,coverage,fuzzing", "--max-examples", "20", "--seed", "1"),
            *("--generation-database", "none", "--request-timeout", "10", "--warnings", "off", "--no-color"),
        ],
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert [view.state for view in emulator.environments() if view.state == "invoking"] == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/fast-forward", b'{"seconds": 1e400}', 422),
        ("POST", "/fast-forward", b'{"seconds": NaN}', 422),
        ("POST", "/fast-forward", b'{"seconds": true}', 422),
        ("POST", "/fast-forward", b'{"seconds": 315360001}', 422),
        ("POST", "/fast-forward", b'{"seconds": 1' + b"0" * 5000 + b"}", 400),
        ("POST", "/fast-forward", b"[" * 100_000, 400),
        ("POST", "/fast-forward", b"\xff\xfe", 422),
        ("POST", "/fast-forward", b'{"seconds": 1, "\\ud800": 1}', 422),
        ("POST", "/functions/orders/burst", b'{"count": 1000000}', 422),
        ("POST", "/functions/orders/burst", b'{"count": 1, "payload": 1e999}', 422),
        ("POST", "/functions/orders/burst", b'{"count": 2, "payload": "\\ud800"}', 200),
        ("POST", "/functions/orders/burst", b'{"count": 2, "payload": {"do": "\\u0000"}}', 200),
        ("POST", "/functions/%00/burst", b'{"count": 1}', 404),
        ("PUT", "/policy", b'{"idle_timeout": 1' + b"0" * 400 + b"}", 422),
        ("PUT", "/policy", b'{"max_invocations": 1' + b"0" * 400 + b"}", 422),
        ("PUT", "/policy", b'{"idle_timeout": "\\ud800"}', 422),
        ("PUT", "/policy", b'{"name": "\\u0000:A"}', 422),
        ("PUT", "/policy", b'{"name": "no_such_module:A"}', 400),
        ("GET", "/timeline?since=99999999999999999999", None, 422),
        ("GET", "/functions/orders/logs?tail=99999999999999999999", None, 422),
        ("GET", "/functions/%ED%A0%80/policy", None, 404),
        ("GET", "/environments/%00", None, 404),
        ("GET", "/connections?environment=%FF", None, 404),
    ],
)
def test_what_no_schema_thinks_of(emulator: Emulator, method: str, path: str, body: bytes | None, status: int) -> None:
    """Numbers without end, NUL, halves of characters and deep nesting are refused in words, or are a payload."""
    found, _, answer = ask(emulator, method, path, body)
    assert found == status
    if status == 422:
        assert {"type", "loc", "msg"} <= answer["detail"][0].keys()
    elif status != 200:
        assert answer["error"]
        assert answer["cure"]


def test_other_methods(emulator: Emulator) -> None:
    """A path that is there takes what it takes, and says so; one that is not there is not found."""
    status, headers, answer = ask(emulator, "POST", "/policy", b"{}")
    assert (status, headers["allow"]) == (405, "GET, PUT")
    assert answer == {"error": "/_emulator/api/policy takes no POST", "cure": "It takes GET, PUT."}
    assert ask(emulator, "QUERY", "/status")[0] == 405
    assert ask(emulator, "POST", "/nothing", b"{}")[0] == 404
    status, headers, answer = ask(emulator, "QUERY", "/nothing", below="")
    assert (status, answer["error"]) == (405, "Method Not Allowed")
    assert "GET" in headers["allow"]


def test_time_has_an_end(emulator: Emulator) -> None:
    """Nobody gets beyond the last year that calendars have, in however many steps."""
    with pytest.raises(InvalidParameterValueError, match="ends with the year 9998"):
        emulator.fast_forward(hours=8000 * 365 * 24)


def test_a_skip_brings_so_many_events_at_most() -> None:
    """A year of minutes is refused before anything has happened."""
    orders = {"code": str(FUNCTIONS / "anything")}
    schedule = {"function": "orders", "expression": "rate(1 minute)"}
    settings = {"emulator": {"sandbox": "process"}, "database": {"server": "none"}}
    with Emulator({**settings, "functions": {"orders": orders}, "schedules": [schedule]}) as busy:
        status, _, answer = ask(busy, "POST", "/fast-forward", b'{"seconds": 31536000}')
        assert (status, answer["error"]) == (400, "more than 50,000 events are scheduled in that time")
        assert ask(busy, "GET", "/queue")[2] == {"events": []}


def test_nothing_is_left_running(emulator: Emulator) -> None:
    """After all that the function is where it was, with no invocation, no place taken and no event waiting."""
    eventually(lambda: ask(emulator, "GET", "/concurrency")[2]["in_use"] == 0, "the end of all invocations")
    assert ask(emulator, "GET", "/queue")[2] == {"events": []}
    assert emulator.function("orders").invoke({"do": "echo"}).payload == {"do": "echo"}
