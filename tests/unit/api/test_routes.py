"""The door of routes: what an HTTP API or a REST API would answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from emulator.api.urls import UrlDoor
from emulator.http_events.routes import HttpRoute
from emulator.urls import Cors
from tests.support import in_loop, skip_time
from tests.unit.api.play import Answered, Play

PAGE = {"Origin": "https://shop.example", "Sec-Fetch-Site": "cross-site"}
BOTH = pytest.mark.parametrize("version", ["2.0", "1.0"])


def route_play(path: str = "/orders/{id}", *, limit: int = 10, **settings: Any) -> Play:
    play = Play(limit=limit, route=UrlDoor)
    play.routes.add(HttpRoute(**{"method": "PUT", "function": "orders"} | settings, path=path))
    return play


async def answered(play: Play, response: Any = None, **asked: Any) -> tuple[Answered, dict[str, Any]]:
    """What the client gets, and the event that the function got."""
    asking = play.http("PUT", "/orders/7", **asked)
    runtime = await play.runtime()
    runtime.respond(json.dumps(response or {"statusCode": 200, "body": "ok"}).encode())
    return await asking, json.loads(play.invocations[0].payload)


@in_loop
async def test_an_http_api() -> None:
    """Its account, route and parameters are in the event."""
    got, event = await answered(route_play())
    assert (got.status, got.body) == (200, b"ok")
    assert (event["version"], event["routeKey"]) == ("2.0", "PUT /orders/{id}")
    assert event["pathParameters"] == {"id": "7"}
    context = event["requestContext"]
    assert (context["accountId"], context["domainName"], context["stage"]) == ("123456789012", "127.0.0.1", "$default")


@in_loop
async def test_a_rest_api() -> None:
    """The other format, with the stage that the template says."""
    got, event = await answered(route_play(version="1.0", stage="Prod"))
    assert (got.status, event["resource"], event["path"]) == (200, "/orders/{id}", "/orders/7")
    assert event["requestContext"]["path"] == "/Prod/orders/7"


@in_loop
async def test_what_no_route_serves_goes_on() -> None:
    """Another path, another method, and a name that somebody else can make lead here."""
    play = route_play()
    await play.http("PUT", "/orders")
    await play.http("GET", "/orders/7")
    await play.http("PUT", "/orders/7", host="evil.example")
    await Play(route=UrlDoor).http("PUT", "/orders/7")
    assert (len(play.reached), play.invocations) == (3, [])


@BOTH
@in_loop
async def test_a_function_that_fails(version: str) -> None:
    """An error of the function, an answer that is none, and a function that is not there look the same."""
    play = route_play(version=version)
    asking = play.http("PUT", "/orders/7")
    (await play.runtime()).report_error(b"{}", "Function.Oops")
    expected = {
        "2.0": (500, b'{"message":"Internal Server Error"}'),
        "1.0": (502, b'{"message": "Internal server error"}'),
    }
    assert ((await asking).status, play.answered.body) == expected[version]
    got, _ = await answered(route_play(version=version), {"statusCode": "x"})
    assert (got.status, got.body) == expected[version]
    got = await route_play(version=version, function="nobody").http("PUT", "/orders/7")
    assert (got.status, got.body) == expected[version]


@BOTH
@in_loop
async def test_throttled(version: str) -> None:
    """What an API makes of Lambda's 429."""
    got = await route_play(version=version, limit=0).http("PUT", "/orders/7")
    assert got.status == {"2.0": 503, "1.0": 500}[version]


@BOTH
@in_loop
async def test_too_large(version: str) -> None:
    """In the words of each."""
    got = await route_play(version=version).http("PUT", "/orders/7", b"x" * 6_291_457)
    assert got.status == 413
    assert b"Too L" in got.body


@BOTH
@in_loop
async def test_an_api_does_not_wait_for_ever(version: str) -> None:
    """29 or 30 s; the function goes on."""
    play = route_play(version=version)
    asking = play.http("PUT", "/orders/7")
    runtime = await play.runtime()
    skip_time(30)
    assert (await asking).status == {"2.0": 503, "1.0": 504}[version]
    runtime.respond(b"{}")
    await play.stage.settle()
    assert play.invocations[0].answered


@in_loop
async def test_cors() -> None:
    """The preflight is answered for the method that is asked for; what the function says of CORS does not count."""
    play = route_play(cors=Cors(allow_origins=("*",), allow_methods=("PUT",)))
    got = await play.http("OPTIONS", "/orders/7", headers=PAGE | {"Access-Control-Request-Method": "PUT"})
    assert (got.status, got.headers["access-control-allow-methods"]) == (204, "PUT")
    await play.http("OPTIONS", "/orders/7", headers=PAGE | {"Access-Control-Request-Method": "GET"})
    assert len(play.reached) == 1
    own = {"statusCode": 200, "headers": {"Access-Control-Allow-Origin": "*", "X-A": "1"}}
    got, _ = await answered(play, own, headers=PAGE)
    assert got.headers["access-control-allow-origin"] == "https://shop.example"
    assert got.headers["x-a"] == "1"


@in_loop
async def test_without_cors_the_function_says_it_itself() -> None:
    """To a preflight as well."""
    play = route_play(method="ANY")
    asking = play.http("OPTIONS", "/orders/7", headers=PAGE | {"Access-Control-Request-Method": "PUT"})
    (await play.runtime()).respond(b'{"statusCode": 200, "headers": {"access-control-allow-origin": "*"}}')
    assert (await asking).headers["access-control-allow-origin"] == "*"
