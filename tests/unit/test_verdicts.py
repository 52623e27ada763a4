"""What a run shows, from its events."""

from __future__ import annotations

from itertools import count
from typing import Any

from emulator.verdicts import Event, verdicts_of


class Story:
    """Events, one after the other."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._numbers = count(1)

    def tell(self, kind: str, environment: str | None = "a", **detail: Any) -> None:
        name = "orders" if environment and not kind.startswith("connection.") else None
        self.events.append(
            {
                "seq": next(self._numbers),
                "at": 1000.0,
                "kind": kind,
                "function": name,
                "environment": environment,
                "request_id": None,
                "reason": "",
                "detail": detail or None,
            }
        )

    def connect(self, port: int, environment: str = "a") -> None:
        self.tell("connection.opened", environment, client=["10.0.0.2", port], source=["127.0.0.9", port])

    def sentences(self, limit: int | None = None) -> list[tuple[str, str]]:
        return [(verdict.tone, verdict.sentence) for verdict in verdicts_of(self.events, limit)]


def test_nothing_happened() -> None:
    """Then there is nothing to say."""
    assert verdicts_of([]) == []


def test_sessions_that_were_left_behind() -> None:
    """The relay and the server's own list tell of the same session: it counts once, and until it is closed."""
    story = Story()
    story.tell("environment.starting")
    for port in (1, 2):
        story.connect(port)
        story.tell("session.opened", session=port, client=f"127.0.0.9:{port}")
    story.tell("environment.gone")
    for port in (1, 2):
        story.tell("connection.zombie", source=["127.0.0.9", port])
        story.tell("session.zombie", session=port, client=f"127.0.0.9:{port}")
    left = "2 sessions were left behind by environments that ended; "
    assert story.sentences(66)[0] == ("bad", left + "all of them still hold a slot of 66.")
    assert ("plain", "At most 2 connections at once, of 66 that the server takes.") in story.sentences(66)
    story.tell("session.closed", session=1, client="127.0.0.9:1")
    assert story.sentences()[0] == ("bad", left + "1 of them still holds a slot.")
    story.tell("connection.closed", source=["127.0.0.9", 2])
    assert story.sentences()[0] == ("bad", left + "the server has dropped all of them by now.")


def test_an_end_that_leaves_nothing() -> None:
    """It is worth a word, too."""
    story = Story()
    story.tell("environment.starting")
    story.tell("environment.gone")
    assert story.sentences() == [("good", "1 environment ended, and no session was left behind.")]


def test_where_a_function_connects() -> None:
    """One connection for each invocation is one too many; one for each environment is the cure."""
    inside, outside = Story(), Story()
    for story in (inside, outside):
        story.tell("environment.starting")
    outside.connect(1)
    for port in (1, 2, 3):
        inside.connect(port)
        for story in (inside, outside):
            story.tell("invocation.finished")
    assert inside.sentences()[0][1].startswith("orders opened 3 connections in 3 invocations: it connects inside")
    assert outside.sentences()[0] == ("good", "orders used its connections again: 1 for 3 invocations.")
    assert outside.sentences()[-1] == ("plain", "3 invocations, for which 1 environment started.")


def test_what_went_wrong() -> None:
    """Errors by their type, refusals, and connections that one side has given up."""
    story = Story()
    story.tell("invocation.finished", error="Sandbox.Timedout")
    story.tell("invocation.throttled", None)
    story.tell("connection.failed")
    story.tell("connection.stale")
    bad = [sentence for tone, sentence in story.sentences() if tone == "bad"]
    assert bad == [
        "1 connection did not reach the server.",
        "1 connection was given up while the function did not know.",
        "1 invocation ended with Sandbox.Timedout.",
        "1 invocation found no place and was throttled.",
    ]


def test_refused_and_broken() -> None:
    """What the server refuses (1040) was never a session, and is no part of the peak; what broke in use is told."""
    story = Story()
    for port in (1, 2):
        story.connect(port)
    story.tell("connection.refused", source=["127.0.0.9", 2])
    story.events[-1] = {**story.events[-1], "reason": "the server refused it: Too many connections (1040)"}
    story.tell("connection.closed", source=["127.0.0.9", 2])
    story.tell("connection.stale", source=["127.0.0.9", 1])
    story.tell("connection.broken", source=["127.0.0.9", 1])
    assert [sentence for _, sentence in story.sentences(1)] == [
        "At most 1 connection at once, of 1 that the server takes.",
        "1 connection was refused by the server: Too many connections (1040).",
        "1 connection was given up while the function did not know; 1 was used after that, and failed.",
    ]


def test_who_is_refused_does_not_use_again() -> None:
    """One connection for three invocations is no praise where the other two were refused."""
    story = Story()
    story.tell("environment.starting")
    for port in (1, 2, 3):
        story.connect(port)
        if port > 1:
            story.tell("connection.refused", source=["127.0.0.9", port])
        story.tell("invocation.finished")
    assert not [sentence for tone, sentence in story.sentences() if tone == "good"]


def test_near_the_limit() -> None:
    """From four fifths of max_connections on, the peak is bad news."""
    story = Story()
    for port in range(8):
        story.connect(port)
    peak = "At most 8 connections at once, of {} that the server takes."
    assert ("bad", peak.format(10)) in story.sentences(10)
    assert ("plain", peak.format(11)) in story.sentences(11)


def test_what_is_missing_is_told() -> None:
    """The timeline is bounded; what fell out of it is no part of any sentence."""
    story = Story()
    story.tell("environment.starting")
    story.tell("environment.init")
    assert story.sentences() == []
    del story.events[0]
    assert story.sentences() == [("plain", "1 event of this run is not in the report.")]
