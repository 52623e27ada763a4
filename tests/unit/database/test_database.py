"""The database as a whole: what is asked of it where there is one, and where there is none."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from emulator.clock import FakeClock
from emulator.database.database import Database
from emulator.database.observer import Observer
from emulator.database.relays import Relays
from emulator.errors import DatabaseError, InvalidParameterValueError
from emulator.model import EnvironmentId
from emulator.timeline import Timeline
from tests.support import in_loop
from tests.unit.database.scripted import ScriptedServer, SomeEnvironment, row

ONE = EnvironmentId("one")


@in_loop
async def test_without_a_database_what_needs_one_is_refused() -> None:
    """With the cure; and what can do without it says that nobody knows."""
    database = Database(None, None, None, Timeline(FakeClock()))
    needs: list[Callable[[], Awaitable[object]]] = [
        database.connections,
        database.kill_zombies,
        database.restart,
        database.fail_over,
        database.fail_back,
    ]
    for ask in needs:
        with pytest.raises(DatabaseError, match="without a database") as caught:
            await ask()
        assert "server" in caught.value.cure
    with pytest.raises(DatabaseError, match="without a database"):
        database.take_path("nat")
    await database.look()
    await database.age_sessions()
    assert (database.kind, database.trouble, database.sessions_of(ONE)) == (None, None, None)


@in_loop
async def test_what_is_done_by_hand_is_on_the_timeline() -> None:
    """A restart, a failover, and the way back; after a restart the sessions are counted anew."""
    clock = FakeClock()
    timeline = Timeline(clock)
    server = ScriptedServer()
    here = [SomeEnvironment(ONE, address="10.80.0.2")]
    async with Observer(server, lambda: here, timeline, clock, interval=3600.0) as observer:
        database = Database(server, observer, None, timeline)
        await database.look()
        assert database.sessions_of(ONE) == 0
        server.rows = [row(7, "10.80.0.2:4000")]
        await database.restart()
        assert database.sessions_of(ONE) == 1
        await database.fail_over()
        await database.fail_back()
    told = [event.kind for event in timeline.since() if event.kind.startswith("database.")]
    assert told == ["database.restarted", "database.failover", "database.failback"]


@in_loop
async def test_another_path_answers_the_one_before() -> None:
    """And one that there is not is refused by the names of those there are."""
    clock = FakeClock()
    async with Relays(("127.0.0.1", 1), clock=clock, on_event=lambda event: None) as relays:
        database = Database(ScriptedServer(), None, relays, Timeline(clock))
        assert database.take_path("nat") == "direct"
        assert database.take_path("firewall") == "nat"
        with pytest.raises(InvalidParameterValueError, match="no path 'tunnel'") as caught:
            database.take_path("tunnel")
        assert "direct" in caught.value.cure
        assert relays.profile.name == "firewall"
