"""The observer, a real server, and real processes that connect to it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
import pymysql
import pytest

from emulator.clock import FakeClock
from emulator.database.base import DatabaseServer
from emulator.database.hosted import DockerServer
from emulator.database.local import LocalServer
from emulator.database.observer import Observer
from emulator.database.program import find_program
from emulator.errors import DatabaseError
from emulator.model import EnvironmentId, Function, RequestId, Session
from emulator.sandbox.engine import Engine
from emulator.sandbox.freezer import states
from emulator.sandbox.instance import Instance
from emulator.timeline import Timeline
from tests.needs import need_database, need_engine
from tests.support import eventually, in_loop, require

pytestmark = pytest.mark.database

STAND_IN = "lambda-freezer/mysql:mariadb"
ONE, TWO = EnvironmentId("one"), EnvironmentId("two")

# Connects, says so with its thread id, and waits until its standard input ends.
CLIENT = """
import json, sys, pymysql
connection = pymysql.connect(**json.loads(sys.argv[1]), ssl_disabled=True)
print(connection.thread_id(), flush=True)
sys.stdin.read()
"""
# A process that does not connect itself but has a child that does.
PARENT = f"""
import subprocess, sys
sys.exit(subprocess.run([sys.executable, "-c", {CLIENT!r}, sys.argv[1]]).returncode)
"""


class Client:
    """A process, or a process and its child, with a connection to the server."""

    def __init__(self, variables: Mapping[str, str], *, code: str = CLIENT) -> None:
        options = {
            "host": variables["DB_HOST"],
            "port": int(variables["DB_PORT"]),
            "user": variables["DB_USER"],
            "password": variables["DB_PASSWORD"],
            "database": variables["DB_NAME"],
        }
        self._process = subprocess.Popen(
            [sys.executable, "-c", code, json.dumps(options)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        self.session = int(self._process.stdout.readline())

    @property
    def pids(self) -> list[int]:
        if self._process.poll() is not None:
            return []
        first = psutil.Process(self._process.pid)
        return [first.pid, *(child.pid for child in first.children(recursive=True))]

    def send(self, number: signal.Signals) -> None:
        for pid in self.pids:
            psutil.Process(pid).send_signal(number)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.send(signal.SIGKILL)
        self._process.wait(timeout=10)
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()


@dataclass
class ProcessEnvironment:
    """An environment that consists of a client."""

    id: EnvironmentId
    client: Client
    state: str = "idle"
    sandbox_kind: str = "process"
    address: str = "127.0.0.9"
    last_request_id: RequestId | None = field(default_factory=lambda: RequestId("request-1"))
    function: Function = field(default_factory=lambda: Function(name="orders", code=Path("code")))

    def process_ids(self) -> Collection[int]:
        return self.client.pids


@dataclass
class Scene:
    server: DatabaseServer
    observer: Observer
    timeline: Timeline
    environments: list[ProcessEnvironment]
    pids: list[int]

    def client(self, code: str = CLIENT) -> Client:
        return Client(self.server.variables(from_container=False), code=code)

    async def look_until(self, condition: Callable[[list[Session]], bool], deadline: float = 10) -> list[Session]:
        """Look again and again: the server takes a moment to see that a client is gone."""
        async with asyncio.timeout(deadline):
            while not condition(sessions := list(await self.observer.sample())):
                pass
        return sessions


@contextlib.asynccontextmanager
async def observing(*options: str, max_connections: int | None = None) -> AsyncIterator[Scene]:
    """A server and an observer, which looks when it is told to."""
    need_database()
    program = find_program()
    assert program is not None
    clock = FakeClock()
    timeline = Timeline(clock)
    environments: list[ProcessEnvironment] = []
    pids: list[int] = []
    with Instance() as instance:
        server = LocalServer(
            program, instance=instance, options=options, max_connections=max_connections, on_child=pids.append
        )
        async with server, Observer(server, lambda: environments, timeline, clock, interval=3600) as observer:
            yield Scene(server, observer, timeline, environments, pids)


@pytest.mark.parametrize("code", [CLIENT, PARENT], ids=["process", "child of the process"])
@pytest.mark.parametrize("name_lookup", [False, True], ids=["addresses", "names"])
def test_session_is_joined_to_the_environment_of_its_process(code: str, name_lookup: bool) -> None:
    """Whichever process of the environment connected, and whether or not the server looks names up."""

    @in_loop
    async def join() -> None:
        async with observing(*(["--skip-name-resolve=OFF"] if name_lookup else [])) as scene:
            with scene.client(code) as client, scene.client() as other:
                scene.environments += [ProcessEnvironment(ONE, client), ProcessEnvironment(TWO, other)]
                sessions, summary = await scene.observer.connections()
                assert {session.id: session.environment for session in sessions} == {
                    client.session: ONE,
                    other.session: TWO,
                }
                (session,) = [one for one in sessions if one.environment == ONE]
                assert (session.function, session.request_id) == ("orders", "request-1")
                assert (session.user, session.database, session.command) == ("lambda", "lambda", "Sleep")
                assert (summary.connected, summary.sleeping, summary.zombies) == (2, 2, 0)
                assert (summary.max_connections, summary.wait_timeout) == (151, 28800)

    join()


@pytest.mark.container
@in_loop
async def test_process_that_connects_to_a_server_in_a_container() -> None:
    """Two namespaces, and still the socket is this machine's and leads to its process."""
    need_engine()
    clock = FakeClock()
    environments: list[ProcessEnvironment] = []
    with Instance() as instance:
        async with Engine(instance) as engine:
            require(await engine.has_image(STAND_IN), f"There is no image {STAND_IN}.", "Make it: docker/build-images.")
            server = DockerServer(engine, image=STAND_IN)
            async with server, Observer(server, lambda: environments, Timeline(clock), clock) as observer:
                with Client(server.variables(from_container=False)) as client:
                    environments.append(ProcessEnvironment(ONE, client))
                    # The kernel's table of sockets is no snapshot: in a busy moment a look can miss one.
                    for _ in range(3):
                        (session,) = await observer.sample()
                        if session.environment is not None:
                            break
                    assert (session.id, session.environment) == (client.session, ONE)


@in_loop
async def test_killed_process_leaves_nothing_when_the_kernel_says_goodbye() -> None:
    """SIGKILL alone is no silent death: the kernel closes the connection, and the session goes."""
    async with observing() as scene:
        with scene.client() as client:
            environment = ProcessEnvironment(ONE, client)
            scene.environments.append(environment)
            await scene.observer.before_end(ONE)
            client.send(signal.SIGKILL)
            environment.state = "gone"
            await scene.look_until(lambda sessions: not sessions)
        kinds = [event.kind for event in scene.timeline.since()]
        assert kinds == ["session.opened", "session.closed"]
        assert {event.environment for event in scene.timeline.since()} == {ONE}


@in_loop
async def test_session_that_outlives_its_environment_is_a_zombie_with_a_name() -> None:
    """Here a stopped process plays the network that was cut: the session stays, its environment is gone."""
    async with observing() as scene:
        with scene.client() as client:
            scene.environments.append(ProcessEnvironment(ONE, client))
            await scene.observer.before_end(ONE)
            client.send(signal.SIGSTOP)
            scene.environments.clear()
            sessions, summary = await scene.observer.connections(environment=ONE)
            (session,) = sessions
            assert (session.id, session.environment_state, session.zombie) == (client.session, "gone", True)
            assert summary.zombies == 1
            assert scene.observer.sessions_of(ONE) == 1


@in_loop
async def test_unknown_client_is_listed_and_counted() -> None:
    """The user's own client takes up a connection; the emulator's own sessions are not shown."""
    async with observing(max_connections=3) as scene:
        with scene.server.connect(), scene.server.connect(as_function=True) as connection:
            sessions, summary = await scene.observer.connections()
            assert [(one.id, one.environment) for one in sessions] == [
                (connection.thread_id(), None),  # type: ignore[no-untyped-call]
            ]
            assert (summary.connected, summary.max_connections) == (1, 3)


@in_loop
async def test_running_statement_is_shown() -> None:
    """What a session does, and for how long; a long statement is cut."""
    async with observing() as scene:

        def sleep() -> None:
            connection = scene.server.connect(as_function=True)
            with connection, connection.cursor() as cursor, pytest.raises(pymysql.err.OperationalError, match="1317"):
                cursor.execute(f"SELECT SLEEP(20) /* {'x' * 5000} */")

        running = asyncio.create_task(asyncio.to_thread(sleep))
        (session,) = await scene.look_until(lambda sessions: any(one.command == "Query" for one in sessions))
        assert session.statement is not None
        assert session.statement.startswith("SELECT SLEEP(20)")
        assert len(session.statement) == 1000
        _, summary = await scene.observer.connections()
        assert (summary.active, summary.sleeping) == (1, 0)
        with scene.server.connect() as administration, administration.cursor() as cursor:
            cursor.execute(f"KILL QUERY {session.id}")
        await running


@in_loop
async def test_connection_of_the_observer_may_be_killed() -> None:
    """Somebody clears the process list, and the next look is as good as the one before."""
    async with observing() as scene:
        await scene.observer.sample()
        with scene.server.connect() as administration, administration.cursor() as cursor:
            own = administration.thread_id()  # type: ignore[no-untyped-call]
            cursor.execute("SELECT id FROM information_schema.processlist WHERE id <> %s", (own,))
            for (thread,) in cursor.fetchall():
                cursor.execute(f"KILL {thread}")
        assert await scene.observer.sample() == ()
        assert [event.kind for event in scene.timeline.since()] == []


@in_loop
async def test_server_that_died() -> None:
    """Whoever asks is told why there is no answer; the end of an environment goes on."""
    async with observing() as scene:
        with scene.client() as client:
            scene.environments.append(ProcessEnvironment(ONE, client))
            await scene.observer.sample()
            psutil.Process(scene.pids[0]).kill()
            with pytest.raises(DatabaseError, match="does not answer"):
                await scene.look_until(lambda _: False)
            await scene.observer.before_end(ONE)
            with pytest.raises(DatabaseError, match="does not answer"):
                await scene.observer.connections()
        kinds = [event.kind for event in scene.timeline.since()]
        assert kinds == ["session.opened", "database.unreachable"]


@in_loop
async def test_hanging_server_is_given_up() -> None:
    """Stopped, it takes connections and says nothing: there is a deadline."""
    async with observing() as scene:
        await scene.observer.sample()
        server = psutil.Process(scene.pids[0])
        server.suspend()
        eventually(lambda: set(states(server.pid)) == {"T"}, "every thread of the server stops")
        try:
            with pytest.raises(DatabaseError, match=r"does not answer: .*timed out"):
                async with asyncio.timeout(10):
                    await scene.observer.sample()
        finally:
            server.resume()
        await scene.observer.sample()
        assert [event.kind for event in scene.timeline.since()] == ["database.unreachable", "database.reachable"]
