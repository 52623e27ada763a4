"""Who may ask: programs and the dashboard, and no page of another site."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from emulator.api.guard import Guard, check_request, is_own_host
from emulator.api.invoke import Message, Receive, Scope, Send
from emulator.errors import ForbiddenError
from tests.support import in_loop

HERE = "127.0.0.1:3001"
INVOKE = "/2015-03-31/functions/orders/invocations"
STREAM = "/2021-11-15/functions/orders/response-streaming-invocations"
FUNCTIONS = "/2015-03-31/functions"
STATUS = "/_emulator/api/status"
RECYCLE = "/_emulator/api/functions/orders/recycle"
JSON = {"content-type": "application/json"}
LINK = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}


def check(method: str, path: str, host: str = HERE, **headers: str) -> None:
    named = {name.replace("_", "-"): value for name, value in headers.items()} | {"host": host}
    check_request(method, path, {name.encode(): value.encode() for name, value in named.items()})


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:3001",
        "localhost",
        "LocalHost:3001",
        "localhost.:80",
        "orders.localhost:3001",
        "[::1]:3001",
        "172.17.0.1:3001",
        "192.168.1.20:3001",
        "emulator:3001",
        "host.docker.internal:3001",
        socket.gethostname(),
    ],
)
def test_names_of_this_machine(host: str) -> None:
    """Addresses, localhost, services among containers, and the machine's own name."""
    assert is_own_host(host)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:3001",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "evillocalhost.com",
        "user@127.0.0.1",
        "127.0.0.1:port",
        "[::1",
        "127.0.0.1, evil.example",
        "",
    ],
)
def test_names_that_others_can_make_lead_here(host: str) -> None:
    """A name with a full stop is somebody's on the internet; what is no name at all is refused as well."""
    assert not is_own_host(host)


@pytest.mark.parametrize("path", [STATUS, "/_emulator/", "/", INVOKE, "/2015-03-31/functions"])
def test_a_rebound_name_reads_nothing(path: str) -> None:
    """DNS rebinding: the page is of its own origin then, and only the name tells."""
    with pytest.raises(ForbiddenError, match="no name of this emulator"):
        check("GET", path, host="evil.example:3001")


@pytest.mark.parametrize("path", [INVOKE, STREAM])
def test_a_rebound_name_triggers_nothing(path: str) -> None:
    """A page's POST carries its origin, here the very name that it asks."""
    with pytest.raises(ForbiddenError, match="no name of this emulator"):
        check("POST", path, host="evil.example:3001", origin="http://evil.example:3001", **JSON)


def test_clients_may_invoke_under_any_name() -> None:
    """An SDK whose endpoint is AWS's own name, made to lead here, sends no origin."""
    check("POST", INVOKE, host="lambda.us-east-1.amazonaws.com")
    check("POST", STREAM, host="lambda.us-east-1.amazonaws.com")


@pytest.mark.parametrize("host", ["lambda.us-east-1.amazonaws.com", "Lambda.eu-west-1.amazonaws.com:80"])
def test_the_control_plane_under_names_of_aws(host: str) -> None:
    """A client whose endpoint is AWS's name for Lambda, which leads here, reads and deploys as well; no page does."""
    check("GET", FUNCTIONS, host=host)
    check("POST", FUNCTIONS, host=host)
    check("DELETE", "/2017-03-31/tags/arn%3Aaws", host=host)
    with pytest.raises(ForbiddenError):
        check("POST", FUNCTIONS, host=host, origin="http://evil.example")
    with pytest.raises(ForbiddenError):
        check("GET", STATUS, host=host)


@pytest.mark.parametrize(
    "host", ["evil.example", "lambda.evil.example", "lambda.us-east-1.amazonaws.com.evil.example", "s3.amazonaws.com"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_the_control_plane_under_other_names(method: str, host: str) -> None:
    """What deploys code has to be asked under a name of this machine, or of Lambda."""
    with pytest.raises(ForbiddenError):
        check(method, FUNCTIONS, host=host)


@pytest.mark.parametrize(("method", "path"), [("GET", STATUS), ("POST", RECYCLE), ("PUT", STATUS), ("POST", INVOKE)])
@pytest.mark.parametrize("host", [HERE, "172.17.0.1:3001"])
def test_programs_are_served(method: str, path: str, host: str) -> None:
    """curl, SDKs and runtimes in containers send none of a browser's headers, whatever their content type."""
    check(method, path, host=host)
    check(method, path, host=host, **{"content-type": "application/x-www-form-urlencoded"})


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:8000", "http://localhost:3001", "file://", ""]
)
@pytest.mark.parametrize(("method", "path"), [("GET", STATUS), ("POST", RECYCLE), ("POST", INVOKE), ("POST", STREAM)])
def test_pages_of_others(method: str, path: str, origin: str) -> None:
    """Another site, a page without a site, and another port of this machine."""
    with pytest.raises(ForbiddenError, match="only the dashboard's own may"):
        check(method, path, origin=origin, **JSON)


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize(("method", "path"), [("GET", STATUS), ("POST", INVOKE), ("GET", "/_emulator/main.js")])
def test_pages_of_others_without_an_origin(method: str, path: str, site: str) -> None:
    """An image or a script of another site is loaded without an origin; another port of this machine is same-site."""
    with pytest.raises(ForbiddenError):
        check(method, path, **{"sec-fetch-site": site, "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"})


def test_the_dashboard_itself() -> None:
    """Its own page, under any of the machine's names, and an address that somebody types."""
    check("POST", RECYCLE, origin=f"http://{HERE}", **JSON, **{"sec-fetch-site": "same-origin"})
    check("POST", INVOKE, host="LOCALHOST:3001", origin="http://localhost:3001")
    check("GET", STATUS, **{"sec-fetch-site": "none"})


def test_a_link_may_be_followed() -> None:
    """To the page, from anywhere; not to what the API answers, and not into a frame."""
    check("GET", "/_emulator/", **LINK)
    check("GET", "/", **LINK)
    for path, changed in ((STATUS, LINK), ("/_emulator/", LINK | {"sec-fetch-dest": "iframe"})):
        with pytest.raises(ForbiddenError):
            check("GET", path, **changed)


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_a_page_changes_things_with_json_only(kind: str) -> None:
    """What a form can send is refused, even where the origin seems right."""
    headers = {"origin": f"http://{HERE}", "content-type": kind}
    with pytest.raises(ForbiddenError, match="application/json"):
        check("POST", RECYCLE, **headers)
    check("POST", RECYCLE, origin=f"http://{HERE}", **{"content-type": "application/json; charset=utf-8"})


async def asked(path: str, **headers: str) -> tuple[int, dict[str, Any], bool]:
    """Status and body of the answer, and whether the application was reached."""
    reached: list[Scope] = []
    sent: list[Message] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        reached.append(scope)

    async def receive() -> Message:
        raise AssertionError("nothing is read of a request that is refused")

    async def send(message: Message) -> None:
        sent.append(message)

    named = {"host": HERE} | headers
    scope = {"type": "http", "method": "POST", "path": path}
    scope["headers"] = [(name.encode(), value.encode()) for name, value in named.items()]  # type: ignore[assignment]
    await Guard(inner)(scope, receive, send)
    return (sent[0]["status"], json.loads(sent[1]["body"]), bool(reached)) if sent else (0, {}, bool(reached))


@in_loop
async def test_a_refusal_speaks_as_its_path_does() -> None:
    """AWS's members where AWS's API was asked, ours elsewhere; the application hears nothing."""
    status, body, reached = await asked(INVOKE, origin="http://evil.example")
    assert (status, body["Type"], reached) == (403, "User", False)
    assert "evil.example" in body["Message"]
    status, body, reached = await asked(RECYCLE, origin="http://evil.example")
    assert (status, sorted(body), reached) == (403, ["cure", "error"], False)


@in_loop
async def test_what_may_pass_is_passed_on() -> None:
    """Untouched."""
    assert await asked(INVOKE) == (0, {}, True)
