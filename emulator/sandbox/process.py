"""Environments as plain processes: the runtime and each extension a session, with a private temporary directory.

No rights are needed. Where this process may make control groups (as root, or in a delegated group), an
environment gets its own, which makes freezing exact and gives it a memory limit.

DIFFERS from AWS, and ``doctor`` says so: the file system is the host's (``/tmp`` stands in ``TMPDIR``, ``/var/task`` is
the code's own folder, ``LAMBDA_FREEZER_OPT`` tells where the layers are, and none of them is read-only), the user is
the one who runs the emulator, there is no CPU share, and ``sandbox.localdomain`` is no name.

The room is long because provider and sandbox share one subject, how several processes are one environment.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self, TypedDict

from emulator.errors import RuntimeNotFoundError, SandboxError
from emulator.model import FreezerReport, Function, SandboxView
from emulator.runtimes import Runtime, RuntimeKind, Runtimes
from emulator.sandbox import bootstrap, probe
from emulator.sandbox.base import ExitStatus, SandboxEvents, SandboxSpec, require_code
from emulator.sandbox.cgroup import Group, Place, make_group, place_for_new_groups
from emulator.sandbox.child import Child, Process, start_process
from emulator.sandbox.debugger import MEMORY, debugger_variables, free_port, require_debugger
from emulator.sandbox.equipment import Equipment, equip, unpack_native, version_of
from emulator.sandbox.fork_server import ForkServer
from emulator.sandbox.freezer import (
    CgroupV1Anchor,
    CgroupV1Freezer,
    CgroupV2Freezer,
    Freezer,
    SignalFreezer,
    descendants,
    states,
)
from emulator.sandbox.held import HeldSockets
from emulator.sandbox.instance import Instance
from emulator.sandbox.memory import MemoryMeter
from emulator.sandbox.network import Cut, NoCut
from emulator.sandbox.opt import OptFolders
from emulator.sandbox.origins import OriginPipe
from emulator.sandbox.output import OutputPipe
from emulator.sandbox.process_settings import (
    extension_variables,
    plain_runtime_command,
    runtime_command,
    runtime_variables,
)
from emulator.sandbox.signals import terminate
from emulator.sandbox.sockets import holder_of_socket, inode_of_connection
from emulator.sandbox.turns import Turn, Turns
from emulator.sandbox.warden import Warden

__all__ = ["ProcessProvider", "ProcessSandbox"]

_MIB = 2**20
_RUNTIME_KEY = ""  # no file has that name
_CANNOT_EXECUTE, _NOT_FOUND = 126, 127  # as a shell says it
_BLOCKS = 254 * 256  # of 256 addresses each, from 127.1.0.0 to 127.254.255.255


class ProcessProvider:
    """Makes process sandboxes.

    Arguments:
        instance: whose folder holds their temporary directories.
        warden: ends them if the emulator is killed.
        held: keeps the connections of those that end silently.
        freezer: the rung to use (``cgroup-v2``, ``cgroup-v1``, ``signals``), or ``auto`` for the best.
        fork_server: whether runtimes are forked from a prepared process, where that comes to the same.
        runtimes: those that functions may name.
    """

    kind = "process"
    # Every process gets an address of its own in 127.0.0.0/8, all of them served by one listener.
    runtime_api_host = "0.0.0.0"

    def __init__(
        self,
        instance: Instance,
        warden: Warden,
        held: HeldSockets,
        *,
        freezer: str = "auto",
        whole_ladder: bool = False,
        fork_server: bool = False,
        runtimes: Runtimes | None = None,
    ) -> None:
        self.instance = instance
        self._runtimes = runtimes or Runtimes()
        self._versions: dict[Path, str] = {}
        self._natives: dict[str, Path] = {}
        self._unpacked = itertools.count(1)
        self.held = held
        self.warden = warden
        self._freezer, self._whole_ladder = freezer, whole_ladder
        self._place = Place()
        self._anchor: CgroupV1Anchor | None = None
        self._report = FreezerReport("none", ())
        self.opt = OptFolders(instance)
        # What listens inside must not meet a listener of another emulator on this machine: each begins elsewhere.
        self._numbers = itertools.count(int(instance.id, 16) % _BLOCKS * 256 + 1)
        self.fork_server = ForkServer(warden) if fork_server else None
        self.turns = Turns()
        self._notes: list[str] = []

    async def __aenter__(self) -> Self:
        if self.fork_server is not None:
            self.fork_server.start()
        self._place = place_for_new_groups()
        self._report = await probe.process_ladder(
            self._place, f"{self.instance.id}-probe", self._freezer, whole=self._whole_ladder
        )
        if self._report.name == CgroupV1Freezer.name and self._place.freezer is not None:
            self._anchor = CgroupV1Anchor(self._place.freezer, f"lambda-freezer-{self.instance.id}-anchor")
            self.warden.keep("anchor", groups=[self._anchor.folder])
        if not self.limits_memory:
            self._notes.append("No memory limit on process sandboxes: the memory controller is not ours to use.")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.fork_server is not None:
            await self.fork_server.close()
        if self._anchor is not None:
            self._anchor.close()
            self.warden.drop("anchor")

    @property
    def freezer_report(self) -> FreezerReport:
        return self._report

    @property
    def notes(self) -> Sequence[str]:
        return [*self._notes, *(self.fork_server.notes if self.fork_server is not None else ())]

    @property
    def limits_memory(self) -> bool:
        return self._place.memory is not None or self._place.unified_memory

    async def prepare(self, function: Function) -> None:
        if function.is_image:
            raise RuntimeNotFoundError(
                f"function {function.name}: an image runs in a container",
                cure='Use containers: sandbox = "container"; or name a code folder and a runtime.',
            )
        equipment = self.equip(function)
        if equipment.runtime.version and equipment.program is not None:
            await self._compare_version(equipment.runtime, equipment.program)
        if equipment.archive is not None:
            place = self.instance.make_folder(f"native-{next(self._unpacked)}") / "client.so"
            if (native := await asyncio.to_thread(unpack_native, equipment.archive, place)) is not None:
                self._natives[function.name] = native
        await self.opt.prepare(function)
        require_debugger(function, self.opt.folder_of(function), equipment.runtime.kind)
        if self.fork_server is not None and equipment.runtime.kind is RuntimeKind.PYTHON:
            await self.fork_server.ready()

    def equip(self, function: Function) -> Equipment:
        """What its runtime is made of here.

        Raises:
            RuntimeNotFoundError: something is missing.
            ConfigurationError: there is no such runtime.
        """
        found = equip(self._runtimes.find(function.runtime), function)
        return replace(found, native=self._natives.get(function.name)) if found.archive is not None else found

    async def _compare_version(self, runtime: Runtime, program: Path) -> None:
        """A function may be of another version than the one interpreter that this machine has."""
        if program not in self._versions:
            self._versions[program] = await asyncio.to_thread(version_of, program)
        found = self._versions[program]
        note = f"{runtime.name} runs on this machine's {runtime.on(found)}, {program}."
        if found and found != runtime.version.partition(".")[0] and note not in self._notes:
            self._notes.append(note)

    def create(self, spec: SandboxSpec, events: SandboxEvents) -> ProcessSandbox:
        number = next(self._numbers)
        # 127.0.x.x is where other programs of this machine live.
        address = f"127.{1 + number // 65536 % 254}.{number // 256 % 256}.{number % 256}"
        return ProcessSandbox(self, spec, address, events)

    def make_group(self, name: str) -> Group | None:
        """Control groups for one environment, for the freezer in force and the memory limit."""
        place = Place(
            unified=self._place.unified if self._report.name == CgroupV2Freezer.name else None,
            unified_memory=self._place.unified_memory,
            freezer=self._place.freezer if self._report.name == CgroupV1Freezer.name else None,
            memory=self._place.memory,
        )
        group = make_group(place, f"lambda-freezer-{self.instance.id}-{name}")
        return group if group.folders() else None

    def make_freezer(self, group: Group | None) -> Freezer:
        match self._report.name, group:
            case CgroupV2Freezer.name, Group(place=Place(unified=Path() as folder)):
                return CgroupV2Freezer(folder)
            case CgroupV1Freezer.name, Group(place=Place(freezer=Path() as folder)):
                return CgroupV1Freezer(folder)
            case _:
                return SignalFreezer()


class _Settings(TypedDict):
    equipment: Equipment
    opt: Path | None
    temporary: Path
    runtime_api: str


class ProcessSandbox:
    """One environment as process groups: the runtime's, and one for each extension."""

    def __init__(self, provider: ProcessProvider, spec: SandboxSpec, address: str, events: SandboxEvents) -> None:
        self._provider = provider
        self._spec = spec
        self._events = events
        self.view = SandboxView("process", "", 0, address)
        self.started_at = 0.0
        self.cut: Cut = NoCut()
        self.debugger_end: tuple[str, int] | None = None
        self._opt = provider.opt.take(spec.function)
        self.extensions: Sequence[str] = self._opt.extensions if self._opt is not None else ()
        self._children: dict[str, Child] = {}
        self._output: OutputPipe | None = None
        self._extension_output: OutputPipe | None = None
        self._origins: OriginPipe | None = None
        self._generation = 0
        self._group: Group | None = None
        self._freezer: Freezer | None = None
        self._folder: Path | None = None
        self._memory = MemoryMeter(self.process_ids)
        self._turn: Turn | None = None

    @property
    def freezer(self) -> Freezer:
        assert self._freezer is not None, "a sandbox has a freezer once it has started"
        return self._freezer

    async def start(self) -> None:
        self._turn = await self._provider.turns.take(self._is_busy)
        try:
            self._folder = self._provider.instance.make_folder(f"env-{self._spec.environment_id}")
            (self._folder / "tmp").mkdir()
            if self._spec.tells_origins and not self._provider.equip(self._spec.function).runtime.command:
                self._origins = OriginPipe(self._folder / "origins", self._events.connection_told)
            self._group = self._provider.make_group(self._spec.environment_id)
            if self._group is not None:
                spare = MEMORY if self._spec.awaits_debugger is not None else 0
                self._group.limit_memory((self._spec.function.memory + spare) * _MIB)
            self._freezer = self._provider.make_freezer(self._group)
            self._keep_with_warden()
            if self.extensions:
                self.start_extensions()
            else:
                self.start_runtime()
        except OSError as error:
            await self.stop()
            raise SandboxError(f"the process could not be prepared: {error}") from error

    def start_extensions(self) -> None:
        self.started_at = time.time()
        self.view = SandboxView("process", "", 0, self.view.address)
        variables = extension_variables(self._spec.function, self._spec.variables, **self._settings())
        with self._new_output("extensions") as output:
            for name in self.extensions:
                self._start_extension(name, variables, output)

    def start_runtime(self) -> None:
        settings = self._settings()
        origins = self._folder / "origins" if self._folder is not None and self._origins is not None else None
        variables = runtime_variables(self._spec.function, self._spec.variables, **settings, origins=origins)
        variables |= self._let_debug()
        try:
            with self._new_output("runtime") as output:
                self.started_at = time.time()
                self._start_as(settings, variables, output)
        except OSError as error:
            raise SandboxError(f"the runtime's process could not be started: {error}") from error
        runtime = self._children.get(_RUNTIME_KEY)
        if runtime is None:
            self.view = SandboxView("process", "", 0, self.view.address)
            return
        pid = runtime.pid
        self.view = SandboxView("process", str(pid), pid, self.view.address)

    def _let_debug(self) -> dict[str, str]:
        """What tells the next runtime to listen for a debugger, at a port of its own address."""
        if self._spec.awaits_debugger is None:
            return {}
        self.debugger_end = (self.view.address, free_port(self.view.address))
        return debugger_variables(self.debugger_end, wait=self._spec.awaits_debugger())

    def signal_runtime(self, number: signal.Signals) -> None:
        self._signal(_RUNTIME_KEY, number)

    def kill_extension(self, name: str) -> None:
        self._signal(name, signal.SIGKILL)

    async def reset(self) -> None:
        self._give_turn_back()
        await self._end_processes()
        if isinstance(self._freezer, SignalFreezer):  # it knows its processes by number
            self._freezer.close()
        self._memory.forget()
        if self._group is not None:
            self._group.forget()

    def initialized(self) -> None:
        """DIFFERS: a process keeps all the CPU there is."""
        self._give_turn_back()

    def drain_output(self) -> None:
        for output in (self._output, self._extension_output, self._origins):
            if output is not None:
                output.drain()

    def peak_memory(self) -> int:
        return self._memory.read(self._group)

    def process_ids(self) -> Sequence[int]:
        if self._group is not None:
            return self._group.process_ids()
        roots = [child.pid for child in self._children.values() if child.is_running]
        return [pid for root in roots for pid in (root, *descendants(root))]

    @property
    def runtime_api_address(self) -> str:
        return self.view.address

    def hold_sockets(self) -> None:
        if self._spec.awaits_debugger is not None:
            return  # a debugger would wait for somebody who is no more
        # Its connection to us, over which it asks for events, is not one that anybody outside should miss.
        api = (self.view.address, self._spec.runtime_api_port)
        self._provider.held.take(self.process_ids(), but_not_to=frozenset({api}))

    async def terminate(self, patience: float) -> None:
        await terminate(self.process_ids(), patience)

    def owns_connection(self, local: tuple[str, int], peer: tuple[str, int]) -> bool:
        # Any process of this machine can reach any loopback address, so the address alone proves nothing.
        inode = inode_of_connection(peer, local)
        return inode is not None and holder_of_socket(inode, self.process_ids()) is not None

    async def stop(self) -> None:
        self._give_turn_back()
        await self._end_processes()
        if self._freezer is not None:
            self._freezer.close()
        if self._group is not None:
            self._group.close()
            await asyncio.to_thread(self._group.remove)
            self._group = None
        if self._origins is not None:
            self._origins.close()
        if self._folder is not None:
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
        if self._opt is not None:
            opt, self._opt = self._opt, None
            await self._provider.opt.give_back(opt)
        self._provider.warden.drop(self._spec.environment_id)

    def _is_busy(self) -> bool:
        """Whether one of its first processes has, or wants, the CPU; before there is one, it will."""
        return not self._children or any(
            "R" in states(child.pid) for child in self._children.values() if child.is_running
        )

    def _give_turn_back(self) -> None:
        if self._turn is not None:
            self._turn.give_back()
            self._turn = None

    # -- processes ---------------------------------------------------------------------------------------

    async def _end_processes(self) -> None:
        """Nobody is told of their ends: they were asked for."""
        self._generation += 1
        for child in self._children.values():
            child.forget()
        if self._children:
            self._kill()
            try:
                async with asyncio.timeout(10):
                    await self._all_gone()
            except TimeoutError as error:
                left = ", ".join(str(pid) for pid in self.process_ids())
                raise SandboxError(f"process {left} does not end") from error
        for name in self._children:
            self._provider.warden.drop(self._warden_key(name))
        self._children.clear()  # their numbers may be others' by the time of the next end
        for output in (self._output, self._extension_output):
            if output is not None:
                output.close()

    async def _all_gone(self) -> None:
        for child in self._children.values():
            await child.wait()
        while True:
            if self._group is None or not self._group.process_ids():
                return
            await asyncio.sleep(0.001)  # others' children: the kernel gives no sign when the last of them has gone

    def _kill(self) -> None:
        stragglers = self.process_ids()
        if isinstance(self._freezer, CgroupV1Freezer):
            # It holds even SIGKILL back. The other means do not: what is frozen dies without running again.
            with contextlib.suppress(SandboxError):
                self._freezer.thaw(lambda _error: None)
        if self._group is not None:
            self._group.kill()
        for child in self._children.values():
            child.signal(signal.SIGKILL)
        for pid in stragglers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _signal(self, name: str, number: signal.Signals) -> None:
        child = self._children.get(name)
        if child is not None and child.is_running:
            child.signal(number)

    def _start_extension(self, name: str, variables: dict[str, str], output: int) -> None:
        assert self._opt is not None, "extensions of a process come with layers"
        try:
            self._start_child(name, [self._opt.folder / "extensions" / name], variables, output)
        except OSError as error:
            code = ExitStatus.NOT_FOUND if isinstance(error, FileNotFoundError) else ExitStatus.CANNOT_EXECUTE
            self._could_not_start(name, ExitStatus(code=code))

    def _could_not_start(self, name: str, status: ExitStatus) -> None:
        # Not before who asked for it is ready to listen.
        asyncio.get_running_loop().call_soon(self._tell_that_it_could_not, self._generation, name, status)

    def _tell_that_it_could_not(self, generation: int, name: str, status: ExitStatus) -> None:
        if generation == self._generation:
            self._tell_end(name, status)

    def _start_as(self, settings: _Settings, variables: dict[str, str], output: int) -> None:
        """Start the runtime; or tell, in AWS's words, that what is to be executed cannot be."""
        function, equipment, opt = self._spec.function, settings["equipment"], settings["opt"]
        program = None
        if equipment.brings_bootstrap:
            if (found := bootstrap.find_bootstrap(function, opt)) is None:
                self._could_not_start(_RUNTIME_KEY, bootstrap.missing_bootstrap())
                return
            _, program = found
        command = runtime_command(function, opt, equipment, bootstrap=program, variables=variables)
        try:
            self._start_runtime(command, variables, output)
        except OSError as error:
            if error.errno not in bootstrap.REFUSALS:
                raise
            known_as = bootstrap.name_on_lambda(Path(command[0]), function, opt)
            self._could_not_start(_RUNTIME_KEY, bootstrap.launch_error(known_as, error))

    def _start_runtime(self, command: Sequence[str | Path], variables: dict[str, str], output: int) -> None:
        function, server = self._spec.function, self._provider.fork_server
        require_code(function)
        forked = None
        is_plain = command == plain_runtime_command() and self._spec.awaits_debugger is None
        if server is not None and is_plain:
            forked = server.fork(
                function.name,
                command,
                folder=function.folder,
                variables=variables,
                output=output,
                groups=self._group.folders() if self._group is not None else (),
                new_groups=self._generation == 0,
            )
        if forked is None:
            self._start_child(_RUNTIME_KEY, command, variables, output)
        else:
            try:
                self._take_child(_RUNTIME_KEY, forked, is_in_groups=forked.is_in_groups)
            except OSError:
                forked.kill()
                raise
            forked.release()

    def _start_child(self, name: str, command: Sequence[str | Path], variables: dict[str, str], output: int) -> None:
        require_code(self._spec.function)
        folder = self._spec.function.folder
        self._take_child(name, start_process(command, folder=folder, variables=variables, output=output))

    def _take_child(self, name: str, process: Process, is_in_groups: Callable[[], bool] = lambda: False) -> None:
        child = self._children[name] = Child(process, on_end=functools.partial(self._ended, name))
        self._provider.warden.keep(self._warden_key(name), pid=child.pid)
        if not is_in_groups() and self._group is not None:
            _take_in(self._group, child.pid)
        if isinstance(self._freezer, SignalFreezer):
            self._freezer.add(child.pid)
        if not self.view.pid:
            self.view = SandboxView("process", str(child.pid), child.pid, self.view.address)

    def _ended(self, name: str, code: int) -> None:
        self.drain_output()
        out_of_memory = self._group is not None and self._group.out_of_memory_kills() > 0
        status = (
            ExitStatus(signal=-code, out_of_memory=out_of_memory)
            if code < 0
            else ExitStatus(code=code, out_of_memory=out_of_memory)
        )
        self._tell_end(name, status)

    def _tell_end(self, name: str, status: ExitStatus) -> None:
        if name == _RUNTIME_KEY:
            self._events.runtime_exited(status)
        else:
            self._events.extension_exited(name, status)

    @contextlib.contextmanager
    def _new_output(self, kind: str) -> Iterator[int]:
        """The writing end of a pipe for the runtime, or for all extensions; ours is closed when they have theirs."""
        reading, writing = os.pipe2(os.O_CLOEXEC)
        if kind == "runtime":
            self._output = OutputPipe(reading, self._events.runtime_wrote)
        else:
            self._extension_output = OutputPipe(reading, self._events.extension_wrote)
        try:
            yield writing
        finally:
            os.close(writing)

    def _keep_with_warden(self) -> None:
        self._provider.warden.keep(
            self._spec.environment_id,
            groups=self._group.folders() if self._group is not None else (),
            folders=[self._folder] if self._folder is not None else (),
        )

    def _warden_key(self, name: str) -> str:
        return f"{self._spec.environment_id}/{name}"

    def _settings(self) -> _Settings:
        assert self._folder is not None, "processes are started in surroundings that were made"
        return {
            "equipment": self._provider.equip(self._spec.function),
            "opt": self._opt.folder if self._opt is not None else None,
            "temporary": self._folder / "tmp",
            "runtime_api": f"{self.view.address}:{self._spec.runtime_api_port}",
        }


def _take_in(group: Group, root: int) -> None:
    """A process, and what it has started before it was looked at: the first children of a shell are born at once."""
    inside: set[int] = set()
    while outside := {root, *descendants(root)} - inside:
        for pid in outside:
            with contextlib.suppress(ProcessLookupError):  # it has ended
                group.add(pid)
        inside |= outside
