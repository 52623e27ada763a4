"""The observer, against a server that answers from a script and environments without processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator

import pymysql
import pytest

from emulator.clock import FakeClock
from emulator.database.observer import Observer, pause_after
from emulator.errors import DatabaseError
from emulator.model import EnvironmentId, RequestId
from emulator.timeline import Timeline, TimelineEvent
from tests.support import in_loop
from tests.unit.database.scripted import ScriptedServer, SomeEnvironment, row

ONE, TWO = EnvironmentId("one"), EnvironmentId("two")
REFUSED = pymysql.err.OperationalError(2003, "Can't connect to MySQL server")


class Scene:
    """An observer and everything that it looks at. It looks when it is told to, unless ``interval`` is short."""

    def __init__(self, interval: float = 3600.0) -> None:
        self.server = ScriptedServer()
        self.environments: list[SomeEnvironment] = []
        self.clock = FakeClock()
        self.timeline = Timeline(self.clock)
        self.observer = Observer(self.server, lambda: self.environments, self.timeline, self.clock, interval=interval)

    def kinds(self) -> list[str]:
        return [event.kind for event in self.timeline.since()]

    def next_event(self, kind: str) -> asyncio.Future[TimelineEvent]:
        """The next event of this kind, as something to wait for."""
        happened: asyncio.Future[TimelineEvent] = asyncio.get_running_loop().create_future()

        def hear(event: TimelineEvent) -> None:
            if event.kind == kind and not happened.done():
                happened.set_result(event)

        self.timeline.listen(hear)
        return happened


@contextlib.asynccontextmanager
async def observing(interval: float = 3600.0) -> AsyncIterator[Scene]:
    """A scene whose observer has had its first look."""
    scene = Scene(interval)
    async with scene.observer, asyncio.timeout(10):
        await scene.observer.sample()
        yield scene


@in_loop
async def test_session_of_a_container_and_its_end() -> None:
    """Frozen, gone, a zombie, given up: one session all the way."""
    async with observing() as scene:
        environment = SomeEnvironment(ONE, address="10.80.0.2", last_request_id=RequestId("request-1"))
        scene.environments = [environment]
        scene.server.rows = [row(7, "10.80.0.2:4000")]
        (session,), summary = await scene.observer.connections()
        assert (session.environment, session.environment_state, session.zombie) == (ONE, "frozen", False)
        assert (summary.connected, summary.zombies, summary.max_connections) == (1, 0, 151)
        scene.environments = []
        (session,), summary = await scene.observer.connections(environment=ONE)
        assert (session.environment, session.environment_state, session.zombie) == (ONE, "gone", True)
        assert (session.request_id, summary.zombies) == ("request-1", 1)
        scene.clock.fast_forward(1)
        await scene.observer.sample()
        scene.server.rows = []
        await scene.observer.sample()
        assert scene.kinds() == ["session.opened", "session.zombie", "session.closed"]


@in_loop
async def test_sessions_of_one_environment_with_the_counts_of_all() -> None:
    """The limits are the same for all, so the counts are of all."""
    async with observing() as scene:
        scene.environments = [SomeEnvironment(ONE, address="10.80.0.2"), SomeEnvironment(TWO, address="10.80.0.3")]
        assert scene.observer.sessions_of(ONE) == 0
        scene.server.rows = [row(7, "10.80.0.2:1"), row(8, "10.80.0.3:1"), row(9, "10.80.0.3:2"), row(10, "10.0.0.9:1")]
        sessions, summary = await scene.observer.connections(environment=TWO)
        assert [session.id for session in sessions] == [8, 9]
        assert summary.connected == 4
        assert [scene.observer.sessions_of(one) for one in (ONE, TWO)] == [1, 2]
        assert scene.observer.sessions_of(EnvironmentId("unknown")) == 0


@in_loop
async def test_nothing_is_known_before_the_first_look() -> None:
    """None is not zero."""
    scene = Scene()
    assert scene.observer.sessions_of(ONE) is None
    async with scene.observer:
        pass


@in_loop
async def test_looks_by_itself() -> None:
    """Nobody asks, and the timeline hears of it all the same."""
    async with observing(interval=0.001) as scene:
        opened = scene.next_event("session.opened")
        scene.server.rows = [row(7)]
        assert (await opened).detail == {
            "session": 7,
            "user": "lambda",
            "client": "127.0.0.1:40000",
            "database": "lambda",
        }


@pytest.mark.parametrize(("spent", "pause"), [(0.0, 0.5), (0.004, 0.5), (0.04, 5.0), (1.0, 10.0)])
def test_what_takes_long_is_done_less_often(spent: float, pause: float) -> None:
    """So that a thousand sessions do not keep a processor busy; but not too seldom either."""
    assert pause_after(spent, 0.5) == pytest.approx(pause)


@in_loop
async def test_server_that_goes_away_and_comes_back() -> None:
    """Told once each way; whoever asks in between gets the reason; a look every interval, no more."""
    async with observing(interval=0.001) as scene:
        away, back = scene.next_event("database.unreachable"), scene.next_event("database.reachable")
        scene.server.failures, scene.server.refuse_logins = [REFUSED], REFUSED
        assert "2003" in (await away).reason
        with pytest.raises(DatabaseError, match="does not answer"):
            await scene.observer.connections()
        with pytest.raises(DatabaseError, match="does not answer"):
            await scene.observer.sample()
        scene.server.refuse_logins = None
        assert (await back).reason == "it answers again"
        assert scene.kinds() == ["database.unreachable", "database.reachable"]


@in_loop
async def test_restarted_server_has_new_sessions() -> None:
    """The old ones have ended, and the new ones are not taken for them, number for number."""
    async with observing() as scene:
        scene.environments = [SomeEnvironment(ONE, address="10.80.0.2")]
        scene.server.rows = [row(7, "10.80.0.2:1")]
        await scene.observer.sample()
        scene.server.failures, scene.server.next_thread, scene.server.uptime = [REFUSED], 1, 0
        scene.server.rows = [row(7, "192.0.2.1:1")]
        (session,) = await scene.observer.sample()
        assert session.environment is None
        assert scene.kinds() == ["session.opened", "session.closed", "session.opened"]


@in_loop
async def test_process_is_found_before_it_ends_and_remembered() -> None:
    """Its socket is all that tells whose a session is, so the last chance is taken."""
    async with observing() as scene:
        listener = socket.create_server(("127.0.0.1", 0))
        with listener, socket.create_connection(listener.getsockname()) as client:
            scene.server.port = listener.getsockname()[1]
            environment = SomeEnvironment(ONE, "process", "127.0.0.5", pids=[os.getpid()])
            scene.environments = [environment]
            address, port = client.getsockname()
            scene.server.rows = [row(7, f"{address}:{port}")]
            await scene.observer.before_end(ONE)
        environment.pids, environment.state = (), "gone"
        (session,) = await scene.observer.sample()
        assert (session.environment, session.zombie) == (ONE, True)


@in_loop
async def test_many_ends_at_once_are_one_look() -> None:
    """The first of them has its own; a second serves everyone who came in the meantime."""
    async with observing() as scene:
        scene.environments = [SomeEnvironment(EnvironmentId(f"e{n}"), "process") for n in range(50)]
        asked = len(scene.server.questions)
        async with asyncio.TaskGroup() as group:
            for environment in scene.environments:
                group.create_task(scene.observer.before_end(environment.id))
        assert len(scene.server.questions) - asked <= 2


@in_loop
async def test_end_of_a_container_asks_nothing() -> None:
    """Its address is enough, even when it came and went between two looks."""
    async with observing() as scene:
        scene.environments = [SomeEnvironment(ONE, address="10.80.0.2")]
        asked = len(scene.server.questions)
        await scene.observer.before_end(ONE)
        await scene.observer.before_end(EnvironmentId("unknown"))
        assert len(scene.server.questions) == asked
        scene.environments = []
        scene.server.rows = [row(7, "10.80.0.2:4000")]
        (session,) = await scene.observer.sample()
        assert (session.environment, session.zombie) == (ONE, True)


@in_loop
async def test_end_does_not_fail_with_the_server() -> None:
    """A server that is away is no reason to keep an environment."""
    async with observing() as scene:
        scene.environments = [SomeEnvironment(ONE, "process")]
        scene.server.failures, scene.server.refuse_logins = [REFUSED], REFUSED
        await scene.observer.before_end(ONE)
        assert scene.kinds() == ["database.unreachable"]


@in_loop
async def test_failure_of_its_own_is_not_swallowed() -> None:
    """What is no matter of the server ends the looking, and is raised where the observer is left."""
    looked = asyncio.Event()

    def environments() -> list[SomeEnvironment]:
        looked.set()
        raise RuntimeError("broken")

    scene = Scene()
    observer = Observer(scene.server, environments, scene.timeline, scene.clock)
    await observer.__aenter__()
    await looked.wait()
    with pytest.raises(RuntimeError, match="broken"):
        await observer.__aexit__(None, None, None)
