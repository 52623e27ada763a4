"""Watching and asserting, with timelines that are told by hand in the place of an emulator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from emulator.embedded import DeployedFunction, Emulator
from emulator.environments import RecycleAnswer
from emulator.errors import DatabaseError, EmulatorError
from emulator.evidence import Evidence
from emulator.model import EnvironmentId, Session
from emulator.testing.watching import Connections, Seen, watch
from tests.unit.evidence.told import Told

HANDLER = "app.py:20 in handler"


class Played:
    """As much of an emulator as a watch asks for."""

    def __init__(self, told: Told, *, has_database: bool = True) -> None:
        self.told, self.has_database = told, has_database
        self.on_recycle: Callable[[], None] = lambda: None
        self.recycled: list[tuple[str, object]] = []
        self.still_serving: tuple[EnvironmentId, ...] = ()
        self.sessions: tuple[Session, ...] = ()

    def connections(self) -> tuple[Session, ...]:
        if not self.has_database:
            raise DatabaseError("this emulator runs without a database")
        return self.sessions

    @property
    def last_event(self) -> int:
        return self.told.last

    def evidence(self, function: str | None, *, since: int, before: tuple[Session, ...]) -> Evidence:
        return self.told.evidence(function, since=since, before=before)

    def recycle(self, function: str, reclaim: object) -> RecycleAnswer:
        self.recycled.append((function, reclaim))
        self.on_recycle()
        return RecycleAnswer((), self.still_serving)


def seen_of(told: Told, **settings: Any) -> tuple[Seen, Played]:
    played = Played(told, **settings)
    return Seen(cast(Emulator, played), "orders"), played


def invoke(told: Told, request: str, *, opens: int | None = None, uses: int | None = None) -> None:
    if told.evidence().invocations:
        told.thaws(request)
    else:
        told.starts(request)
        told.invokes(request)
    if opens is not None:
        told.opens(opens, place=HANDLER)
    if uses is not None:
        told.uses(uses)
    told.freezes()


def test_reused() -> None:
    """The second invocation spoke on what the first one had opened."""
    told = Told()
    seen, _ = seen_of(told)
    invoke(told, "r1", opens=1)
    invoke(told, "r2", uses=1)
    seen.assert_reused()
    seen.assert_opened(at_most=1)
    seen.assert_peak(at_most=60, concurrency=60)
    seen.assert_no_zombies()


def test_reused_from_before() -> None:
    """What was open when the watch began can be used as well, by the first invocation too."""
    told = Told()
    invoke(told, "r1", opens=1)
    seen, _ = seen_of(told)
    invoke(told, "r2", uses=1)
    invoke(told, "r3", uses=1)
    seen.assert_reused()
    seen.assert_opened(at_most=0)


def test_not_reused() -> None:
    """Both sessions are named, with their lines."""
    told = Told()
    seen, _ = seen_of(told)
    invoke(told, "r1", opens=1)
    invoke(told, "r2", opens=2)
    with pytest.raises(AssertionError, match="orders opened another session instead") as failed:
        seen.assert_reused()
    assert str(failed.value).count(HANDLER) == 2
    with pytest.raises(AssertionError, match="orders opened 2 sessions, and 1 may be"):
        seen.assert_opened(at_most=1)


@pytest.mark.parametrize(("invocations", "word"), [(0, "never"), (1, "once")])
def test_too_few_invocations_prove_nothing(invocations: int, word: str) -> None:
    """An assertion that cannot fail is a failure."""
    told = Told()
    seen, _ = seen_of(told)
    for number in range(invocations):
        invoke(told, f"r{number}", opens=1)
    with pytest.raises(AssertionError, match=f"invoked {word} while"):
        seen.assert_reused()


def test_an_invocation_without_the_database_proves_nothing() -> None:
    """It is named."""
    told = Told()
    seen, _ = seen_of(told)
    invoke(told, "r1", opens=1)
    invoke(told, "r2")
    with pytest.raises(AssertionError, match=r"invocation 2 \(request r2\) did not speak"):
        seen.assert_reused()


def test_peak() -> None:
    """As seen, or reckoned for a concurrency."""
    told = Told()
    seen, _ = seen_of(told)
    invoke(told, "r1", opens=1)
    invoke(told, "r2", opens=2)
    seen.assert_peak(at_most=2)
    with pytest.raises(AssertionError, match="had 2 sessions open at once, and 1 may be"):
        seen.assert_peak(at_most=1)
    with pytest.raises(AssertionError, match="would hold 120 sessions"):
        seen.assert_peak(at_most=66, concurrency=60)


def test_no_zombies_after_a_recycle() -> None:
    """The environments are ended in the way that is asked for, and what comes of it counts."""
    told = Told()
    seen, played = seen_of(told)
    invoke(told, "r1", opens=1)
    seen.end()

    def vanish() -> None:
        told.ends(reason="recycled by hand")
        told.becomes_zombie(1)

    played.on_recycle = vanish
    with pytest.raises(AssertionError, match="the server holds 1 session of orders"):
        seen.assert_no_zombies(after="recycle", reclaim="silent")
    assert played.recycled == [("orders", "silent")]


def test_an_environment_that_serves_cannot_be_recycled() -> None:
    """The assertion would look too early."""
    told = Told()
    seen, played = seen_of(told)
    invoke(told, "r1", opens=1)
    played.still_serving = (EnvironmentId("e1"),)
    with pytest.raises(EmulatorError, match="still serve"):
        seen.assert_no_zombies(after="recycle")


def test_a_way_to_end_needs_an_end() -> None:
    """``reclaim`` alone would be passed over."""
    seen, _ = seen_of(Told())
    with pytest.raises(ValueError, match="recycle"):
        seen.assert_no_zombies(reclaim="silent")


def test_what_comes_after_the_block_is_not_seen() -> None:
    """Nor is what comes between the block and an assertion."""
    told = Told()
    played = Played(told)
    with watch(DeployedFunction(cast(Emulator, played), "orders")) as seen:
        invoke(told, "r1", opens=1)
    invoke(told, "r2", opens=2)
    seen.assert_opened(at_most=1)
    assert repr(seen) == "<seen of orders: 1 invoked, 1 session opened, 1 at once, 0 zombies>"


def test_without_a_database_nothing_is_seen() -> None:
    """And that is no failure of the watch."""
    told = Told()
    seen, _ = seen_of(told, has_database=False)
    invoke(told, "r1")
    seen.assert_opened(at_most=0)


def session(number: int, function: str | None, *, zombie: bool = False) -> Session:
    return Session(
        number, None, None, function, None, "lambda", "lambda", "Sleep", 1.0, None, f"127.0.0.1:{number}", zombie
    )


def test_sessions_of_a_test_are_those_of_its_functions() -> None:
    """And what belongs to it in another way; its zombies are among them."""
    told = Told()
    played = Played(told)
    played.sessions = (session(1, "orders"), session(2, "others"), session(3, None), session(4, "orders", zombie=True))
    connections = Connections(cast(Emulator, played), lambda: {"orders"}, lambda one: one.id == 3)
    assert [one.id for one in connections.sessions()] == [1, 3, 4]
    assert [one.id for one in connections.zombies()] == [4]
    with connections.watch("orders") as seen:
        invoke(told, "r1", opens=1)
    with connections.watch() as everything:
        invoke(told, "r2", uses=1)
    seen.assert_opened(at_most=1)
    with pytest.raises(AssertionError, match="every function together was invoked once"):
        everything.assert_reused()
