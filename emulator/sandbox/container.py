"""Environments as containers: one container an environment, with what Lambda gives a function and no more.

Each has two networks: ``control``, to ask for events, and ``vpc`` for everything else, which is cut while it is
frozen and before it is ended (:mod:`emulator.sandbox.container_network`). Some may be started ahead, for nobody in
particular (:mod:`emulator.sandbox.prewarmed`); from the inside there is no difference.

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
import signal
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from emulator.errors import EmulatorError, EngineError, FreezeError, ImageNotFoundError, LaunchError, SandboxError
from emulator.model import FreezerReport, Function, NetworkReport, RungReport, SandboxView
from emulator.runtimes import RuntimeKind, Runtimes
from emulator.sandbox import bootstrap, probe
from emulator.sandbox.base import ExitStatus, SandboxEvents, SandboxSpec, Spawn, require_code
from emulator.sandbox.cgroup import Group, Place, find_group
from emulator.sandbox.container_network import Addresses, ContainerNetwork
from emulator.sandbox.container_settings import EXTENSIONS, SMALLEST_TMP, USER, Destiny, destiny_of
from emulator.sandbox.debugger import CONTAINER_FOLDER, CONTAINER_PORT, SCRIPT, find_debugpy, require_debugger
from emulator.sandbox.engine import Engine
from emulator.sandbox.freezer import (
    CgroupV1Anchor,
    CgroupV1Freezer,
    CgroupV2Freezer,
    DirectFreezer,
    EngineFreezer,
    Freezer,
)
from emulator.sandbox.images import ChosenImage, choose_image, image_at_hand
from emulator.sandbox.instance import Instance
from emulator.sandbox.lent_shell import IMAGES_OWN, LentShell, lend_shell
from emulator.sandbox.memory import MemoryMeter
from emulator.sandbox.network import Cut
from emulator.sandbox.opt import Opt, OptFolders
from emulator.sandbox.prewarmed import Prewarmed
from emulator.sandbox.shell import FORBIDDEN, NO_PROGRAM, RUNTIME, WRONG_FOLDER, Shell, can_be_told
from emulator.sandbox.signals import terminate
from emulator.sandbox.vessel import Dock, Inmate, Vessel
from emulator.sandbox.visits import Host, mounted
from emulator.sandbox.warden import Warden

__all__ = ["ContainerProvider", "ContainerSandbox"]

_MEMORY_OF_ONE_CPU = 1769  # MiB [D]
_PATIENCE = 10.0  # seconds
_SHELL, _BASH = IMAGES_OWN[0], "/bin/bash"
_SOMEWHERE = "/dev/shm"  # noqa: S108 (inside; in every container)
_SOME_MEMORY = 2**30  # bytes
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
        prewarmed: how many sandboxes wait for each image that functions use.
        runtimes: those that functions may name.
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
        prewarmed: int = 0,
        runtimes: Runtimes | None = None,
    ) -> None:
        self.instance = instance
        self.warden = warden
        self.engine = engine
        self.spawn = spawn
        self._freezer = freezer
        self._runtimes = runtimes or Runtimes()
        self.network = ContainerNetwork(instance, engine, spawn, wanted=network)
        self._anchor: CgroupV1Anchor | None = None
        self._report = FreezerReport("none", ())
        self._images: dict[tuple[str, str | None], ChosenImage] = {}
        self._extensions: dict[str, tuple[str, ...]] = {}
        self._lent: LentShell | None = None
        self._lending = asyncio.Lock()
        self._borrowers: set[str] = set()
        self._notes: list[str] = []
        self.opt = OptFolders(instance)
        self._dock = Dock(instance, warden, engine, self.network, self._make_freezer)
        self.prewarmed = Prewarmed(prewarmed, self.new_vessel)

    async def __aenter__(self) -> Self:
        await self.network.__aenter__()
        await self.prewarmed.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.prewarmed.__aexit__(kind, error, traceback)
        self._dock.visitor.close()
        if self._anchor is not None:
            self._anchor.close()
            self.warden.drop("anchor")
        await self.network.__aexit__(kind, error, traceback)

    @property
    def hosts(self) -> Mapping[str, str]:
        """Names that every container is to know, with their addresses; to be set before the first is made."""
        return self._dock.hosts

    @hosts.setter
    def hosts(self, names: Mapping[str, str]) -> None:
        self._dock.hosts = names

    @property
    def notes(self) -> Sequence[str]:
        return (*self._notes, *self.prewarmed.notes)

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
        require_debugger(function, self.opt.folder_of(function), self.kind_of(function))
        if function.image is not None and chosen.name not in self._extensions:
            self._extensions[chosen.name] = await self.engine.files_in_image(chosen.name, EXTENSIONS)
        if self.lent_to(chosen.name) is None:  # a vessel that waits has nothing but what its image has
            self.prewarmed.want(chosen.name)

    def extensions_of(self, function: Function, opt: Opt | None) -> tuple[str, ...]:
        """Those of its layers, which cover what an image has in the same place."""
        if opt is not None:
            return opt.extensions
        return self._extensions.get(function.image, ()) if function.image is not None else ()

    async def image(self, function: Function) -> ChosenImage:
        key = (function.runtime, function.image)
        if key not in self._images:
            chosen = await choose_image(self.engine, function, self._runtimes)
            subject = chosen
            if not chosen.is_of_lambda:
                subject = await self._subject_for(chosen, function)
            if not self._report.rungs:
                self._report = await self._probe(subject)
                await self.network.prove(subject.name)
            self._images[key] = chosen
            if chosen.note and chosen.note not in self._notes:
                self._notes.append(chosen.note)
        return self._images[key]

    async def _subject_for(self, chosen: ChosenImage, function: Function) -> ChosenImage:
        """Which image freezer and network are tried with: another than the user's, if his lacks what that takes.

        Raises:
            ImageNotFoundError: his lacks what every sandbox needs and cannot be lent it, or no other is here.
        """
        found = await self.engine.files_among(chosen.name, (_SHELL, _BASH))
        if _SHELL not in found:
            await self._lend(chosen, function)
        runs_here = chosen.details.architecture in ("", self.engine.architecture)
        if self._report.rungs or (_BASH in found and runs_here):
            return chosen
        for runtime in self._runtimes:
            if runtime.image and (other := await image_at_hand(self.engine, runtime)) is not None:
                return other
        raise ImageNotFoundError(
            f"function {function.name}: no image is here to try out with how environments freeze: {chosen.name} "
            f"{'has no bash' if runs_here else 'is for another machine'}",
            cure="Build the stand-ins with docker/build-images, or fetch public.ecr.aws/lambda/python:3.13.",
        )

    async def _lend(self, chosen: ChosenImage, function: Function) -> None:
        try:
            async with self._lending:
                if self._lent is None:
                    self._lent = await asyncio.to_thread(lend_shell, self.instance.folder / "shell")
        except SandboxError as error:
            raise ImageNotFoundError(
                f"function {function.name}: there is no {_SHELL} in {chosen.name}, and the emulator works by one; "
                f"{error.message}",
                cure="Make it from a base that has a shell, such as debian:stable-slim or AWS's own.",
            ) from error
        self._borrowers.add(chosen.name)

    def lent_to(self, image: str) -> LentShell | None:
        """The shell that such containers get, if the image has none."""
        return self._lent if image in self._borrowers else None

    def brings_bootstrap(self, function: Function) -> bool:
        """Whether its runtime is an operating system and nothing else, so that it is executed itself."""
        return function.image is None and self.kind_of(function) is RuntimeKind.PROVIDED

    def kind_of(self, function: Function) -> RuntimeKind:
        """Of what kind its runtime is."""
        return self._runtimes.find(function.runtime).kind

    def create(self, spec: SandboxSpec, events: SandboxEvents) -> ContainerSandbox:
        return ContainerSandbox(self, spec, events)

    def new_vessel(self, key: str, addresses: Addresses | None = None) -> Vessel:
        """One that has not started, with addresses of its own if there are none to inherit."""
        return Vessel(self._dock, key, addresses or self.network.next_addresses())

    def take_prewarmed(self, spec: SandboxSpec) -> Vessel | None:
        """One that can become what is wanted, if one is ready."""
        if spec.awaits_debugger is not None:
            return None  # it could not be shown where the debugger is
        image = self._images.get((spec.function.runtime, spec.function.image))
        return self.prewarmed.take(image.name) if image is not None and can_be_told(spec.variables) else None

    def _make_freezer(self, container: str, group: Group) -> Freezer:
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
        """Try every rung on a busy container without a network; and whether it can be furnished while it runs."""
        container = await self.engine.create(
            image.name,
            entrypoint=[*IMAGES_OWN, "-c", "while :; do :; done"],
            network_mode="none",
            host={"nano_cpus": 500_000_000, "read_only": True, "tmpfs": {"/tmp": ""}},  # noqa: S108 (inside)
        )
        try:
            await self.engine.start(container)
            details = await self.engine.details(container)
            pid, group = details.pid, find_group(details.pid)
            self.prewarmed.impossible = await self._why_none_can_be_furnished(Host(details.id, pid), group)
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

    async def _why_none_can_be_furnished(self, host: Host, group: Group) -> str:
        """One clause, or nothing. What a prewarmed container gets late is tried: a folder, a larger /tmp, a limit."""
        place = group.place
        if place.memory is None and not place.unified_memory:
            return "the memory limit of a container cannot be changed from here"
        visitor, folders = self._dock.visitor, {_SOMEWHERE: self.instance.folder}
        try:
            await visitor.do(lambda: mounted(visitor, host, folders, tmp=2 * SMALLEST_TMP))
            group.limit_memory(_SOME_MEMORY)
        except OSError as error:
            return f"a container that runs cannot be changed from here ({error.strerror})"
        except SandboxError as error:
            return error.message
        return ""

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

    def __init__(self, provider: ContainerProvider, spec: SandboxSpec, events: SandboxEvents) -> None:
        self._provider = provider
        self._spec = spec
        self._events = events
        self._shell = Shell(self._ended, self._refused)
        self._command: Sequence[str] = ()
        self._image: ChosenImage | None = None
        self._generation = 0
        self._is_being_ended = False  # by us, so that nobody is told
        self._is_born = False
        self._opt = provider.opt.take(spec.function)
        self.extensions: Sequence[str] = provider.extensions_of(spec.function, self._opt)
        self._memory = MemoryMeter(self.process_ids)
        # Taken now and not at the start, because its addresses have to be known before that.
        self._prewarmed = provider.take_prewarmed(spec)
        self._vessel = self._prewarmed or provider.new_vessel(f"env-{spec.environment_id}")
        self.view = SandboxView("container", "", 0, self._vessel.addresses.vpc)
        self.started_at = 0.0
        self.debugger_end: tuple[str, int] | None = None

    @property
    def freezer(self) -> Freezer:
        assert self._vessel.freezer is not None, "a sandbox has a freezer once it has started"
        return self._vessel.freezer

    @property
    def cut(self) -> Cut:
        return self._vessel.cut

    async def start(self) -> None:
        try:
            require_code(self._spec.function)  # or the engine would make an empty folder in its place
            image = self._image = await self._provider.image(self._spec.function)
            destiny = self._destiny(image)
            self._command = destiny.command
            if not await self._is_there_already(image.name, destiny):
                await self._vessel.start(image.name, destiny, self._inmate(), self._start_first)
                self.started_at = max(self.started_at, self._vessel.started_at)
        except OSError as error:
            await self.stop()
            raise SandboxError(f"the container could not be prepared: {error}") from error
        except SandboxError as error:
            await self.stop()
            if self._is_for_another_machine():
                raise LaunchError(self._wrong_machine().launch_error) from error
            raise
        except BaseException:
            await self.stop()
            raise
        self._is_born = True
        self.view = SandboxView("container", self._vessel.id[:12], self._vessel.pid, self.view.address)
        if self._vessel.exit_code is not None:
            self._exited(self._vessel.exit_code)

    async def _is_there_already(self, image: str, destiny: Destiny) -> bool:
        """Let a prewarmed vessel become what is wanted; should that fail, it gives its addresses to a new one."""
        vessel = self._prewarmed
        if vessel is None:
            return False
        try:
            await vessel.become(destiny, self._inmate(), self._start_first)
            async with asyncio.timeout(_PATIENCE):
                await self._shell.is_read.wait()
            if not vessel.has_ended:
                vessel.forget_destiny()
                return True
            trouble = "it has ended"
        except (OSError, EmulatorError, TimeoutError) as error:
            trouble = error.message if isinstance(error, EmulatorError) else str(error) or "it took too long"
        self._provider.prewarmed.unfit(image, trouble)
        await vessel.remove()
        self._settle()
        self._shell = Shell(self._ended, self._refused)  # what the first one was told is lost
        self._vessel = self._provider.new_vessel(f"env-{self._spec.environment_id}", vessel.addresses)
        return False

    def _start_first(self) -> None:
        """Extensions, or the runtime where there are none."""
        assert self._vessel.pipes is not None, "a vessel has pipes before anybody is told anything"
        self._shell.connect(self._vessel.pipes)
        if self.extensions:
            self.start_extensions()
        else:
            self.start_runtime()

    def start_extensions(self) -> None:
        self._check_it_lives()
        self.started_at = time.time()
        for name in self.extensions:
            self._shell.start(name)

    def start_runtime(self) -> None:
        self._check_it_lives()
        self._let_debug()
        self.started_at = time.time()
        if (status := self._why_it_cannot_start()) is None:
            self._shell.start(RUNTIME)
        else:  # not before who asked for it is ready to listen
            asyncio.get_running_loop().call_soon(self._tell_launch_error, self._generation, status)

    def _why_it_cannot_start(self) -> ExitStatus | None:
        """As far as that can be seen of a program that the function brings: a shell does not tell why it cannot."""
        function = self._spec.function
        if self._lent is not None and self._is_foreign and not bootstrap.are_emulated():
            return self._wrong_machine()  # the shell is this machine's, so it starts
        if not self._provider.brings_bootstrap(function):
            return None
        found = bootstrap.find_bootstrap(function, self._opt.folder if self._opt is not None else None)
        return bootstrap.obstacle(*found) if found is not None else bootstrap.missing_bootstrap()

    def _tell_launch_error(self, generation: int, status: ExitStatus) -> None:
        if generation == self._generation and not self._is_being_ended:
            self._events.runtime_exited(status)

    def _let_debug(self) -> None:
        """Show the next runtime the way to its debugger, and whether to wait for it."""
        if (awaits := self._spec.awaits_debugger) is not None:
            wait = {"wait": b""} if awaits() else {}
            self._vessel.lend(CONTAINER_FOLDER, {"sitecustomize.py": SCRIPT.read_bytes(), **wait})
            self.debugger_end = (self._vessel.addresses.control, CONTAINER_PORT)

    def signal_runtime(self, number: signal.Signals) -> None:
        # DIFFERS: on AWS its whole process group gets it [C]; a plain shell makes no groups, so here it does alone.
        self._shell.signal(RUNTIME, number)

    def kill_extension(self, name: str) -> None:
        self._shell.signal(name, signal.SIGKILL)

    async def reset(self) -> None:
        self._check_it_lives()
        self._generation += 1
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
        self._memory.forget()
        self._vessel.group.forget()

    def _check_it_lives(self) -> None:
        if self._vessel.has_ended:
            raise SandboxError("the container has ended")

    async def _kill_all(self) -> None:
        """SIGKILL for everything but the first process; again and again for what was being born meanwhile."""
        while True:
            if not await self._kill_what_is_left() or self._vessel.has_ended:
                return
            await asyncio.sleep(0.002)  # the kernel gives no sign when the last of them has gone

    async def _kill_what_is_left(self) -> bool:
        if not self._vessel.group.folders():  # they cannot be seen from here
            command = [*(self._lent.command if self._lent is not None else IMAGES_OWN), "-c", _KILL_ALL]
            left = await self._provider.engine.run_inside(self._vessel.container, command, user=USER)
            return bool(left.strip())
        pids = [pid for pid in self.process_ids() if pid != self.view.pid]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return bool(pids)

    def initialized(self) -> None:
        self._settle()
        self.peak_memory()  # a container that crashes takes its figures along
        if self._spec.awaits_debugger is not None:
            return  # DIFFERS: a debugger has too much to do for a share
        # [X] Init has more CPU than the memory setting gives; the share applies to invocations.
        share = self._spec.function.memory / _MEMORY_OF_ONE_CPU
        if not self._vessel.group.limit_cpu(share):
            self._provider.spawn(self._limit_cpu_by_engine(share))

    def drain_output(self) -> None:
        self._vessel.drain_output()

    def peak_memory(self) -> int:
        return self._memory.read(self._vessel.group)

    def process_ids(self) -> Sequence[int]:
        return self._vessel.group.process_ids()

    @property
    def runtime_api_address(self) -> str:
        return self._vessel.addresses.control

    def hold_sockets(self) -> None:
        """The cut is all that is needed: the cable goes with the container."""

    async def terminate(self, patience: float) -> None:
        # The first process is deaf to that, and goes with the container.
        await terminate([pid for pid in self.process_ids() if pid != self.view.pid], patience)

    def owns_connection(self, local: tuple[str, int], peer: tuple[str, int]) -> bool:
        # Its address is its own, and without any capability it cannot take another's.
        return peer[0] == self._vessel.addresses.control

    async def stop(self) -> None:
        self._is_being_ended = True
        await self._vessel.remove()
        self._settle()
        if self._opt is not None:
            opt, self._opt = self._opt, None
            await self._provider.opt.give_back(opt)

    def _settle(self) -> None:
        """It needs the processor no more than others; if it was a prewarmed one, another may take its place."""
        if self._prewarmed is not None:
            vessel, self._prewarmed = self._prewarmed, None
            self._provider.prewarmed.settled(vessel)

    def _destiny(self, image: ChosenImage) -> Destiny:
        runtime_api = f"{self._provider.runtime_api_host}:{self._spec.runtime_api_port}"
        function, opt = self._spec.function, self._opt.folder if self._opt is not None else None
        brought = None
        if self._provider.brings_bootstrap(function):
            found = bootstrap.find_bootstrap(function, opt)
            brought = found[0] if found is not None else bootstrap.PLACES[0]
        debugged = self._provider.kind_of(function) if self._spec.awaits_debugger is not None else None
        return destiny_of(
            function,
            self._spec.variables,
            image.details,
            runtime_api,
            opt=opt,
            origins=self._spec.tells_origins,
            debugpy=find_debugpy(function, opt) if debugged is RuntimeKind.PYTHON else None,
            inspected=debugged is RuntimeKind.NODEJS,
            bootstrap=brought,
            lent=self._lent,
        )

    def _inmate(self) -> Inmate:
        return Inmate(
            self._events.runtime_wrote,
            self._events.extension_wrote,
            self._shell.heard,
            self._exited,
            self._events.connection_told if self._spec.tells_origins else None,
        )

    async def _limit_cpu_by_engine(self, share: float) -> None:
        # A container that has ended meanwhile has no use for a limit.
        with contextlib.suppress(EngineError):
            await self._provider.engine.limit_cpu(self._vessel.container, share)

    def _ended(self, who: str, code: int) -> None:
        """The runtime or an extension has ended, and the shell says how."""
        self.drain_output()
        if not self._is_being_ended:
            out_of_memory = self._vessel.group.out_of_memory_kills() > 0
            status = ExitStatus.from_shell(code, out_of_memory=out_of_memory)
            if who == RUNTIME:
                self._events.runtime_exited(status)
            else:
                self._events.extension_exited(who, status)

    def _refused(self, reason: int) -> None:
        """The shell says that the runtime cannot be executed."""
        self.drain_output()
        if not self._is_being_ended:
            folder, program = self._spec.function.working_directory, next(iter(self._command), "")
            if reason == WRONG_FOLDER and folder is not None:
                self._events.runtime_exited(bootstrap.wrong_folder(folder))
            elif reason == NO_PROGRAM and not self._provider.brings_bootstrap(self._spec.function):
                self._events.runtime_exited(self._wrong_machine())
            else:
                self._events.runtime_exited(bootstrap.refused(program, forbidden=reason == FORBIDDEN))

    def _exited(self, code: int) -> None:
        """The whole container has ended, which nobody here has asked for."""
        self._shell.is_read.set()  # there is nothing to wait for
        if self._is_born and not self._is_being_ended:
            self._provider.spawn(self._report_exit(code))

    async def _report_exit(self, code: int) -> None:
        out_of_memory = False
        with contextlib.suppress(EngineError):
            out_of_memory = (await self._provider.engine.details(self._vessel.container)).out_of_memory
        self.drain_output()
        if not self._is_being_ended:
            status = ExitStatus.from_shell(code, out_of_memory=out_of_memory)
            self._events.runtime_exited(self._wrong_machine() if self._is_for_another_machine() else status)

    def _is_for_another_machine(self) -> bool:
        """And nothing of it has run here."""
        return self._is_foreign and not self._shell.has_spoken

    @property
    def _is_foreign(self) -> bool:
        here = self._provider.engine.architecture
        return self._image is not None and self._image.details.architecture not in ("", here)

    @property
    def _lent(self) -> LentShell | None:
        return self._provider.lent_to(self._image.name) if self._image is not None else None

    def _wrong_machine(self) -> ExitStatus:
        return bootstrap.wrong_machine(next(iter(self._command), ""))


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
