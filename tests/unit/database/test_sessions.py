"""The join of the process list to environments, and the counts over it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.database.sessions import (
    EnvironmentFacts,
    ProcessRow,
    Timeouts,
    is_session,
    join_sessions,
    summarize,
)
from emulator.model import ConnectionsSummary, EnvironmentId, RequestId, Session
from tests.unit.database.scripted import row

FROZEN = EnvironmentFacts(EnvironmentId("frozen-one"), "orders", "frozen", RequestId("request-1"))
GONE = EnvironmentFacts(EnvironmentId("gone-one"), "orders", "gone", RequestId("request-2"), gone=True)
ENVIRONMENTS = {facts.id: facts for facts in (FROZEN, GONE)}


def count(sessions: tuple[Session, ...], max_connections: int = 152, reserved: int = 1) -> ConnectionsSummary:
    return summarize(sessions, max_connections=max_connections, wait_timeout=28800, reserved=reserved)


def test_session_of_a_living_environment_says_all_of_it() -> None:
    """Every field of a session comes from its row or from its environment."""
    (session,) = join_sessions(
        [row(7, command="Query", seconds=0.25, statement="SELECT 1")], {7: FROZEN.id}, ENVIRONMENTS
    )
    assert session == Session(
        id=7,
        environment=FROZEN.id,
        environment_state="frozen",
        function="orders",
        request_id=RequestId("request-1"),
        user="lambda",
        database="lambda",
        command="Query",
        seconds=0.25,
        statement="SELECT 1",
        client_address="127.0.0.1:40000",
        zombie=False,
    )


def test_session_of_a_gone_environment_is_a_zombie() -> None:
    """The environment is gone, and the session keeps its name and its last request."""
    (session,) = join_sessions([row(7)], {7: GONE.id}, ENVIRONMENTS)
    assert session.zombie
    assert (session.environment, session.environment_state) == (GONE.id, "gone")
    assert session.request_id == "request-2"


@pytest.mark.parametrize("owners", [{}, {7: EnvironmentId("forgotten")}], ids=["unknown", "forgotten"])
def test_session_of_somebody_else_is_listed_without_environment(owners: dict[int, EnvironmentId]) -> None:
    """It takes up a connection like every other, so it is not hidden; but it is nobody's zombie."""
    (session,) = join_sessions([row(7)], owners, ENVIRONMENTS)
    assert session.environment is session.environment_state is session.function is session.request_id is None
    assert not session.zombie
    assert count((session,)).connected == 1


@pytest.mark.parametrize(
    "system",
    [
        row(1, "", user="system user", command="Daemon"),
        row(5, "", user="system user", command="Slave_IO"),
        row(2, "localhost", user="event_scheduler", command="Daemon"),
        row(9, "127.0.0.1:50000", user="unauthenticated user", command="Connect"),
    ],
    ids=lambda one: f"{one.user}, {one.command}",
)
def test_what_is_not_a_session_is_left_out(system: ProcessRow) -> None:
    """Threads of the server's own, and clients that are still at the door."""
    assert not is_session(system)
    assert join_sessions([system], {}, {}) == ()


def test_own_sessions_are_left_out() -> None:
    """The emulator is not what the user looks for; the same account elsewhere is."""
    rows = [row(3, "localhost", user="root"), row(4, "localhost", user="root")]
    assert [session.id for session in join_sessions(rows, {}, {}, own={3})] == [4]


def test_counts() -> None:
    """Asleep or active, whoever's it is; a zombie is one of either."""
    sessions = join_sessions(
        [
            row(4, command="Sleep"),
            row(5, command="Query"),
            row(6, command="Sleep"),
            row(7, command="Execute"),
            row(8),
        ],
        {4: FROZEN.id, 5: FROZEN.id, 6: GONE.id, 7: GONE.id},
        ENVIRONMENTS,
    )
    assert count(sessions) == ConnectionsSummary(
        connected=5, active=2, sleeping=3, zombies=2, max_connections=151, wait_timeout=28800
    )


def test_limit_is_what_is_left_for_others() -> None:
    """Places that the emulator takes itself are taken off, so that connected = limit means full."""
    assert count((), max_connections=10, reserved=5).max_connections == 5
    assert count((), max_connections=1, reserved=5).max_connections == 0


@given(
    rows=st.lists(
        st.builds(
            row,
            st.integers(1, 40),
            st.sampled_from(["127.0.0.1:40000", "localhost", "10.80.0.7:3000"]),
            user=st.sampled_from(["lambda", "root", "system user", "unauthenticated user"]),
            command=st.sampled_from(["Sleep", "Query", "Execute", "Daemon", "Killed"]),
        ),
        unique_by=lambda one: one.id,
    ),
    owners=st.dictionaries(st.integers(1, 40), st.sampled_from([FROZEN.id, GONE.id, EnvironmentId("forgotten")])),
    own=st.sets(st.integers(1, 40)),
)
def test_nothing_is_lost_or_counted_twice(
    rows: list[ProcessRow], owners: dict[int, EnvironmentId], own: set[int]
) -> None:
    """Whatever the server lists, the sessions are the rows that count, in order, and the sums agree."""
    sessions = join_sessions(rows, owners, ENVIRONMENTS, own)
    assert [one.id for one in sessions] == sorted(r.id for r in rows if r.id not in own and is_session(r))
    summary = count(sessions)
    assert summary.connected == len(sessions) == summary.active + summary.sleeping
    assert summary.zombies == sum(owners.get(one.id) == GONE.id for one in sessions)
    assert all(one.environment == GONE.id for one in sessions if one.zombie)


# -- when the server drops them --------------------------------------------------------------------------

DEFAULTS = Timeouts(wait_timeout=28_800.0, keepalive=7_875.0)


@pytest.mark.parametrize(
    ("timeouts", "zombie", "seconds", "left"),
    [
        (DEFAULTS, False, 800.0, 28_000.0),
        (DEFAULTS, True, 875.0, 7_000.0),
        (Timeouts(600.0, 7_875.0), True, 100.0, 500.0),
        (Timeouts(600.0, 7_875.0), False, 100.0, 500.0),
        (Timeouts(600.0, 7_875.0), False, 601.0, 0.0),
    ],
    ids=["asleep", "zombie: keepalive", "zombie: wait_timeout", "asleep: wait_timeout", "overdue"],
)
def test_a_sleeping_session_is_dropped_when_its_limit_is_reached(
    timeouts: Timeouts, zombie: bool, seconds: float, left: float
) -> None:
    """By the first limit that applies: only whoever is gone answers no keepalive."""
    assert timeouts.drops_in(row(7, seconds=seconds), zombie=zombie) == left


@pytest.mark.parametrize("command", ["Query", "Execute", "Killed", "Binlog Dump"])
def test_a_session_at_work_is_not_about_to_be_dropped(command: str) -> None:
    """The limit is on sleep, whoever's session it is."""
    for zombie in (False, True):
        assert DEFAULTS.drops_in(row(7, command=command, seconds=1e6), zombie=zombie) is None


@pytest.mark.parametrize(
    ("idle", "left"),
    [({"127.0.0.1:40000": 28_000.0}, 800.0), ({"127.0.0.1:40000": 5.0}, 28_700.0), ({"127.0.0.1:9": 9e9}, 28_700.0)],
    ids=["skipped time counts", "the server knows better", "somebody else's"],
)
def test_silence_on_the_emulator_s_clock_counts_where_it_is_longer(idle: dict[str, float], left: float) -> None:
    """The server knows nothing of skipped time, and the emulator nothing of what it did not relay."""
    timeouts = Timeouts(28_800.0, 7_875.0, idle)
    assert timeouts.drops_in(row(7, "127.0.0.1:40000", seconds=100.0), zombie=False) == left


@given(st.floats(1, 1e6), st.floats(1, 1e6), st.floats(0, 1e7), st.floats(0, 1e7), st.sampled_from(["Sleep", "Query"]))
def test_zombies_are_dropped_no_later_than_others(
    wait_timeout: float, keepalive: float, seconds: float, idle: float, command: str
) -> None:
    """Within both limits, and never in the past."""
    timeouts = Timeouts(wait_timeout, keepalive, {"127.0.0.1:40000": idle})
    one = row(7, "127.0.0.1:40000", seconds=seconds, command=command)
    dead, alive = timeouts.drops_in(one, zombie=True), timeouts.drops_in(one, zombie=False)
    if dead is None or alive is None:
        assert dead is alive is None
    else:
        assert 0 <= dead <= alive <= wait_timeout
        assert dead <= keepalive


def test_sessions_tell_their_locks_and_when_they_are_dropped() -> None:
    """A zombie by its own limit; where no limits are known nothing is said."""
    rows = [replace(row(7, seconds=75.0), locked_rows=3), row(8, seconds=800.0)]
    owners = {7: GONE.id, 8: FROZEN.id}
    zombie, asleep = join_sessions(rows, owners, ENVIRONMENTS, timeouts=DEFAULTS)
    assert (zombie.locked_rows, zombie.drops_in) == (3, 7_800.0)
    assert (asleep.locked_rows, asleep.drops_in) == (None, 28_000.0)
    assert [session.drops_in for session in join_sessions(rows, owners, ENVIRONMENTS)] == [None, None]
