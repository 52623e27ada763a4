"""Follows the sessions that the database server holds, and knows of each which environment opened it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

from emulator.clock import Clock
from emulator.database.attribution import Attribution, ObservedEnvironment
from emulator.database.base import DatabaseServer
from emulator.database.history import SessionHistory
from emulator.database.processlist import Look, ProcessList
from emulator.database.relays import Relays
from emulator.database.sessions import Timeouts, join_sessions, summarize
from emulator.database.sockets import find_holders
from emulator.errors import DatabaseError
from emulator.model import KEEPALIVE, ConnectionsSummary, EnvironmentId, Session
from emulator.timeline import Timeline

__all__ = ["ObservedEnvironment", "Observer", "pause_after"]

# What a look takes of a processor, in proportion to the time until the next one: with a thousand sessions it is that
# which is left of an emulator at rest. Whoever asks is answered at once all the same, and relays tell what happens.
_SHARE = 0.008
_LONGEST = 10.0  # seconds from one look to the next, however long they take
_PATIENCE = 1.0  # seconds that the end of an environment waits for the server

_P = ParamSpec("_P")
_T = TypeVar("_T")


def pause_after(spent: float, interval: float) -> float:
    """Seconds until the next look, after one that took ``spent`` seconds of a processor."""
    return max(interval, min(_LONGEST, spent / _SHARE))


class Observer:
    """Looks at the server's sessions every ``interval`` seconds, and whenever it is asked to.

    Arguments:
        server: is running already.
        environments: those there are now; whoever is no longer among them is gone.
        timeline: hears of sessions that were opened, closed or left behind, and of a server that is away.
        clock: the emulator's.
        interval: seconds of real time from one look to the next, or more where there is much to look at.
        relays: know whose the connections are that they make to the server, and how long each has been silent.
    """

    def __init__(
        self,
        server: DatabaseServer,
        environments: Callable[[], Iterable[ObservedEnvironment]],
        timeline: Timeline,
        clock: Clock,
        *,
        interval: float = 0.5,
        relays: Relays | None = None,
    ) -> None:
        self._server = server
        self._environments = environments
        self._timeline = timeline
        self._interval = interval
        self._relays = relays
        self._attribution = Attribution()
        self._clock = clock
        self._history = SessionHistory(timeline, clock)
        self._process_list = ProcessList(server)
        # Threads cannot be stopped and connections cannot be shared: one of each, and one look at a time.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="observer")
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._spent = 0.0  # seconds of a processor, in all
        self._away = False  # as far as the timeline has been told
        self._run = 0
        self._begun = self._finished = self._finished_insisting = 0
        self._failure: DatabaseError | None = None
        self._sessions: tuple[Session, ...] = ()
        self._summary: ConnectionsSummary | None = None
        self._counts: Counter[EnvironmentId] = Counter()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._follow(), name="observer")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._task is not None, "the observer is left without having been entered"
        self._task.cancel()
        try:
            await asyncio.wait([self._task])
            await self._in_thread(self._process_list.close)
        finally:
            self._thread.shutdown(wait=False)
        if not self._task.cancelled():
            self._task.result()

    async def sample(self) -> Sequence[Session]:
        """Look once, now.

        Raises:
            DatabaseError: the server cannot be asked.
        """
        await self._look_after_now()
        return self._sessions

    async def connections(
        self, *, environment: EnvironmentId | None = None
    ) -> tuple[tuple[Session, ...], ConnectionsSummary]:
        """Every session, or those of one environment, and the counts of all: the limits are for all alike.

        Raises:
            DatabaseError: the server cannot be asked.
        """
        await self._look_after_now()
        sessions, summary = self._sessions, self._summary
        assert summary is not None, "a look that did not fail leaves counts"
        if environment is not None:
            sessions = tuple(session for session in sessions if session.environment == environment)
        return sessions, summary

    async def before_end(self, environment_id: EnvironmentId) -> None:
        """Find out what an environment holds before its processes end: afterwards nobody can tell.

        A server that cannot be asked, or not soon, is no reason not to end it.
        """
        here = next((one for one in self._environments() if one.id == environment_id), None)
        if here is None:
            return
        if here.sandbox_kind == "container":
            # Its address tells as well afterwards; it only has to be known.
            self._attribution.meet(self._environments(), only_new=True)
            return
        with contextlib.suppress(DatabaseError, TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await self._look_after_now(insist=True)

    @property
    def trouble(self) -> str | None:
        """Why the server could not be asked the last time; ``None`` where it answered."""
        return self._failure.message if self._failure is not None else None

    def sessions_of(self, environment_id: EnvironmentId) -> int | None:
        """How many sessions an environment held at the last look; ``None`` before the first."""
        return self._counts[environment_id] if self._summary is not None else None

    # -- one look --------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        while True:
            before = self._spent + time.thread_time()
            with contextlib.suppress(DatabaseError):  # it is on the timeline
                await self.sample()
            spent = self._spent + time.thread_time() - before
            await asyncio.sleep(pause_after(spent, self._interval))

    async def _look_after_now(self, *, insist: bool = False) -> None:
        """Look, unless somebody else's look begins after this moment: that one serves as well.

        So however many ask, and however long the server takes, nobody waits for more than two looks.
        """
        begun = self._begun
        async with self._lock:
            if (self._finished_insisting if insist else self._finished) <= begun:
                await self._look(insist=insist)
        if self._failure is not None:
            raise DatabaseError(self._failure.message, cure=self._failure.cure) from self._failure

    async def _look(self, *, insist: bool) -> None:
        number = self._begun = self._begun + 1
        # Before the question: an environment that ends while the server answers is not gone yet, or its
        # sessions, which the server just named, would pass for zombies.
        self._attribution.meet(self._environments())
        try:
            look = await self._in_thread(self._process_list.look)
        except DatabaseError as error:
            self._failure = error
            if not self._away:
                self._away = True
                self._timeline.record("database.unreachable", error.message)
        else:
            self._failure = None
            self._take_note_of(look)
            await self._attribute(look, insist=insist)
            self._keep(look)
            if self._relays is not None and self._clock.speed > 1:
                # The server counts wait_timeout in real time, which is late on a faster clock.
                self._relays.close_idle_as_server(look.wait_timeout)
        self._finished = number
        if insist:
            self._finished_insisting = number

    def _take_note_of(self, look: Look) -> None:
        """Of what the answer says of the server itself."""
        restarted, self._run = look.run != self._run, look.run
        if restarted:
            self._attribution.forget_sessions()
            self._history.restart()
        if self._away:
            self._away = False
            self._timeline.record("database.reachable", "it was started anew" if restarted else "it answers again")

    async def _attribute(self, look: Look, *, insist: bool) -> None:
        # After the question: an environment may have come, and connected, while the server answered.
        self._attribution.meet(self._environments(), only_new=True)
        rows = [row for row in look.rows if row.id not in look.own]
        relayed = self._relays.owner_of if self._relays is not None else lambda _client: None
        strangers = self._attribution.place(rows, relayed=relayed, insist=insist)
        if not strangers:
            return
        candidates = {
            pid: environment.id
            for environment in self._environments()
            if environment.sandbox_kind == "process"
            for pid in environment.process_ids()
        }
        if candidates:
            port = int(self._server.variables(from_container=False)["DB_PORT"])
            self._attribution.settle(await self._in_thread(find_holders, strangers, port, candidates))

    def _keep(self, look: Look) -> None:
        self._sessions = join_sessions(
            look.rows, self._attribution.owners, self._attribution.facts, look.own, self._timeouts(look)
        )
        self._summary = summarize(
            self._sessions,
            max_connections=look.max_connections,
            wait_timeout=look.wait_timeout,
            reserved=self._server.reserved_sessions,
        )
        self._counts = Counter(session.environment for session in self._sessions if session.environment is not None)
        self._history.update(self._sessions, self._summary)

    def _timeouts(self, look: Look) -> Timeouts:
        if self._relays is None:
            return Timeouts(look.wait_timeout, KEEPALIVE)
        idle = {
            f"{relayed.source[0]}:{relayed.source[1]}": relayed.idle_seconds
            for relayed in self._relays.connections()
            if relayed.source is not None
        }
        return Timeouts(look.wait_timeout, self._relays.keepalive, idle)

    async def kill_zombies(self) -> list[Session]:
        """Have the server end every session whose environment is gone; answers which.

        Raises:
            DatabaseError: the server cannot be asked, or the account may not end other sessions.
        """
        zombies = [session for session in await self.sample() if session.zombie]
        if zombies:
            await self._in_thread(self._process_list.kill, [session.id for session in zombies])
        return zombies

    async def _in_thread(self, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        def timed() -> _T:
            before = time.thread_time()
            try:
                return work(*args, **kwargs)
            finally:
                self._spent += time.thread_time() - before

        return await asyncio.get_running_loop().run_in_executor(self._thread, timed)
