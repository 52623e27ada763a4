"""The emulator: the one object that owns everything below, and starts and stops it in order.

The room is long because it is the one door to all of it: each method a few lines, the work is done below.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from emulator import text
from emulator.assembly import assemble
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
    InvalidParameterValueError,
    RequestError,
    ServiceError,
    ThrottledError,
    one_error,
)
from emulator.event_queue import EventView
from emulator.event_settings import MAX_AGE
from emulator.functions import Functions
from emulator.hot_reload import HotReload
from emulator.http_events.routes import Routes
from emulator.invocation import Invocation
from emulator.killing import Killing, Middle
from emulator.log_files import LogFiles
from emulator.logs import LogSink
from emulator.metrics import Metrics
from emulator.model import (
    LATEST,
    FreezerReport,
    NetworkReport,
    RequestId,
)
from emulator.pool import ConcurrencyView
from emulator.pools import Pools
from emulator.rulebook import PolicyView, Rulebook
from emulator.schedules import Schedule, Schedules
from emulator.skipping import skip
from emulator.state import StateFolder
from emulator.surroundings import Surroundings
from emulator.timeline import Timeline, TimelineEvent
from emulator.urls import Urls
from emulator.version import VERSION

__all__ = ["FastForwardAnswer", "Service", "Status"]

_LAST_MOMENT = 253_370_764_800.0  # 9999-01-01: calendars end with that year
_MOST_SCHEDULED = 50_000  # events of schedules that one skip brings: half a minute's work
_DRAIN = 3.0  # seconds that a stop gives to asynchronous events which are being served


@dataclass(frozen=True, slots=True)
class Status:
    """How this emulator runs, and how faithful it can be here.

    ``uptime`` is real seconds; ``speed`` says how many of the emulator's own go by in one of them; ``profile`` is the
    class of instances whose limits the database has; ``events`` counts those of the timeline, and ``events_dropped``
    those of them that it does not have any more. ``urls`` are the addresses of functions that have one, ``routes`` the
    functions by what each serves, such as ``GET /orders/{id}``. ``debug_ports`` are those of functions that have one.
    """

    version: str
    sandbox: str
    freezer: FreezerReport
    network_fidelity: str
    network: NetworkReport
    database: str | None
    database_version: str | None
    functions: int
    environments: Mapping[str, int]
    concurrency_limit: int
    concurrency_in_use: int
    uptime: float
    notes: Sequence[str]
    log_folder: str
    speed: float = 1.0
    profile: str | None = None
    timeline_file: str | None = None
    events: int = 0
    events_dropped: int = 0
    urls: Mapping[str, str] = field(default_factory=dict)
    routes: Mapping[str, str] = field(default_factory=dict)
    debug_ports: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FastForwardAnswer:
    """What skipping time has caused. ``now`` is seconds since the epoch, on the emulator's clock."""

    seconds: float
    now: float
    timers: int
    caused: tuple[TimelineEvent, ...]


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
        if (path := self.settings.emulator.state) is not None:  # before all that takes time, for it may be refused
            self.state = stack.enter_context(StateFolder((self._base / path).resolve(), self.tell_of_state))
        if (path := self.settings.emulator.timeline_file) is not None:
            self._timeline_file = await stack.enter_async_context(
                TimelineFile(
                    (self._base / path).resolve(),
                    self.timeline,
                    lambda trouble: self.timeline.record("timeline.trouble", trouble),
                )
            )
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
        self._surroundings = Surroundings(
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
        self._tasks = await stack.enter_async_context(asyncio.TaskGroup())
        self._spawn(self._metrics.follow(self.timeline))
        stack.callback(self.timeline.end_followers)
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
        hot_reload = HotReload(self._surroundings, self.pools)
        self.functions = Functions(
            self._surroundings,
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
        pool = self._by_key.get(name) or self.functions.pool(name)
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
        """Go on with the events that an emulator before this one has accepted; answers how many there are.

        Those of functions that cannot serve now are kept for a later start, until AWS as well would have dropped them.
        """
        assert self.state is not None, "there is a folder, or there are none"
        journal, taken_up = self.state.journal, 0
        for kept in journal.pending:
            try:
                self.functions.pool(kept.key)
            except RequestError as error:
                told = f"an asynchronous event of {kept.key} {{}}, for {error.message}"
                is_old = self.clock.now() - kept.accepted > MAX_AGE
                if is_old:
                    journal.drop(kept.request_id)
                self.timeline.record(
                    "event.dropped" if is_old else "state.trouble",
                    told.format("is dropped" if is_old else "is kept"),
                    function=kept.key.partition(":")[0],
                    request_id=kept.request_id,
                    detail={"payload": kept.payload.decode("utf-8", "replace")},
                )
            else:
                self._events.take_up(kept)
                taken_up += 1
        return taken_up

    def tell_of_state(self, trouble: str) -> None:
        """What of the state cannot be kept, or cannot be had again."""
        self.timeline.record("state.trouble", trouble)

    def follow(self, invocation: Invocation, middle: Middle) -> Killing:
        """End the runtime in the middle of an invocation that was just submitted; the caller closes what is answered.

        Raises:
            ServiceError: it waits for an environment, or is over.
        """
        environment_id = invocation.outcome.environment_id
        environment = self.pools.find(environment_id) if environment_id is not None else None
        if environment is None:
            raise ServiceError("an invocation can be followed only when it has just got its environment")
        return Killing(environment, self.database.relays, self.timeline, middle)

    # -- inspection --------------------------------------------------------------------------------------

    async def fast_forward(self, seconds: float) -> FastForwardAnswer:
        """Skip time for everything that waits on the emulator's clock, and let the database's part in it happen.

        What the server would have closed in that time, because a session slept for ``wait_timeout`` or its client
        answered no keepalive, is closed, and a frozen client finds out when it speaks again. Attempts of asynchronous
        events that fall into that time run at theirs, and are waited for.

        Raises:
            InvalidParameterValueError: time goes forward only, and not beyond the year 9998; or more is scheduled in
                that time than can be waited for.
        """
        if not 0 <= seconds < float("inf"):
            raise InvalidParameterValueError(f"time goes forward, by a number of seconds: {seconds}")
        target = self.clock.now() + seconds
        if target > _LAST_MOMENT:
            raise InvalidParameterValueError("the emulator's clock ends with the year 9998", cure="Skip less.")
        if self._schedules.more_than(_MOST_SCHEDULED, until=target):
            raise InvalidParameterValueError(
                f"more than {_MOST_SCHEDULED:,} events are scheduled in that time", cure="Skip less at once."
            )
        await self.database.look()  # what the server has done by now is not caused by this
        before = self.timeline.last_seq
        timers = await skip(
            self.clock,
            seconds,
            lambda: [self._schedules, self._events, *(pool.provisioned for pool in self._by_key.values())],
            self.database.age_sessions,
        )
        caused = [event for event in self.timeline.since(before) if event.reason]
        return FastForwardAnswer(seconds, self.clock.now(), timers, tuple(caused))

    def queue(self, function: str | None = None) -> list[EventView]:
        """The asynchronous events that are not done, of one function or of all."""
        return self._events.pending(self.functions.named(function).name if function is not None else None)

    def concurrency(self) -> tuple[Concurrency, list[ConcurrencyView]]:
        """The account's places, and each function's part of them."""
        views = [(pool.function.version, pool.concurrency) for pool in self._by_key.values()]
        return self._concurrency, [view for version, view in views if version == LATEST or view.provisioned is not None]

    def status(self) -> Status:
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
