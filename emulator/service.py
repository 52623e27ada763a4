"""The emulator: the one object that owns everything below, and starts and stops it in order.

What there is to ask and to change is in the rooms that it holds: functions, environments, the database, URLs. Its own
is what concerns several of them, and the way of an invocation. It is long because it puts them together.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from emulator import text
from emulator.assembly import Parts, assemble
from emulator.asynchronous import Events
from emulator.chronicle.file import TimelineFile
from emulator.clock import SystemClock
from emulator.concurrency import Concurrency
from emulator.config import Settings
from emulator.database.database import Database
from emulator.debugger import DebugPorts
from emulator.doorstep import Doorstep
from emulator.environments import Environments
from emulator.errors import (
    RequestError,
    ServiceError,
    ThrottledError,
    one_error,
)
from emulator.event_queue import EventView
from emulator.functions import Functions
from emulator.hot_reload import HotReload
from emulator.http_events.routes import Routes
from emulator.invocation import Invocation
from emulator.log_files import LogFiles
from emulator.logs import LogSink
from emulator.metrics import Metrics
from emulator.model import (
    LATEST,
    RequestId,
)
from emulator.pool import ConcurrencyView
from emulator.pools import Pools
from emulator.rulebook import PolicyView, Rulebook
from emulator.schedules import Schedule, Schedules
from emulator.skipping import FastForwardAnswer, fast_forward
from emulator.state import StateFolder
from emulator.status import Status
from emulator.surroundings import Surroundings
from emulator.timeline import Timeline
from emulator.urls import Urls
from emulator.version import VERSION

__all__ = ["Service"]

_DRAIN = 3.0  # seconds that a stop gives to asynchronous events which are being served


class Service:
    """One emulator. Entering it starts everything; leaving it stops everything, whatever state it is in.

    Arguments:
        settings: what the configuration says.
        base: relative code folders are below it.
        log_sink: gets every line that functions and Lambda write, one or more in one piece.
    """

    def __init__(self, settings: Settings, base: Path | None = None, *, log_sink: LogSink | None = None) -> None:
        self.settings = settings
        self.clock = SystemClock(settings.emulator.speed)
        self.timeline = Timeline(self.clock, settings.emulator.timeline_events)
        self._metrics = Metrics()
        self._timeline_file: TimelineFile | None = None
        self._base = base or Path.cwd()
        self._log_sink = log_sink
        self.pools = Pools()
        self._by_key = self.pools.by_key  # for invocations: one step less on their way
        self._errands: set[asyncio.Task[None]] = set()
        self._concurrency = settings.make_concurrency()
        self.urls = Urls()
        self.routes = Routes()
        self._stopping = False
        self.left: tuple[EventView, ...] = ()
        """Asynchronous events that were not done when the emulator stopped."""
        self.state: StateFolder | None = None
        """Where is kept what outlives this emulator; ``None``: nothing does."""
        self._rulebook = Rulebook(settings, self._base)
        self.doorstep = Doorstep()
        """Where clients' connections are to be watched."""
        self._started_at = time.monotonic()
        self._stack = contextlib.AsyncExitStack()

    # -- start and stop ----------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        with one_error():
            async with contextlib.AsyncExitStack() as stack:
                await self._start(stack)
                self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with one_error():
            await self._stack.__aexit__(kind, error, traceback)

    async def _start(self, stack: contextlib.AsyncExitStack) -> None:
        stack.callback(self.clock.close)
        stack.callback(self.doorstep.close)
        await self._open_files(stack)
        parts = self._parts = await assemble(
            stack,
            self.settings,
            clock=self.clock,
            timeline=self.timeline,
            spawn=self._spawn,
            environments=self.pools.environments,
        )
        self.database = Database(parts.server, parts.observer, parts.relays, self.timeline)
        folder = self.settings.emulator.log_folder
        self._log_files = LogFiles(
            parts.folder / "logs" if folder is None else (self._base / folder).resolve(),
            parts.folder,
            on_trouble=lambda trouble: self.timeline.record("logs.trouble", trouble),
        )
        stack.callback(self._log_files.close)
        self._tasks = await stack.enter_async_context(asyncio.TaskGroup())
        self._spawn(self._metrics.follow(self.timeline))
        stack.callback(self.timeline.end_followers)
        await self._make_rooms(stack, self._surroundings(parts))
        for function in self.settings.make_functions(self._base):
            await self.functions.add(function)
        for route in self.settings.make_routes():
            self.routes.add(route)
        self._schedules = Schedules(
            self.clock,
            self.settings.make_schedules(),
            self._send_scheduled,
            region=self.settings.emulator.region,
            account=self.settings.emulator.account,
        )
        stack.callback(self._schedules.close)
        self.timeline.record(
            "emulator.started",
            f"removed {parts.swept} leftovers" if parts.swept else "",
            detail={"run": self.timeline.run, "version": VERSION, "speed": self.clock.speed},
        )

    async def _open_files(self, stack: contextlib.AsyncExitStack) -> None:
        """Before all that takes time, for they may be refused."""
        if (path := self.settings.emulator.state) is not None:
            self.state = stack.enter_context(StateFolder((self._base / path).resolve(), self.tell_of_state))
        if (path := self.settings.emulator.timeline_file) is not None:
            self._timeline_file = await stack.enter_async_context(
                TimelineFile(
                    (self._base / path).resolve(),
                    self.timeline,
                    lambda trouble: self.timeline.record("timeline.trouble", trouble),
                )
            )

    def _surroundings(self, parts: Parts) -> Surroundings:
        return Surroundings(
            provider=parts.provider,
            runtime_api=parts.runtime_api,
            timeline=self.timeline,
            clock=self.clock,
            spawn=self._spawn,
            region=self.settings.emulator.region,
            account=self.settings.emulator.account,
            quiet=self.settings.emulator.quiet,
            door=parts.door,
            before_end=parts.observer.before_end if parts.observer is not None else None,
            log_sink=self._log_sink,
            old_formats=self.settings.emulator.old_formats,
            origins=self.settings.emulator.origins,
            log_files=self._log_files,
            chance=self._rulebook.chance,
            end_of_round=asyncio.get_running_loop().call_soon,
            is_somebody_there=self.doorstep.is_somebody_there,
        )

    async def _make_rooms(self, stack: contextlib.AsyncExitStack, surroundings: Surroundings) -> None:
        self._events = Events(
            self.clock,
            self.timeline,
            self._spawn,
            make=self.new_invocation,
            base=self._base,
            arn=lambda name: self.arn(name, text.VERSION),
            at_rest=lambda environment: self.environments.at_rest(environment),
            journal=self.state.journal if self.state is not None else None,
        )
        self._debug_ports = await stack.enter_async_context(DebugPorts(self.settings.emulator.host, self.timeline))
        hot_reload = HotReload(surroundings, self.pools)
        self.functions = Functions(
            surroundings,
            base=self._base,
            pools=self.pools,
            rulebook=self._rulebook,
            concurrency=self._concurrency,
            events=self._events,
            urls=self.urls,
            debug_ports=self._debug_ports,
            hot_reload=hot_reload,
            database=self.database,
            provisioned_lifetime=self.settings.emulator.provisioned_lifetime,
            state=self.state.path if self.state is not None else None,
        )
        self.target = self.functions.target  # for invocations: one step less on their way
        self.environments = Environments(
            self.pools, self.functions.pool, timeline=self.timeline, database=self.database, log_files=self._log_files
        )
        stack.push_async_callback(self._stop_pools)
        stack.callback(hot_reload.close)
        if self.settings.emulator.hot_reload:
            self._spawn(hot_reload.run())

    async def stop_intake(self) -> None:
        """Take no more events, and end everything that runs: whoever waits for an answer gets one.

        Asynchronous events that run, or can at once, have a few seconds to come to their end; what is then not done
        is in :attr:`left`. To be called while the doors are still open, so that the answers get out. Who follows a log
        or the timeline gets its end.
        """
        self._stopping = True
        self._schedules.close()
        await self._events.drain(_DRAIN)
        await self._stop_pools()
        self._log_files.end_followers()
        self.timeline.end_followers()

    async def _stop_pools(self) -> None:
        self._stopping = True
        for errand in self._errands:
            errand.cancel()
        self.left = (*self.left, *self._events.close())
        await asyncio.gather(*(pool.close("the emulator stops") for pool in self.pools.every()))

    def _spawn(self, coroutine: Any) -> asyncio.Task[None]:
        return self._tasks.create_task(coroutine)

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Have it done, by nobody's waiting for it; a stop ends it. What it raises ends the emulator."""
        if self._stopping:
            coroutine.close()
            return
        errand = self._spawn(coroutine)
        self._errands.add(errand)
        errand.add_done_callback(self._errands.discard)

    @property
    def folder(self) -> Path:
        """The emulator's own, which goes with it."""
        return self._parts.folder

    @property
    def instance_id(self) -> str:
        return self._parts.instance_id

    def arn(self, name: str, qualifier: str | None = None) -> str:
        emulator = self.settings.emulator
        return text.function_arn(emulator.region, emulator.account, name, qualifier)

    # -- policies ----------------------------------------------------------------------------------------

    def policy(self, name: str | None = None) -> PolicyView:
        """The policy of a function, or the one of all functions that say nothing else."""
        return self._rulebook.view(self.functions.pool(name) if name is not None else None)

    def set_policy(self, policy: object, name: str | None = None) -> PolicyView:
        """Another policy from now on, for one function or for all; what is idle and within its limits stays.

        Arguments:
            policy: the keys of a ``[policy]`` table, which takes the place of the one before it; or composed rules.
            name: a function, whose table says only what is different from that of all.

        Raises:
            FunctionNotFoundError: there is none of that name.
            ConfigurationError: it is no policy; nothing has changed.
        """
        if name is not None:
            self.functions.pool(name)
            for pool in self.pools.of(name):
                self._rulebook.change_one(pool, policy)
        else:
            self._rulebook.change_all(self._by_key.values(), policy)
        view = self.policy(name)
        self.timeline.record("policy.changed", f"{view.name}: {', '.join(view.rules) or 'no rules'}", function=name)
        return view

    # -- invoke ------------------------------------------------------------------------------------------

    def new_invocation(self, name: str, payload: bytes, *, qualifier: str | None = None) -> Invocation:
        """An event for a function, not yet on its way.

        Arguments:
            name: of the function; or what :meth:`target` has made of the name and a qualifier.
            qualifier: as the client gave it, for the ARN that the function sees.

        Raises:
            RequestError: there is no such function, or it cannot be invoked yet.
        """
        if name not in self._by_key:
            self.functions.pool(name)  # that of a version comes with its first invocation; else it is refused
        return Invocation(
            RequestId(text.new_request_id()),
            payload,
            self.arn(name, None) if qualifier is None else self.arn(name.partition(":")[0], qualifier),
            text.new_trace_id(self.clock.now()),
        )

    def _send_scheduled(self, schedule: Schedule, payload: bytes) -> None:
        try:
            invocation = self.new_invocation(schedule.function, payload)
            invocation.asynchronous = True
            self.submit(schedule.function, invocation)
        except RequestError as error:  # the function was deleted meanwhile
            self.timeline.record("schedule.trouble", f"{schedule.name}: {error.message}", function=schedule.function)
        else:
            self.timeline.record(
                "schedule.due",
                f"{schedule.name}: {schedule.expression}",
                function=schedule.function,
                request_id=invocation.request_id,
            )

    def submit(self, name: str, invocation: Invocation) -> None:
        """Send it on its way; who wants to hear of it has set the invocation's callbacks.

        An asynchronous one is accepted, and its callbacks hear nothing.

        Raises:
            RequestError: it cannot be served: no such function, throttled, stopping.
        """
        try:
            pool = self._by_key[name]
        except KeyError:
            pool = self.functions.pool(name)
        if self._stopping:
            raise ServiceError("the emulator is stopping")
        if invocation.asynchronous:
            self._events.accept(name, invocation)
            return
        try:
            pool.submit(invocation)
        except ThrottledError as refusal:
            request_id = invocation.request_id
            name = pool.function.name
            self.timeline.record("invocation.throttled", refusal.reason, function=name, request_id=request_id)
            raise

    def take_up_events(self) -> int:
        """Go on with the events that an emulator before this one has accepted; answers how many there are."""
        taken_up = self._events.take_up_kept(self.functions.pool)
        self._events.take_up_records()
        return taken_up

    def tell_of_state(self, trouble: str) -> None:
        """What of the state cannot be kept, or cannot be had again."""
        self.timeline.record("state.trouble", trouble)

    # -- inspection --------------------------------------------------------------------------------------

    async def fast_forward(self, seconds: float) -> FastForwardAnswer:
        """Skip time for everything that waits on the emulator's clock; see :func:`~emulator.skipping.fast_forward`."""
        return await fast_forward(
            seconds,
            clock=self.clock,
            timeline=self.timeline,
            database=self.database,
            schedules=self._schedules,
            others=lambda: [self._events, *(pool.provisioned for pool in self._by_key.values())],
        )

    def queue(self, function: str | None = None) -> list[EventView]:
        """The asynchronous events that are not done, of one function or of all."""
        return self._events.pending(self.functions.named(function).name if function is not None else None)

    def concurrency(self) -> tuple[Concurrency, list[ConcurrencyView]]:
        """The account's places, and each function's part of them."""
        views = [(pool.function.version, pool.concurrency) for pool in self._by_key.values()]
        return self._concurrency, [view for version, view in views if version == LATEST or view.provisioned is not None]

    def status(self) -> Status:
        """How it runs at this moment, and how faithful it can be here."""
        provider, server = self._parts.provider, self.database.server
        network = self._parts.network_report()
        counts: dict[str, int] = {}
        for environment in self.pools.environments():
            counts[environment.state] = counts.get(environment.state, 0) + 1
        return Status(
            version=VERSION,
            sandbox=provider.kind,
            freezer=provider.freezer_report,
            network_fidelity=network.fidelity,
            network=network,
            database=server.description if server is not None else None,
            database_version=server.version if server is not None else None,
            functions=len(self.functions),
            environments=counts,
            concurrency_limit=self._concurrency.limit,
            concurrency_in_use=self._concurrency.in_use,
            uptime=time.monotonic() - self._started_at,
            notes=(*provider.notes, *self._parts.notes, *self._troubles()),
            log_folder=str(self._log_files.folder),
            speed=self.clock.speed,
            profile=self._parts.profile.name if self._parts.profile is not None else None,
            timeline_file=str(self._timeline_file.path) if self._timeline_file is not None else None,
            events=self.timeline.last_seq,
            events_dropped=self.timeline.dropped,
            urls={config.name: self.urls.address(config) for config in self.urls},
            routes={route.key: route.function for route in self.routes},
            debug_ports=self._debug_ports.addresses,
        )

    def metrics(self) -> Metrics:
        """What was counted until now."""
        self._metrics.catch_up(self.timeline)
        return self._metrics

    # -- inside ------------------------------------------------------------------------------------------

    def _troubles(self) -> list[str]:
        troubles = (
            self.database.trouble,
            self._log_files.trouble,
            self._timeline_file.trouble if self._timeline_file is not None else None,
        )
        return [trouble for trouble in troubles if trouble is not None]
