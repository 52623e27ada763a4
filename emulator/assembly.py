"""Putting an emulator's parts together, from the ground up; what is entered last is left first."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emulator.clock import Clock
from emulator.config import Settings
from emulator.database.attribution import ObservedEnvironment
from emulator.database.doors import ContainerDoor, Door, ProcessDoor
from emulator.database.observer import Observer
from emulator.database.profiles import Profile, profile_named
from emulator.database.relay_records import PATHS, RelayEvent
from emulator.database.relays import Relays
from emulator.database.server import DatabaseServer, start_server
from emulator.model import NetworkReport
from emulator.proof import prove_process_network
from emulator.runtime_api.bandwidth import Bandwidth
from emulator.runtime_api.server import RuntimeApiServer
from emulator.sandbox.base import SandboxProvider, Spawn
from emulator.sandbox.held import HeldSockets
from emulator.sandbox.instance import Instance, sweep_folders
from emulator.sandbox.process import ProcessProvider
from emulator.sandbox.warden import Warden
from emulator.timeline import Timeline, TimelineEvent

if TYPE_CHECKING:
    from emulator.sandbox.container import ContainerProvider

__all__ = ["Parts", "assemble"]

_REMEMBERED = 10_000  # environments


@dataclass
class Parts:
    """What one emulator is made of. Without a database the last five are not there.

    ``folder`` is the emulator's own and goes with it; ``swept`` counts what killed emulators had left and was removed.
    """

    provider: SandboxProvider
    runtime_api: RuntimeApiServer
    network_report: Callable[[], NetworkReport]
    instance_id: str
    folder: Path
    swept: int
    server: DatabaseServer | None = None
    observer: Observer | None = None
    relays: Relays | None = None
    door: Door | None = None
    profile: Profile | None = None
    notes: list[str] = field(default_factory=list)


async def assemble(
    stack: contextlib.AsyncExitStack,
    settings: Settings,
    *,
    clock: Clock,
    timeline: Timeline,
    spawn: Spawn,
    environments: Callable[[], Iterable[ObservedEnvironment]],
) -> Parts:
    """Start everything that environments need.

    Arguments:
        stack: ends it all.
        spawn: for work that nobody waits for; used only when environments run.
        environments: those there are, for the observer.

    Raises:
        EmulatorError: something cannot be had here, with the cure; the stack ends what was started.
    """
    runtimes = settings.make_runtimes()
    profile = profile_named(settings.database.profile) if settings.database.profile is not None else None
    # The rooms that know the engine are entered only where there is one: its client takes 0.2 s to import.
    swept = len(await asyncio.to_thread(sweep_folders))
    instance = stack.enter_context(Instance())
    warden = stack.enter_context(Warden())
    warden.keep("folder", folders=[instance.folder])
    kind = await _sandbox_kind(settings.emulator.sandbox)
    engine = None
    if kind == "container" or settings.database.server == "docker":
        from emulator.sandbox.engine import Engine

        engine = await stack.enter_async_context(Engine(instance))
        swept += await engine.sweep()
    provider: SandboxProvider
    if kind == "container":
        assert engine is not None, "containers come with an engine"
        from emulator.sandbox.container import ContainerProvider

        container = ContainerProvider(
            instance,
            warden,
            engine,
            spawn,
            freezer=settings.emulator.freezer,
            network=settings.emulator.network,
            prewarmed=settings.emulator.prewarmed,
            runtimes=runtimes,
        )
        provider = container
    else:
        container = None
        held = HeldSockets(clock, settings.database.keepalive)
        stack.callback(held.close)
        process = ProcessProvider(
            instance,
            warden,
            held,
            freezer=settings.emulator.freezer,
            fork_server=settings.emulator.fork_server,
            runtimes=runtimes,
        )
        provider = process
    server = None
    if settings.database.server != "none":
        server = start_server(
            settings.database.server,
            instance=instance,
            engine=engine,
            on_child=lambda pid: warden.keep("database", pid=pid),
            **_limits(settings, profile),
        )
        stack.callback(warden.drop, "database")
    report = await _enter_side_by_side(stack, provider, server, _network_report(settings, container))
    runtime_api = await stack.enter_async_context(
        RuntimeApiServer(
            provider.runtime_api_host,
            region=settings.emulator.region,
            bandwidth=Bandwidth if settings.emulator.streaming_bandwidth == "aws" else None,
        )
    )
    parts = Parts(provider, runtime_api, report, instance.id, instance.folder, swept, server=server)
    if container is not None and settings.emulator.fork_server:
        parts.notes.append("fork_server is of no use to containers: it starts the runtimes of process sandboxes.")
    if container is None and settings.emulator.prewarmed:
        parts.notes.append("No prewarmed sandboxes: only containers have them, and these are processes.")
    if server is not None:
        parts.profile = profile
        parts.notes += server.warnings
        await _add_relays(stack, parts, settings, clock, timeline, container)
        await _add_observer(stack, parts, clock, timeline, environments)
    return parts


def _limits(settings: Settings, profile: Profile | None) -> dict[str, Any]:
    """What a server is started with: the keys of the configuration, and where they are silent, its profile."""
    database = settings.database
    connections, timeout = database.max_connections, database.wait_timeout
    if profile is not None:
        connections = profile.max_connections if connections is None else connections
        timeout = profile.wait_timeout if timeout is None else timeout
    return {
        "max_connections": connections,
        "options": [f"--wait-timeout={timeout}"] if timeout is not None else [],
    }


async def _enter_side_by_side(
    stack: contextlib.AsyncExitStack,
    provider: SandboxProvider,
    server: DatabaseServer | None,
    report: Coroutine[Any, Any, Callable[[], NetworkReport]],
) -> Callable[[], NetworkReport]:
    """Each of them mostly waits: for a process to stand still, for silence, for a server to answer."""
    try:
        async with asyncio.TaskGroup() as tasks:
            provided = tasks.create_task(stack.enter_async_context(provider))
            if server is not None and server.kind == "docker":
                await provided  # it belongs into the network of the functions, which has to be there
            if server is not None:
                tasks.create_task(stack.enter_async_context(server))
            reported = tasks.create_task(report)
    except ExceptionGroup as group:
        raise group.exceptions[0] from None  # the others were cancelled for its sake
    return reported.result()


async def _network_report(settings: Settings, container: ContainerProvider | None) -> Callable[[], NetworkReport]:
    if container is not None:
        return lambda: container.network_report  # proved with the first function's image
    report = await prove_process_network(with_relay=settings.database.server != "none")
    return lambda: report


async def _sandbox_kind(wanted: str) -> str:
    if wanted != "auto":
        return wanted
    from emulator.sandbox.engine import engine_answers

    return "container" if await asyncio.to_thread(engine_answers) is None else "process"


async def _add_relays(
    stack: contextlib.AsyncExitStack,
    parts: Parts,
    settings: Settings,
    clock: Clock,
    timeline: Timeline,
    container: ContainerProvider | None,
) -> None:
    assert parts.server is not None, "relays lead to a server"
    # A server in a container is dialled at its own address: behind a published port it would not see who calls.
    coordinates = parts.server.variables(from_container=parts.server.kind == "docker")

    functions = _functions_of(timeline)

    def note(event: RelayEvent) -> None:
        connection = event.connection
        timeline.record(
            event.kind,
            event.reason,
            function=functions.get(connection.environment),
            environment=connection.environment,
            request_id=event.request_id,
            detail={
                "client": connection.client,
                "source": connection.source,
                **({"ended_by": connection.ended_by} if connection.ended_by is not None else {}),
            },
        )

    parts.relays = await stack.enter_async_context(
        Relays(
            (coordinates["DB_HOST"], int(coordinates["DB_PORT"])),
            clock=clock,
            on_event=note,
            profile=PATHS[settings.database.path],
            keepalive=settings.database.keepalive,
        )
    )
    if container is None:
        parts.door = ProcessDoor(parts.relays, coordinates)
    else:
        door = await stack.enter_async_context(ContainerDoor(parts.relays, coordinates, container.network.vpc.gateway))
        container.hosts = door.hosts
        parts.door = door


def _functions_of(timeline: Timeline) -> Mapping[str, str]:
    """Which function an environment is of, for those that started last: a zombie's connection has outlived its own."""
    functions: dict[str, str] = {}

    def remember(event: TimelineEvent) -> None:
        if event.environment is not None and event.function is not None:
            functions[event.environment] = event.function
        if len(functions) > _REMEMBERED:
            del functions[next(iter(functions))]

    timeline.listen(remember, lambda kind: kind == "environment.starting")
    return functions


async def _add_observer(
    stack: contextlib.AsyncExitStack,
    parts: Parts,
    clock: Clock,
    timeline: Timeline,
    environments: Callable[[], Iterable[ObservedEnvironment]],
) -> None:
    assert parts.server is not None, "an observer looks at a server"
    parts.observer = await stack.enter_async_context(
        Observer(parts.server, environments, timeline, clock, relays=parts.relays)
    )
