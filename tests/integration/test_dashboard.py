"""What the dashboard is made of, over HTTP; how it looks and works is in tests/browser."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from emulator import Emulator, Function
from emulator.pages import files
from tests.integration.conftest import FUNCTIONS

INVOKE = "/2015-03-31/functions/anything/invocations"
BURST = "/_emulator/api/functions/anything/burst"
FOREIGN = {"Origin": "http://evil.example"}


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with Emulator({"emulator": {"sandbox": "process", "concurrency": 3}, "database": {"server": "none"}}) as running:
        running.add(Function(name="anything", code=FUNCTIONS / "anything", memory=1769))
        yield running


@pytest.fixture
def client(emulator: Emulator) -> Iterator[http.client.HTTPConnection]:
    """One connection, kept from one request to the next."""
    connection = http.client.HTTPConnection(urlsplit(emulator.endpoint_url).netloc, timeout=20)
    yield connection
    connection.close()


def ask(
    client: http.client.HTTPConnection, method: str, path: str, body: str | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    client.request(method, path, body, headers)
    answer = client.getresponse()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


def burst(client: http.client.HTTPConnection, body: str) -> tuple[int, Any]:
    status, _, told = ask(client, "POST", BURST, body, **{"Content-Type": "application/json"})
    return status, json.loads(told)


def test_every_file_is_served(client: http.client.HTTPConnection) -> None:
    """As it is, under a policy that runs nothing else; what there is not is not found, wherever the path leads."""
    for name, content in files().items():
        status, headers, body = ask(client, "GET", f"/_emulator/{name}")
        assert (status, body) == (200, content)
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
        assert headers["x-content-type-options"] == "nosniff"
    assert ask(client, "GET", "/_emulator/")[2] == files()["index.html"]
    for name in ("none.js", "../api/guard.py", "%2e%2e/pages.py", "vendor/"):
        assert ask(client, "GET", f"/_emulator/{name}")[0] == 404


def test_burst(client: http.client.HTTPConnection) -> None:
    """All at once: some are answered, some fail, and what finds no place is told with its reason."""
    status, told = burst(client, '{"count": 4, "payload": {"do": "sleep", "seconds": 0.3}}')
    assert (status, told["answered"], told["refused"], told["first_refusal"]) == (200, 3, 1, "Rate Exceeded.")
    assert 0.3 <= told["seconds"] < 10
    assert burst(client, '{"count": 2, "payload": {"do": "fail", "message": "no"}}')[1]["failed"] == 2


@pytest.mark.parametrize(
    "body",
    ['{"count": 0}', '{"count": 1001}', '{"count": "many"}', '{"times": 2}', '{"count": 1, "payload": NaN}', "{", "[]"],
)
def test_bursts_that_are_none(client: http.client.HTTPConnection, body: str) -> None:
    """Refused, with nothing invoked."""
    assert burst(client, body)[0] == 422


def test_burst_of_nothing(client: http.client.HTTPConnection) -> None:
    """A function that there is not."""
    path = BURST.replace("anything", "nothing")
    assert ask(client, "POST", path, '{"count": 1}', **{"Content-Type": "application/json"})[0] == 404


def test_a_page_gets_nowhere_on_a_connection_that_others_have_used(
    client: http.client.HTTPConnection, emulator: Emulator
) -> None:
    """The guard stands before the short way of plain invocations as well, and before each request of a connection."""
    assert ask(client, "POST", INVOKE, '{"do": "nothing"}')[0] == 200
    before = len(emulator.timeline())
    status, headers, body = ask(client, "POST", INVOKE, '{"do": "nothing"}', **FOREIGN)
    assert (status, headers["x-amzn-errortype"]) == (403, "AccessDeniedException")
    assert "evil.example" in json.loads(body)["Message"]
    assert ask(client, "POST", BURST, '{"count": 1}', **FOREIGN)[0] == 403
    assert ask(client, "GET", "/_emulator/api/status", Host="evil.example")[0] == 403
    began = {"environment.starting", "environment.thawing", "environment.invoking"}
    assert [event for event in emulator.timeline(before) if event.kind in began] == []
    assert ask(client, "POST", INVOKE, '{"do": "nothing"}', Host="lambda.us-east-1.amazonaws.com")[0] == 200
