"""What functions did to the database, read from timelines that are told by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as some

from emulator.evidence import Cause
from emulator.model import EnvironmentId, RequestId, Session
from tests.unit.evidence.told import Told

INIT = "app.py:12 in <module>"
HANDLER = "app.py:20 in handler"
FORGOTTEN = "no byte passed for 350 s, and the path (nat) has forgotten it"


def one_environment(*, opens_in_init: bool = True) -> Told:
    """A cold start that has served ``r1`` and is frozen, with the connection of port 1."""
    told = Told()
    told.starts("r1")
    if opens_in_init:
        told.opens(1, place=INIT)
    told.invokes("r1")
    if not opens_in_init:
        told.opens(1, place=HANDLER)
    told.freezes()
    return told


def test_nothing_happened() -> None:
    """No event is no session, and no question fails for it."""
    evidence = Told().evidence()
    assert (evidence.sessions, evidence.invocations, evidence.environments) == ((), (), ())
    assert (evidence.peak(), evidence.peak_of_one(), evidence.zombies(), evidence.opened()) == (0, 0, (), ())
    assert evidence.peak(EnvironmentId("e1")) == 0


def test_who_opened_and_who_used() -> None:
    """A session opened in init belongs to the invocation that waited for it; the later ones are its users."""
    told = one_environment()
    for request in ("r2", "r3"):
        told.thaws(request)
        told.uses(1)
        told.freezes()
    (session,) = told.evidence().sessions
    assert (session.opened_by, session.used_by) == ("r1", ("r2", "r3"))
    assert session.in_init
    assert session.origin == INIT
    assert session.is_new
    assert session.end is None
    assert told.evidence().reused() == (session,)


def test_opened_in_the_handler() -> None:
    """Not in init, and by nobody else."""
    (session,) = one_environment(opens_in_init=False).evidence().opened()
    assert not session.in_init
    assert session.origin == HANDLER


def test_invocations_are_counted_in_the_order_in_which_they_began() -> None:
    """Each once, however many events speak of it, with its environment and its end."""
    told = one_environment()
    told.thaws("r2")
    told.starts("r3", "e2")
    told.freezes()
    stories = told.evidence().invocations
    assert [(story.number, story.request_id, story.environment) for story in stories] == [
        (1, "r1", "e1"),
        (2, "r2", "e1"),
        (3, "r3", "e2"),
    ]
    assert [story.end_seq is not None for story in stories] == [True, True, False]


@pytest.mark.parametrize("first", ["line", "connection"])
def test_the_line_and_the_connection_come_in_any_order(first: str) -> None:
    """They take different ways out of the environment."""
    told = Told()
    told.starts("r1")
    if first == "line":
        told.tells_place(1, INIT)
    told.opens(1)
    if first == "connection":
        told.tells_place(1, INIT)
    (session,) = told.evidence().sessions
    assert session.origin == INIT


def test_a_port_that_is_used_again_is_another_session() -> None:
    """What comes later is said of the later one, its line as well."""
    told = one_environment(opens_in_init=False)
    told.closes(1, "client", reason="the client closed it")
    told.thaws("r2")
    told.opens(1, place="app.py:30 in other")
    first, second = told.evidence().sessions
    assert (first.origin, second.origin) == (HANDLER, "app.py:30 in other")
    assert first.end == "the client closed it"
    assert second.end is None


def test_the_servers_number_is_joined_by_the_other_end() -> None:
    """The observer knows a session by the address from which the relay has dialled."""
    told = one_environment()
    told.is_seen(8, 1)
    (session,) = told.evidence().sessions
    assert (session.id, session.client) == (8, 1)


def test_a_session_around_the_relay_is_known_to_the_observer_only() -> None:
    """It has a number and an environment, and counts as opened when it was first seen."""
    told = one_environment(opens_in_init=False)
    told.is_seen(9, 77)
    session = told.evidence().opened()[-1]
    assert (session.id, session.environment, session.opened_by, session.origin) == (9, "e1", "r1", None)


def test_what_was_open_before_is_known_from_who_speaks_of_it() -> None:
    """It is not new, has no line, and has a number only if the sessions of before are given."""
    told = one_environment()
    since = told.last
    told.thaws("r2")
    told.uses(1)
    (session,) = told.evidence(since=since).sessions
    assert not session.is_new
    assert (session.id, session.opened_by, session.used_by) == (None, None, ("r2",))
    before = Session(
        8, EnvironmentId("e1"), "frozen", "orders", None, "lambda", "lambda", "Sleep", 1.0, None, "127.77.0.2:2", False
    )
    (session,) = told.evidence(since=since, before=(before,)).sessions
    assert session.id == 8
    assert told.evidence(since=since).opened() == ()


def test_one_function_only() -> None:
    """Environments of others do not count, though events of connections name no function."""
    told = one_environment()
    told.function = "others"
    told.starts("r9", "e9")
    told.opens(9, "e9")
    assert [session.environment for session in told.evidence("orders").sessions] == ["e1"]
    assert [session.environment for session in told.evidence("others").sessions] == ["e9"]
    assert told.evidence("orders").peak() == 1
    assert told.evidence().peak() == 2


def test_peaks() -> None:
    """At once, not one after the other; of one environment, of all, and of the dead as well."""
    told = one_environment()
    told.opens(2)
    told.closes(1, "client")
    told.opens(3)
    told.starts("r2", "e2")
    told.opens(4, "e2")
    told.ends("e2")
    told.becomes_zombie(4, "e2")
    evidence = told.evidence()
    assert evidence.peak() == 3
    assert evidence.peak_of_one() == 2
    assert evidence.peak(EnvironmentId("e2")) == 1
    assert [session.client for session in evidence.zombies()] == [4]


def test_a_zombie_that_the_server_has_dropped_is_none_any_more() -> None:
    """And it is told once, by the relay and by the observer alike."""
    told = one_environment()
    told.is_seen(8, 1)
    told.ends()
    told.becomes_zombie(1)
    told.is_seen(8, 1, kind="zombie")
    assert len(told.evidence().zombies()) == 1
    told.closes(1, "server")
    told.is_seen(8, 1, kind="closed")
    evidence = told.evidence()
    assert evidence.zombies() == ()
    assert evidence.sessions[0].end == "it was closed"


def test_a_zombie_of_before_is_none_of_these() -> None:
    """Its environment had ended when the events began; the observer just has not told it earlier."""
    told = one_environment()
    told.ends()
    since = told.last
    told.is_seen(8, 1, kind="zombie")
    told.is_seen(8, 1, kind="closed")
    assert told.evidence(since=since).sessions == ()


def test_how_long_it_was_frozen_when_it_was_closed() -> None:
    """From the freeze to the thaw, on the emulator's clock; known when it is thawed."""
    told = one_environment()
    told.clock.fast_forward(30_000)
    told.closes(1, "server", reason="idle for longer than wait_timeout")
    told.clock.fast_forward(2_400)
    assert told.evidence().sessions[0].frozen_for is None
    told.thaws("r2")
    told.breaks(1)
    (session,) = told.evidence().sessions
    assert session.frozen_for == 32_400
    assert session.broken_by == "r2"
    assert session.end_state == "frozen"


def closed_by_the_function(told: Told) -> None:
    told.thaws("r2")
    told.closes(1, "client", reason="the client closed it")


def closed_while_frozen(told: Told) -> None:
    told.closes(1, "server", reason="idle for longer than wait_timeout (28800 s)")
    told.thaws("r2")


def closed_by_the_server(told: Told) -> None:
    told.thaws("r2")
    told.closes(1, "server", reason="the server closed it")


def forgotten_by_the_path(told: Told) -> None:
    told.thaws("r2")
    told.goes_stale(1)
    told.closes(1, "server")


def reset(told: Told) -> None:
    told.thaws("r2")
    told.is_now("resetting", reason="the invocation took longer than 3 s")
    told.closes(1, "environment", reason="its processes were ended, and their kernel closed it")
    told.freezes()
    told.thaws("r3")


def not_used(told: Told) -> None:
    told.thaws("r2")


@pytest.mark.parametrize(
    ("happens", "cause", "reason"),
    [
        (closed_by_the_function, Cause.CLOSED_BY_FUNCTION, "the client closed it"),
        (closed_while_frozen, Cause.CLOSED_WHILE_FROZEN, "idle for longer than wait_timeout (28800 s)"),
        (closed_by_the_server, Cause.CLOSED_BY_SERVER, "the server closed it"),
        (forgotten_by_the_path, Cause.FORGOTTEN_BY_PATH, FORGOTTEN),
        (reset, Cause.RESET, "its processes were ended, and their kernel closed it"),
        (not_used, Cause.NOT_USED, ""),
    ],
)
def test_why_the_same_environment_opened_another_one(
    happens: Callable[[Told], None], cause: Cause, reason: str
) -> None:
    """Each way in which a session can be lost is told from the others."""
    told = one_environment()
    happens(told)
    told.opens(2, place=HANDLER)
    evidence = told.evidence()
    first, second = evidence.opened()
    why = evidence.why(second)
    assert (why.cause, why.earlier, why.reason) == (cause, first, reason)
    assert evidence.why(first).cause is Cause.FIRST


def test_a_path_that_has_forgotten_says_so_though_nobody_has_closed() -> None:
    """The server goes on holding its end."""
    told = one_environment()
    told.thaws("r2")
    told.goes_stale(1)
    told.opens(2)
    evidence = told.evidence()
    why = evidence.why(evidence.opened()[1])
    assert why.cause is Cause.FORGOTTEN_BY_PATH
    assert why.reason == FORGOTTEN


def test_a_pool_opens_beside_what_it_has() -> None:
    """By the same invocation, while the first one was open."""
    told = Told()
    told.starts("r1")
    told.opens(1)
    told.opens(2)
    evidence = told.evidence()
    first, second = evidence.opened()
    assert (evidence.why(second).cause, evidence.why(second).earlier) == (Cause.BESIDE, first)


def test_a_session_that_is_still_good_is_the_one_that_could_have_been_used() -> None:
    """Though another one was opened, and lost, later."""
    told = one_environment()
    told.thaws("r2")
    told.opens(2)
    told.closes(2, "client")
    told.freezes()
    told.thaws("r3")
    told.opens(3)
    evidence = told.evidence()
    first, _, third = evidence.opened()
    assert (evidence.why(third).cause, evidence.why(third).earlier) == (Cause.NOT_USED, first)


def test_another_environment_because_the_first_was_recycled() -> None:
    """With the words in which its policy has said why."""
    told = one_environment()
    told.ends(reason="idle 9 h >= 7 min")
    told.starts("r2", "e2")
    told.opens(2, "e2")
    evidence = told.evidence()
    first, second = evidence.opened()
    why = evidence.why(second)
    assert (why.cause, why.earlier, why.reason) == (Cause.RECYCLED, first, "idle 9 h >= 7 min")
    assert why.environment is not None
    assert why.environment.id == "e1"


def test_another_environment_because_the_first_was_busy() -> None:
    """Whichever of the two has opened its session first."""
    told = Told()
    told.starts("r1", "e1")
    told.starts("r2", "e2")
    told.opens(2, "e2")
    told.opens(1, "e1")
    evidence = told.evidence()
    causes = {session.environment: evidence.why(session).cause for session in evidence.opened()}
    assert causes == {"e1": Cause.FIRST, "e2": Cause.BUSY}


def test_another_environment_though_the_first_was_idle() -> None:
    """A policy may choose so, or one was initialised ahead."""
    told = one_environment()
    told.starts(None, "e2")
    told.opens(2, "e2")
    evidence = told.evidence()
    session = evidence.opened()[1]
    assert evidence.why(session).cause is Cause.ELSEWHERE
    assert session.opened_by is None


def test_what_an_invocation_has_opened() -> None:
    """Its own and not the others'; nothing for one that is not known."""
    told = one_environment()
    told.thaws("r2")
    told.opens(2)
    told.opens(3)
    evidence = told.evidence()
    assert [session.client for session in evidence.opened_by(RequestId("r2"))] == [2, 3]
    assert evidence.opened_by(RequestId("r9")) == ()
    assert evidence.invocation(RequestId("r9")) is None
    assert evidence.environment(EnvironmentId("e9")) is None


ANYTHING: dict[str, Callable[[Told, int, str], None]] = {
    "starts": lambda told, port, environment: told.starts(f"r{port}", environment),
    "thaws": lambda told, port, environment: told.thaws(f"r{port}", environment),
    "freezes": lambda told, _port, environment: told.freezes(environment),
    "ends": lambda told, _port, environment: told.ends(environment),
    "opens": lambda told, port, environment: told.opens(port, environment, place=INIT),
    "uses": lambda told, port, environment: told.uses(port, environment),
    "breaks": lambda told, port, environment: told.breaks(port, environment),
    "goes stale": lambda told, port, environment: told.goes_stale(port, environment),
    "becomes zombie": lambda told, port, environment: told.becomes_zombie(port, environment),
    "closes": lambda told, port, environment: told.closes(port, "server", environment),
    "is seen": lambda told, port, environment: told.is_seen(port, port, environment),
    "is seen closed": lambda told, port, environment: told.is_seen(port, port, environment, kind="closed"),
}


@given(
    some.lists(
        some.tuples(some.sampled_from(sorted(ANYTHING)), some.integers(1, 3), some.sampled_from(["e1", "e2"])),
        max_size=30,
    ),
    some.integers(0, 30),
)
def test_any_stretch_of_any_timeline_can_be_read(happened: list[tuple[str, int, str]], since: int) -> None:
    """The figures agree with each other, and every question about every session has an answer."""
    told = Told()
    for what, port, environment in happened:
        ANYTHING[what](told, port, environment)
    evidence = told.evidence(since=since)
    still_open = [session for session in evidence.sessions if session.end is None]
    assert len(still_open) <= evidence.peak() <= len(evidence.sessions)
    assert evidence.peak_of_one() <= evidence.peak()
    assert set(evidence.zombies()) <= set(still_open)
    for session in evidence.sessions:
        why = evidence.why(session)
        assert why.earlier is None or why.earlier.seq < session.seq
