"""The join of the process list to environments, and the counts over it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.database.sessions import EnvironmentFacts, ProcessRow, is_session, join_sessions, summarize
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
