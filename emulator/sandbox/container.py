"""Environments as containers: one container an environment, with what Lambda gives a function and no more.

Each has two networks: ``control``, to ask for events, and ``vpc`` for everything else, which is cut while it is
frozen and before it is ended (:mod:`emulator.sandbox.container_network`).

The code is mounted read-only at ``/var/task``, the root is read-only, only ``/tmp`` can be written; a user
without rights or capabilities; memory, CPU and process limits as on Lambda.

The first process of a container is a shell that has the runtime and the extensions started when it is told to, and
tells how they ended (:mod:`emulator.sandbox.shell`). So the container outlives them, as an environment on Lambda does:
after a reset `/tmp` is as it was. (A first process is also deaf to its own signals, which the runtime on Lambda is
not.) Commands, reports and output go through named pipes that are mounted into it; the engine's way lags by
milliseconds, while what a function printed before it answered is here before its answer is.

The room is long because provider and sandbox share one subject, what a container is made of and how it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from emulator.errors import EngineError, FreezeError, SandboxError
from emulator.model import FreezerReport, Function, NetworkReport, RungReport, SandboxView
from emulator.sandbox import probe
from emulator.sandbox.base import ExitStatus, SandboxEvents, SandboxSpec, Spawn, require_code
from emulator.sandbox.cgroup import Group, Place, find_group
from emulator.sandbox.container_network import Addresses, ContainerNetwork
from emulator.sandbox.container_settings import (
    PIPES,
    USER,
    host_settings,
    names_of_itself,
    unwanted_variables,
    variables,
)
from emulator.sandbox.engine import Engine
from emulator.sandbox.freezer import (
    CgroupV1Anchor,
    CgroupV1Freezer,
    CgroupV2Freezer,
    DirectFreezer,
    EngineFreezer,
    Freezer,
)
from emulator.sandbox.images import ChosenImage, choose_image
from emulator.sandbox.instance import Instance
from emulator.sandbox.memory import peak_of_processes
from emulator.sandbox.network import Cut, NoCut
from emulator.sandbox.opt import Opt, OptFolders
from emulator.sandbox.origins import CONTAINER_FOLDER, SCRIPT, OriginPipe, container_search_path
from emulator.sandbox.pipes import Pipes
from emulator.sandbox.shell import RUNTIME, Shell, script
from emulator.sandbox.signals import terminate
from emulator.sandbox.warden import Warden
from emulator.variables import hidden_from_extensions

__all__ = ["ContainerProvider", "ContainerSandbox"]

_MEMORY_OF_ONE_CPU = 1769  # MiB [D]
_PATIENCE = 10.0  # seconds
_EXTENSIONS = "/opt/extensions"
# From inside, -1 is everything but the first process and oneself. Then what is not dead yet is counted, by the state
# behind the name in parentheses; what has no parent any more stays a zombie until the first process looks.
_KILL_ALL = """exec 2>/dev/null
kill -KILL -1
for stat in /proc/[0-9]*/stat; do
  read -r line <"$stat" || continue
  case ${line%% *}.${line##*) } in 1.*|$$.*|*.Z*|*.X*) ;; *) echo "$line" ;; esac
done"""


class ContainerProvider:
    """Makes container sandboxes on one bridge network of their own.

    Arguments:
        engine: already entered.
        spawn: for calls to the engine that nobody waits for.
        freezer: ``cgroup-v2``, ``cgroup-v1``, ``engine``, or ``auto`` for the best.
        network: the means to cut the network with: ``netlink``, ``helper``, ``disconnect``, ``none``, or ``auto``.
    """

    kind = "container"

    def __init__(
        self,
        instance: Instance,
        warden: Warden,
        engine: Engine,
        spawn: Spawn,
        *,
        freezer: str = "auto",
        network: str = "auto",
    ) -> None:
        self.instance = instance
        self.warden = warden
        self.engine = engine
        self.spawn = spawn
        self._freezer = freezer
        self.network = ContainerNetwork(instance, engine, spawn, wanted=network)
        self._anchor: CgroupV1Anchor | None = None
        self._report = FreezerReport("none", ())
        self._images: dict[tuple[str, str | None], ChosenImage] = {}
        self._extensions: dict[str, tuple[str, ...]] = {}
        self.opt = OptFolders(instance)
        self.notes: list[str] = []
        self.hosts: Mapping[str, str] = {}
        """Names that every container is to know, with their addresses."""

    async def __aenter__(self) -> Self:
        await self.network.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._anchor is not None:
            self._anchor.close()
            self.warden.drop("anchor")
        await self.network.__aexit__(kind, error, traceback)

    @property
    def runtime_api_host(self) -> str:
        return self.network.control.gateway

    @property
    def freezer_report(self) -> FreezerReport:
        return self._report

    @property
    def network_report(self) -> NetworkReport:
        return self.network.report

    async def prepare(self, function: Function) -> None:
        """Find the function's image, and merge its layers.

        With the first image the means to freeze it and its network are tried. One of the user's own is searched for
        extensions, once.
        """
        chosen = await self.image(function)
        await self.opt.prepare(function)
        if function.image is not None and chosen.name not in self._extensions:
            self._extensions[chosen.name] = await self.engine.files_in_image(chosen.name, _EXTENSIONS)

    def extensions_of(self, function: Function, opt: Opt | None) -> tuple[str, ...]:
        """Those of its layers, which cover what an image has in the same place."""
        if opt is not None:
            return opt.extensions
        return self._extensions.get(function.image, ()) if function.image is not None else ()

    async def image(self, function: Function) -> ChosenImage:
        key = (function.runtime, function.image)
        if key not in self._images:
            chosen = await choose_image(self.engine, function)
            self._images[key] = chosen
            if chosen.note and chosen.note not in self.notes:
                self.notes.append(chosen.note)
            if not self._report.rungs:
                self._report = await self._probe(chosen)
                await self.network.prove(chosen.name)
        return self._images[key]

    def create(self, spec: SandboxSpec, events: SandboxEvents) -> ContainerSandbox:
        return ContainerSandbox(self, spec, self.network.next_addresses(), events)

    def make_freezer(self, container: str, group: Group) -> Freezer:
        match self._report.name, group.place:
            case CgroupV2Freezer.name, Place(unified=Path() as folder):
                return CgroupV2Freezer(folder)
            case CgroupV1Freezer.name, Place(freezer=Path() as folder):
                return CgroupV1Freezer(folder)
            case _:
                return EngineFreezer(
                    lambda: self.engine.pause(container), lambda: self.engine.unpause(container), self.spawn
                )

    async def _probe(self, image: ChosenImage) -> FreezerReport:
        """Try every rung on a busy container without a network."""
        container = await self.engine.create(
            image.name,
            entrypoint=["/bin/sh", "-c", "while :; do :; done"],
            network_mode="none",
            host={"nano_cpus": 500_000_000, "read_only": True},
        )
        try:
            await self.engine.start(container)
            pid = (await self.engine.details(container)).pid
            group = find_group(pid)
            rungs = (
                await asyncio.to_thread(_probe_file, CgroupV2Freezer, group.place.unified, pid),
                await asyncio.to_thread(self._probe_v1, group.place.freezer, pid),
                await self._probe_engine(container),
            )
        finally:
            await self.engine.remove(container)
        report = probe.choose(rungs, self._freezer)
        if report.name != CgroupV1Freezer.name and self._anchor is not None:
            self._anchor.close()
            self.warden.drop("anchor")
            self._anchor = None
        return report

    def _probe_v1(self, folder: Path | None, pid: int) -> RungReport:
        if folder is not None and self._anchor is None:
            with contextlib.suppress(OSError):
                self._anchor = CgroupV1Anchor(folder.parent, f"lambda-freezer-{self.instance.id}-anchor")
                self.warden.keep("anchor", groups=[self._anchor.folder])
        return _probe_file(CgroupV1Freezer, folder, pid)

    async def _probe_engine(self, container: str) -> RungReport:
        freezes, thaws = [], []
        try:
            for _ in range(3):
                begin = time.perf_counter()
                await self.engine.pause(container)
                freezes.append(time.perf_counter() - begin)
                begin = time.perf_counter()
                await self.engine.unpause(container)
                thaws.append(time.perf_counter() - begin)
        except EngineError as error:
            return RungReport(EngineFreezer.name, False, error.message)
        return RungReport(
            EngineFreezer.name,
            True,
            "works here",
            statistics.median(freezes) * 1e6,
            statistics.median(thaws) * 1e6,
        )


class ContainerSandbox:
    """One environment as a container."""

    def __init__(
        self,
        provider: ContainerProvider,
        spec: SandboxSpec,
        addresses: Addresses,
        events: SandboxEvents,
    ) -> None:
        self._provider = provider
        self._engine = provider.engine
        self._spec = spec
        self._events = events
        self._addresses = addresses
        self.view = SandboxView("container", "", 0, addresses.vpc)
        self.cut: Cut = NoCut()
        self.started_at = 0.0
        self._container = ""
        self._group = Group(Place(), own=False)
        self._freezer: Freezer | None = None
        self._pipes: Pipes | None = None
        self._origins: OriginPipe | None = None
        self._shell = Shell(self._ended)
        self._is_being_ended = False  # by us, so that nobody is told
        self._has_ended = False
        self._folder: Path | None = None
        self._opt = provider.opt.take(spec.function)
        self.extensions: Sequence[str] = provider.extensions_of(spec.function, self._opt)
        self._peak = 0

    @property
    def freezer(self) -> Freezer:
        assert self._freezer is not None, "a sandbox has a freezer once it has started"
        return self._freezer

    async def start(self) -> None:
        try:
            require_code(self._spec.function)  # or the engine would make an empty folder in its place
            image = await self._provider.image(self._spec.function)
            folder = self._folder = self._provider.instance.make_folder(f"env-{self._spec.environment_id}")
            self._provider.warden.keep(self._spec.environment_id, folders=[folder])
            self._make_pipes(folder / "pipes")
            # Known by its name before it exists, so that a cancelled start leaves nothing behind.
            self._container = self._engine.new_name()
            await self._create(image, folder / "pipes")
            self._engine.on_exit(self._container, self._exited)
            if self.extensions:  # the word waits in the pipe for the shell to come
                self.start_extensions()
            else:
                self._shell.start(RUNTIME)
            await self._engine.start(self._container)
            details = await self._engine.details(self._container)
        except OSError as error:
            await self.stop()
            raise SandboxError(f"the container could not be prepared: {error}") from error
        except BaseException:
            await self.stop()
            raise
        self.started_at = details.started_at
        self.cut = await self._provider.network.cut_for(self._container, details, self._addresses)
        self._group = find_group(details.pid)
        self._freezer = self._provider.make_freezer(self._container, self._group)
        self.view = SandboxView("container", details.id[:12], details.pid, self.view.address)

    def start_extensions(self) -> None:
        self._check_it_lives()
        self.started_at = time.time()
        for name in self.extensions:
            self._shell.start(name)

    def start_runtime(self) -> None:
        self._check_it_lives()
        self.started_at = time.time()
        self._shell.start(RUNTIME)

    def signal_runtime(self, number: signal.Signals) -> None:
        # DIFFERS: on AWS its whole process group gets it [C]; a plain shell makes no groups, so here it does alone.
        self._shell.signal(RUNTIME, number)

    def kill_extension(self, name: str) -> None:
        self._shell.signal(name, signal.SIGKILL)

    async def reset(self) -> None:
        self._check_it_lives()
        self._is_being_ended = True
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._shell.is_read.wait()  # or its begin, and the rest, would be read after the kill
                await self._kill_all()
                await self._shell.end()
        except TimeoutError as error:
            raise SandboxError("the processes of a container do not end") from error
        finally:
            self._is_being_ended = False
        self._check_it_lives()
        self.drain_output()  # the last words of the old generation
        self._peak = 0
        self._group.forget()

    def _check_it_lives(self) -> None:
        if self._has_ended:
            raise SandboxError("the container has ended")

    async def _kill_all(self) -> None:
        """SIGKILL for everything but the first process; again and again for what was being born meanwhile."""
        while True:
            if not await self._kill_what_is_left() or self._has_ended:
                return
            await asyncio.sleep(0.002)  # the kernel gives no sign when the last of them has gone

    async def _kill_what_is_left(self) -> bool:
        if not self._group.folders():  # they cannot be seen from here
            left = await self._engine.run_inside(self._container, ["/bin/sh", "-c", _KILL_ALL], user=USER)
            return bool(left.strip())
        pids = [pid for pid in self.process_ids() if pid != self.view.pid]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return bool(pids)

    def initialized(self) -> None:
        self.peak_memory()  # a container that crashes takes its figures along
        # [X] Init has more CPU than the memory setting gives; the share applies to invocations.
        share = self._spec.function.memory / _MEMORY_OF_ONE_CPU
        if not self._group.limit_cpu(share):
            self._provider.spawn(self._limit_cpu_by_engine(share))

    def drain_output(self) -> None:
        if self._pipes is not None:
            self._pipes.drain_output()
        if self._origins is not None:
            self._origins.drain()

    def peak_memory(self) -> int:
        self._peak = max(self._peak, self._group.peak_memory(), peak_of_processes(self.process_ids()))
        return self._peak

    def process_ids(self) -> Sequence[int]:
        return self._group.process_ids()

    @property
    def runtime_api_address(self) -> str:
        return self._addresses.control

    def hold_sockets(self) -> None:
        """The cut is all that is needed: the cable goes with the container."""

    async def terminate(self, patience: float) -> None:
        # The first process is deaf to that, and goes with the container.
        await terminate([pid for pid in self.process_ids() if pid != self.view.pid], patience)

    def owns_connection(self, local: tuple[str, int], peer: tuple[str, int]) -> bool:
        # Its address is its own, and without any capability it cannot take another's.
        return peer[0] == self._addresses.control

    async def stop(self) -> None:
        self._is_being_ended = True
        if self._container:
            self._engine.forget(self._container)
            if isinstance(self._freezer, CgroupV1Freezer):
                # It holds even SIGKILL back, the engine's included.
                with contextlib.suppress(FreezeError):
                    self._freezer.continue_all()
            await self._engine.remove(self._container)
        if self._freezer is not None:
            self._freezer.close()
        if self._pipes is not None:
            self._pipes.close()
        if self._origins is not None:
            self._origins.close()
        if self._folder is not None:
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
        if self._opt is not None:
            opt, self._opt = self._opt, None
            await self._provider.opt.give_back(opt)
        self._provider.warden.drop(self._spec.environment_id)

    def _make_pipes(self, folder: Path) -> None:
        self._pipes = Pipes(
            folder,
            on_output=self._events.runtime_wrote,
            on_extension_output=self._events.extension_wrote,
            on_report=self._shell.heard,
        )
        self._shell.connect(self._pipes)
        if self._spec.tells_origins:
            self._origins = OriginPipe(folder / "origins", self._events.connection_told)
            scripts = folder / CONTAINER_FOLDER
            scripts.mkdir()
            shutil.copyfile(SCRIPT, scripts / "sitecustomize.py")
            for path, mode in ((scripts, 0o755), (scripts / "sitecustomize.py", 0o644)):
                path.chmod(mode)

    async def _create(self, image: ChosenImage, pipes: Path) -> None:
        function = self._spec.function
        runtime_api = f"{self._provider.runtime_api_host}:{self._spec.runtime_api_port}"
        environment = variables(self._spec.variables, image.details, runtime_api)
        if self._spec.tells_origins:
            known = {**image.details.variables, **environment}
            environment["PYTHONPATH"] = container_search_path(PIPES, known)
        shell_script = script(
            PIPES,
            _EXTENSIONS,
            unset=unwanted_variables(environment, image.details),
            hidden=hidden_from_extensions([*environment, *image.details.variables]),
        )
        await self._engine.create(
            image.name,
            name=self._container,
            entrypoint=["/bin/sh", "-c", shell_script, "lambda", *image.details.entrypoint],
            command=[function.handler],
            environment=environment,
            user=USER,
            working_dir="/var/task",
            network=self._provider.network.control,
            address=self._addresses.control,
            hosts={**self._provider.hosts, **names_of_itself(self._addresses.control)},
            host=host_settings(function, pipes=pipes, opt=self._opt.folder if self._opt is not None else None),
        )
        await self._engine.connect(self._provider.network.vpc, self._container, self._addresses.vpc)

    async def _limit_cpu_by_engine(self, share: float) -> None:
        # A container that has ended meanwhile has no use for a limit.
        with contextlib.suppress(EngineError):
            await self._engine.limit_cpu(self._container, share)

    def _ended(self, who: str, code: int) -> None:
        """The runtime or an extension has ended, and the shell says how."""
        self.drain_output()
        if not self._is_being_ended:
            out_of_memory = self._group.out_of_memory_kills() > 0
            status = ExitStatus.from_shell(code, out_of_memory=out_of_memory)
            if who == RUNTIME:
                self._events.runtime_exited(status)
            else:
                self._events.extension_exited(who, status)

    def _exited(self, code: int) -> None:
        """The whole container has ended, which nobody here has asked for."""
        self._has_ended = True
        self._shell.is_read.set()  # there is nothing to wait for
        if not self._is_being_ended:
            self._provider.spawn(self._report_exit(code))

    async def _report_exit(self, code: int) -> None:
        out_of_memory = False
        with contextlib.suppress(EngineError):
            out_of_memory = (await self._engine.details(self._container)).out_of_memory
        self.drain_output()
        if not self._is_being_ended:
            self._events.runtime_exited(ExitStatus.from_shell(code, out_of_memory=out_of_memory))


def _probe_file(kind: type[CgroupV2Freezer] | type[CgroupV1Freezer], folder: Path | None, pid: int) -> RungReport:
    if folder is None:
        return RungReport(kind.name, False, "the container's control group of that kind is not visible from here")
    try:
        freezer: DirectFreezer = kind(folder)
    except OSError as error:
        return RungReport(kind.name, False, f"no write access to the container's control group: {error.strerror}")
    try:
        return probe.measure_direct(kind.name, freezer, pid)
    except (OSError, FreezeError) as error:
        return RungReport(kind.name, False, str(error))
    finally:
        freezer.continue_all()
        freezer.close()
