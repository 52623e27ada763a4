"""The door of function URLs: who gets in, by which name, and what is answered without the function."""

from __future__ import annotations

import json
from typing import Any

import pytest

from emulator.api.urls import UrlDoor, is_url_host
from emulator.errors import ServiceError, ThrottledError
from emulator.urls import Cors, UrlConfig
from tests.support import in_loop
from tests.unit.api.play import Answered, Play

ID = "mzyi5lnokugm22ee54536emy5wkffsq5"
HOST = f"{ID}.lambda-url.localhost:3001"
PAGE = {"Origin": "https://shop.example", "Sec-Fetch-Site": "cross-site"}
PREFLIGHT = PAGE | {"Access-Control-Request-Method": "PUT"}


def url_play(*, limit: int = 10, **settings: Any) -> Play:
    play = Play(limit=limit, route=UrlDoor)
    play.urls.add(UrlConfig(ID, "orders", **settings))
    return play


async def answered(play: Play, method: str = "GET", target: str = "/", **asked: Any) -> tuple[Answered, dict[str, Any]]:
    """What the client gets for a function that answers ``"ok"``, and the event that the function got."""
    asking = play.http(method, target, **asked)
    runtime = await play.runtime()
    runtime.respond(b'"ok"')
    return await asking, json.loads(play.invocations[0].payload)


@pytest.mark.parametrize(
    "host",
    [
        HOST,
        f"{ID}.lambda-url.localhost",
        f"{ID.upper()}.Lambda-Url.LOCALHOST.:80",
        f"{ID}.lambda-url.us-east-1.localhost:3001",
        f"{ID}.lambda-url.us-east-1.on.aws",
    ],
)
@in_loop
async def test_a_name_of_its_own(host: str) -> None:
    """With and without the region, as clients write it; every path is the function's."""
    play = url_play()
    got, event = await answered(play, "GET", "/_emulator/api/status?x=1", host=host)
    assert (got.status, got.body) == (200, b"ok")
    assert event["rawPath"] == "/_emulator/api/status"
    assert event["requestContext"]["domainName"] == host.partition(":")[0].lower()
    assert event["requestContext"]["requestId"] == got.headers["x-amzn-requestid"]
    assert play.reached == []


@pytest.mark.parametrize(
    "host", ["", "localhost", f"{ID}.lambda-url.evil.example", f"{ID}.lambda-url.localhost.evil.example", "a.localhost"]
)
def test_names_of_others(host: str) -> None:
    """A name that somebody else could make lead here is none of a URL."""
    assert not is_url_host(host)


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/_url/orders", "/"),
        ("/_url/orders/", "/"),
        ("/_url/orders/a%20b?x=1", "/a%20b"),
        (f"/_url/{ID}/a", "/a"),
        ("/_url/%6Frders//a", "//a"),
    ],
)
@in_loop
async def test_a_path_instead_of_a_name(target: str, path: str) -> None:
    """By the function's name or the URL's; the function does not see that part."""
    _, event = await answered(url_play(), "GET", target)
    assert (event["rawPath"], event["requestContext"]["http"]["path"]) == (path, path)
    assert event["requestContext"]["domainName"] == f"{ID}.lambda-url.localhost"


@in_loop
async def test_an_alias_has_a_path_of_its_own() -> None:
    """Behind a colon."""
    play = url_play()
    play.aliases = ("live",)
    play.urls.add(UrlConfig("live", "orders", "live"))
    await answered(play, "GET", "/_url/orders:live/")
    assert play.invocations[0].function_arn.endswith(":function:orders:live")


@pytest.mark.parametrize("host", ["nobody.lambda-url.localhost", f"{ID}.lambda-url.eu-west-1.localhost"])
@in_loop
async def test_a_url_that_there_is_not(host: str) -> None:
    """[R] Nor is it there in another region."""
    got = await url_play().http(host=host)
    assert (got.status, got.body) == (403, b'{"Message":null}')
    assert got.headers["x-amzn-errortype"] == "AccessDeniedException"
    assert "x-amzn-requestid" in got.headers


@in_loop
async def test_a_path_that_there_is_not() -> None:
    """It is the emulator's own, so it says what there is."""
    got = await url_play().http(target="/_url/nobody/")
    assert got.status == 404
    assert json.loads(got.body)["cure"] == "There are /_url/orders/."


@in_loop
async def test_everything_else_goes_on() -> None:
    """To the guard: also a path under a name that somebody else can make lead here."""
    play = url_play()
    for asked in ({"target": "/_emulator/"}, {"target": "/_url/orders/", "host": "evil.example"}, {"target": "/_urls"}):
        await play.http(**asked)  # type: ignore[arg-type]
    assert [scope["path"] for scope in play.reached] == ["/_emulator/", "/_url/orders/", "/_urls"]


@in_loop
async def test_pages_of_any_site_may_ask() -> None:
    """Whether they may read the answer is for the browser to decide, by what the function says."""
    got, event = await answered(url_play(), host=HOST, headers=PAGE)
    assert (got.status, event["headers"]["origin"]) == (200, "https://shop.example")
    assert "access-control-allow-origin" not in got.headers


@in_loop
async def test_a_preflight_is_the_functions_where_cors_is_not_set() -> None:
    """It may answer as it likes."""
    _, event = await answered(url_play(), "OPTIONS", host=HOST, headers=PREFLIGHT)
    assert event["requestContext"]["http"]["method"] == "OPTIONS"


@in_loop
async def test_a_preflight_is_answered_without_the_function() -> None:
    """Without a signature too, for browsers sign none."""
    cors = Cors(allow_origins=("https://shop.example",), allow_methods=("PUT",))
    play = url_play(cors=cors, auth="AWS_IAM")
    got = await play.http("OPTIONS", host=HOST, headers=PREFLIGHT)
    assert (got.status, got.body, play.invocations) == (200, b"", [])
    assert got.headers["access-control-allow-methods"] == "PUT"
    assert (got.headers["vary"], got.headers["content-length"]) == ("Origin", "0")


@in_loop
async def test_cors_is_added_to_answers_and_to_errors() -> None:
    """So that a page sees what went wrong."""
    play = url_play(cors=Cors(allow_origins=("*",)), limit=0)
    got = await play.http(host=HOST, headers=PAGE)
    assert got.status == 429
    assert got.headers["access-control-allow-origin"] == "https://shop.example"
    play = url_play(cors=Cors(allow_origins=("*",)))
    got, _ = await answered(play, host=HOST, headers=PAGE)
    assert got.headers["access-control-allow-origin"] == "https://shop.example"


@in_loop
async def test_who_has_not_signed_is_forbidden() -> None:
    """In AWS's words, and the function does not hear of it."""
    play = url_play(auth="AWS_IAM")
    got = await play.http(host=HOST)
    assert (got.status, got.headers["x-amzn-errortype"]) == (403, "AccessDeniedException")
    assert json.loads(got.body)["Message"].startswith("Forbidden. For troubleshooting")
    assert play.invocations == []


@pytest.mark.parametrize(
    ("refusal", "status"),
    [(ThrottledError("ConcurrentInvocationLimitExceeded"), 429), (ServiceError("the emulator is stopping"), 502)],
)
@in_loop
async def test_what_the_emulator_refuses(refusal: Exception, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With AWS's status, and the reason."""
    play = url_play()

    def submit(*_: object) -> None:
        raise refusal

    monkeypatch.setattr(play, "submit", submit)
    got = await play.http(host=HOST)
    assert got.status == status
    assert str(refusal).encode() in got.body


@in_loop
async def test_a_url_outlives_its_function() -> None:
    """[R] It is forbidden then."""
    play = Play(route=UrlDoor)
    play.urls.add(UrlConfig(ID, "nobody"))
    got = await play.http(host=HOST)
    assert (got.status, got.headers["x-amzn-errortype"]) == (403, "AccessDeniedException")


@pytest.mark.parametrize("size", [6_291_457, 4_800_000])
@in_loop
async def test_a_body_that_makes_the_event_too_large(size: int) -> None:
    """Base64 counts: a body that is no text may have a quarter less."""
    got = await url_play().http("POST", "/", b"\xff" * size, host=HOST)
    assert (got.status, got.headers["x-amzn-errortype"]) == (413, "RequestEntityTooLargeException")


@in_loop
async def test_a_response_that_is_too_large_is_none() -> None:
    """Of a runtime that streams to a URL that does not."""
    play = url_play()
    asking = play.http(host=HOST)
    await play.runtime()
    invocation = play.invocations[0]
    invocation.begin("text/plain", lambda: None)
    invocation.chunk(b"x" * 6_291_557)
    invocation.end()
    assert ((await asking).status, play.answered.body) == (502, b"Internal Server Error")


@in_loop
async def test_a_trace_is_passed_on() -> None:
    """As of any invocation."""
    play = url_play()
    _, event = await answered(play, host=HOST, headers={"X-Amzn-Trace-Id": "Root=1-5bef-99;Sampled=1"})
    assert (play.invocations[0].trace_id, event["headers"]["x-amzn-trace-id"]) == (
        "Root=1-5bef-99;Sampled=1",
        "Root=1-5bef-99",
    )


@in_loop
async def test_a_stream_goes_out_as_it_comes() -> None:
    """Head and first piece before there is a second."""
    play = url_play(invoke_mode="RESPONSE_STREAM")
    asking = play.http(host=HOST)
    await play.runtime()
    invocation = play.invocations[0]
    invocation.begin("text/event-stream", lambda: None)
    invocation.chunk(b"one")
    await play.stage.settle()
    assert (play.answered.status, play.answered.body) == (200, b"one")
    assert play.answered.headers["content-type"] == "text/event-stream"
    assert "content-length" not in play.answered.headers
    invocation.chunk(b"two")
    invocation.end()
    assert (await asking).body == b"onetwo"


@pytest.mark.parametrize("pieces", [[b'{"statusCode": 1', b"}"], [b"{}" + bytes(7)], [b"x" * 70_000, b"y"], []])
@in_loop
async def test_a_stream_without_the_prelude_that_it_promises(pieces: list[bytes]) -> None:
    """There is no status to answer with but that of a bad gateway."""
    play = url_play(invoke_mode="RESPONSE_STREAM")
    asking = play.http(host=HOST)
    await play.runtime()
    invocation = play.invocations[0]
    invocation.begin("application/vnd.awslambda.http-integration-response", lambda: None)
    for piece in pieces:
        invocation.chunk(piece)
    invocation.end()
    assert ((await asking).status, play.answered.body) == (502, b"Internal Server Error")
