"""Who may subscribe to telemetry and when, and who gets what happens."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, cast

import pytest

from emulator.platform_events import LogEvent
from emulator.runtime_api.extensions import Extension, ExtensionsSession
from emulator.runtime_api.reply import Reply
from emulator.runtime_api.telemetry import TelemetrySession
from tests.support import in_loop, skip_time
from tests.unit.runtime_api.listeners import ADDRESS, HttpListener, Tasks, arrival, free_port, rounds

UNKNOWN = Reply(403, b"unknown")
OK = Reply(200, b'"OK"')
SCHEMAS = {"telemetry": "2022-12-13", "logs": "2021-03-18"}


class Registered:
    """Two extensions, ``a`` and ``b``, whose identifiers are their names."""

    def find(self, identifier: str | None) -> Extension | Reply:
        if identifier not in ("a", "b"):
            return UNKNOWN
        extension = object.__new__(Extension)  # of which nothing is used but these
        extension.name, extension.identifier = f"extension-{identifier}", identifier
        return extension


class Talk:
    """A session, and what its environment heard."""

    def __init__(self, *, json_records: bool = False) -> None:
        self.tasks = Tasks()
        self.subscribed: list[tuple[str, Sequence[str], str]] = []
        self.session = TelemetrySession(
            cast(ExtensionsSession, Registered()),
            address=ADDRESS,
            spawn=self.tasks.spawn,
            on_subscribed=self._heard,
            json_records=json_records,
            now=lambda: 1.0,
        )

    def _heard(self, name: str, types: Sequence[str], api: str) -> None:
        self.subscribed.append((name, types, api))

    def ask(self, port: int, *types: str, api: str = "telemetry", identifier: str | None = "a") -> Reply:
        destination = {"protocol": "HTTP", "URI": f"http://sandbox.localdomain:{port}"}
        body = {"schemaVersion": SCHEMAS[api], "types": types or ["platform"], "destination": destination}
        return self.session.subscribe(api, identifier, json.dumps(body).encode())

    def happen(self, *kinds: str) -> None:
        for kind in kinds:
            record: Any = {"requestId": "1"} if kind.startswith("platform") else '{"a":1}'
            self.session.publish(LogEvent(0.0, kind, record))

    async def end(self) -> None:
        self.session.close()
        await self.tasks.end()


def kinds(listener: HttpListener) -> list[str]:
    return [record["type"] for record in listener.taken]


@in_loop
async def test_a_subscriber_gets_what_happened_before_first() -> None:
    """The start of the init, which no extension can be there for, opens its stream."""
    async with HttpListener().listen() as listener:
        talk = Talk()
        talk.happen("platform.initStart")
        assert talk.ask(listener.port) == OK
        talk.happen("platform.initRuntimeDone")
        talk.session.flush()
        await arrival(lambda: listener.taken, "the events")
        assert kinds(listener) == ["platform.initStart", "platform.initRuntimeDone"]
        await talk.end()


@in_loop
async def test_the_environment_hears_of_a_subscription() -> None:
    """Name, types and API; and what it publishes of it reaches the new subscriber too."""
    talk = Talk()
    port = await free_port()
    assert talk.ask(port, "platform", "function") == OK
    assert talk.ask(port, api="logs", identifier="b") == OK
    assert talk.subscribed == [
        ("extension-a", ("platform", "function"), "telemetry"),
        ("extension-b", ("platform",), "logs"),
    ]
    await talk.end()


@in_loop
async def test_what_the_environment_says_of_a_subscription_reaches_the_subscriber() -> None:
    """The subscription is in force before it is told of."""
    async with HttpListener().listen() as listener:
        talk = Talk()
        talk.happen("platform.initStart")
        talk.session._on_subscribed = lambda *_: talk.happen("platform.telemetrySubscription")
        talk.ask(listener.port)
        talk.session.flush()
        await arrival(lambda: listener.taken, "the events")
        assert kinds(listener) == ["platform.initStart", "platform.telemetrySubscription"]
        await talk.end()


@in_loop
async def test_only_registered_extensions_subscribe() -> None:
    """The refusal is the one of the Extensions API, and stands before every other."""
    talk = Talk()
    talk.session.close_subscription()
    assert talk.session.subscribe("telemetry", "nobody", b"{}") is UNKNOWN
    assert talk.session.subscribe("logs", None, b"{}") is UNKNOWN
    assert talk.subscribed == []


@in_loop
async def test_a_bad_wish_changes_nothing() -> None:
    """It is answered with a 400, and the environment does not hear of it."""
    talk = Talk()
    assert talk.session.subscribe("telemetry", "a", b"{}").status == 400
    assert b"Logs.ValidationError" in talk.session.subscribe("logs", "a", b"{}").body
    assert talk.subscribed == []
    assert talk.tasks.all == []


@in_loop
async def test_after_init_nobody_subscribes() -> None:
    """A 403 in AWS's words; those who are subscribed stay so."""
    async with HttpListener().listen() as listener:
        talk = Talk()
        talk.ask(listener.port)
        talk.session.close_subscription()
        for api, name in (("telemetry", "Telemetry"), ("logs", "Logs")):
            message = f"{name} API subscription is closed already"
            body = f'{{"errorMessage":"{message}","errorType":"{name}.SubscriptionClosed"}}\n'
            assert talk.ask(1, api=api, identifier="b") == Reply(403, body.encode())
        talk.happen("platform.start")
        talk.session.flush()
        await arrival(lambda: listener.taken, "the event")
        await talk.end()


@pytest.mark.parametrize("apis", [("telemetry", "logs"), ("logs", "telemetry")], ids=" then ".join)
def test_an_extension_uses_one_of_the_two_apis(apis: tuple[str, str]) -> None:
    """The second is refused; another extension may use it."""

    @in_loop
    async def play() -> None:
        talk, port = Talk(), await free_port()
        first, second = apis
        assert talk.ask(port, api=first) == OK
        refused = talk.ask(port, api=second)
        assert refused.status == 400
        assert b"subscribed to the" in refused.body
        assert talk.ask(port, api=second, identifier="b") == OK
        await talk.end()

    play()


@in_loop
async def test_the_same_wish_again_is_the_same_subscription() -> None:
    """Nothing comes twice."""
    async with HttpListener().listen() as listener:
        talk = Talk()
        talk.happen("platform.initStart")
        assert talk.ask(listener.port) == talk.ask(listener.port) == OK
        talk.session.flush()
        await arrival(lambda: listener.taken, "the event")
        await rounds()
        assert kinds(listener) == ["platform.initStart"]
        assert len(talk.tasks.all) == 1
        await talk.end()


@in_loop
async def test_another_wish_takes_the_place_of_the_first() -> None:
    """The old listener gets nothing any more, the new one everything from the beginning."""
    async with HttpListener().listen() as old, HttpListener().listen() as new:
        talk = Talk()
        talk.happen("platform.initStart")
        talk.ask(old.port)
        talk.ask(new.port)
        talk.happen("platform.start")
        talk.session.flush()
        await arrival(lambda: new.taken, "the events")
        assert kinds(new) == ["platform.initStart", "platform.start"]
        assert old.dialled == 0
        assert talk.tasks.running == 1
        await talk.end()


@in_loop
async def test_each_subscriber_gets_its_own() -> None:
    """By types, by API and by the log format of the function."""
    async with HttpListener().listen() as one, HttpListener().listen() as two:
        talk = Talk(json_records=True)
        talk.ask(one.port, "function")
        talk.ask(two.port, "platform", "function", api="logs", identifier="b")
        talk.happen("platform.start", "function", "extension", "platform.end")
        talk.session.flush()
        await arrival(lambda: one.taken and two.taken, "the events")
        assert [record["record"] for record in one.taken] == [{"a": 1}]
        assert kinds(two) == ["platform.start", "function", "platform.end"]
        assert two.taken[1]["record"] == '{"a":1}\n'
        await talk.end()


@in_loop
async def test_while_frozen_nothing_is_sent() -> None:
    """Also to somebody who subscribed while frozen; what was due goes with the thaw."""
    async with HttpListener().listen() as one, HttpListener().listen() as two:
        talk = Talk()
        talk.ask(one.port)
        talk.session.pause()
        talk.ask(two.port, identifier="b")
        talk.happen("platform.report")
        talk.session.flush()
        skip_time(3600.0)
        await rounds()
        assert (one.dialled, two.dialled) == (0, 0)
        talk.session.resume()
        await arrival(lambda: one.taken and two.taken, "the events")
        await talk.end()


@in_loop
async def test_after_the_end_nothing_happens() -> None:
    """Tasks end, nobody can subscribe, events go nowhere, and a second end is no matter."""
    async with HttpListener().listen() as listener:
        talk = Talk()
        talk.ask(listener.port)
        talk.happen("platform.start")
        await talk.end()
        talk.session.close()
        talk.happen("platform.end")
        talk.session.flush()
        talk.session.pause()
        talk.session.resume()
        assert talk.ask(listener.port, identifier="b").status == 403
        skip_time(10.0)
        await rounds()
        assert listener.dialled == 0


@in_loop
async def test_a_long_init_keeps_the_newest_for_later_subscribers() -> None:
    """They are told how much of what they asked for was lost, and of nothing else."""
    async with HttpListener().listen() as listener:
        talk = Talk()
        for _ in range(60):
            talk.session.publish(LogEvent(0.0, "extension", "e" * 10_000))
        for _ in range(300):
            talk.session.publish(LogEvent(0.0, "function", "f" * 10_000))
        talk.ask(listener.port, "function", "platform")
        talk.session.flush()
        await arrival(lambda: listener.taken, "the first events")
        told = listener.taken[0]
        assert told["type"] == "platform.logsDropped"
        lost = told["record"]["droppedRecords"]
        await arrival(lambda: kinds(listener).count("function") + lost == 300, "all the rest")
        assert 0 < lost < 60
        assert lost * 10_000 <= told["record"]["droppedBytes"] < lost * 10_100
        await talk.end()
