"""Environments as plain processes: a process group each, with a private temporary directory.

No rights are needed. Where this process may make control groups (as root, or in a delegated group), an
environment gets its own, which makes freezing exact and gives it a memory limit.

DIFFERS from AWS, and ``doctor`` says so: the file system is the host's (``/tmp`` stands in ``TMPDIR``,
``/var/task`` is the code's own folder), the user is the one who runs the emulator, there is no CPU share.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from emulator.errors import ImageNotFoundError, SandboxError
from emulator.model import FreezerReport, Function, SandboxView
from emulator.sandbox import probe
from emulator.sandbox.base import ExitStatus, SandboxEvents, SandboxSpec
from emulator.sandbox.cgroup import Group, Place, make_group, place_for_new_groups
from emulator.sandbox.freezer import (
    CgroupV1Anchor,
    CgroupV1Freezer,
    CgroupV2Freezer,
    Freezer,
    SignalFreezer,
    descendants,
)
from emulator.sandbox.held import HeldSockets
from emulator.sandbox.instance import Instance
from emulator.sandbox.memory import peak_of_processes
from emulator.sandbox.network import Cut, NoCut
from emulator.sandbox.output import OutputPipe
from emulator.sandbox.signals import terminate
from emulator.sandbox.sockets import holder_of_socket, inode_of_connection
from emulator.sandbox.warden import Warden

__all__ = ["ProcessProvider", "ProcessSandbox"]

_MIB = 2**20
_PATH = "/usr/local/bin:/usr/bin:/bin"


class ProcessProvider:
    """Makes process sandboxes.

    Arguments:
        instance: whose folder holds their temporary directories.
        warden: ends them if the emulator is killed.
        held: keeps the connections of those that end silently.
        freezer: the rung to use (``cgroup-v2``, ``cgroup-v1``, ``signals``), or ``auto`` for the best.
    """

    kind = "process"
    # Every process gets an address of its own in 127.0.0.0/8, all of them served by one listener.
    runtime_api_host = "0.0.0.0"

    def __init__(self, instance: Instance, warden: Warden, held: HeldSockets, *, freezer: str = "auto") -> None:
        self.instance = instance
        self.held = held
        self.warden = warden
        self._freezer = freezer
        self._place = Place()
        self._anchor: CgroupV1Anchor | None = None
        self._report = FreezerReport("none", ())
        self._numbers = itertools.count(1)
        self.notes: list[str] = []

    async def __aenter__(self) -> Self:
        self._place = place_for_new_groups()
        self._report = await probe.process_ladder(self._place, f"{self.instance.id}-probe", self._freezer)
        if self._report.name == CgroupV1Freezer.name and self._place.freezer is not None:
            self._anchor = CgroupV1Anchor(self._place.freezer, f"lambda-freezer-{self.instance.id}-anchor")
            self.warden.keep("anchor", groups=[self._anchor.folder])
        if not self.limits_memory:
            self.notes.append("No memory limit on process sandboxes: the memory controller is not ours to use.")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._anchor is not None:
            self._anchor.close()
            self.warden.drop("anchor")

    @property
    def freezer_report(self) -> FreezerReport:
        return self._report

    @property
    def limits_memory(self) -> bool:
        return self._place.memory is not None or self._place.unified_memory

    async def prepare(self, function: Function) -> None:
        if not function.runtime.startswith("python"):
            raise ImageNotFoundError(
                f"function {function.name}: the process sandbox runs Python only, not {function.runtime}",
                cure='Use a container: sandbox = "container".',
            )

    def create(self, spec: SandboxSpec, events: SandboxEvents) -> ProcessSandbox:
        number = next(self._numbers)
        # 127.0.0.x is where other programs of this machine live; ours begin at 127.1.0.1.
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

    def make_freezer(self, pid: int, group: Group | None) -> Freezer:
        match self._report.name, group:
            case CgroupV2Freezer.name, Group(place=Place(unified=Path() as folder)):
                return CgroupV2Freezer(folder)
            case CgroupV1Freezer.name, Group(place=Place(freezer=Path() as folder)):
                return CgroupV1Freezer(folder)
            case _:
                return SignalFreezer(pid)


class ProcessSandbox:
    """One environment as a process group."""

    def __init__(self, provider: ProcessProvider, spec: SandboxSpec, address: str, events: SandboxEvents) -> None:
        self._provider = provider
        self._spec = spec
        self._events = events
        self.view = SandboxView("process", "", 0, address)
        self.started_at = 0.0
        self.cut: Cut = NoCut()
        self._process: subprocess.Popen[bytes] | None = None
        self._output: OutputPipe | None = None
        self._group: Group | None = None
        self._freezer: Freezer | None = None
        self._pidfd = -1
        self._ended = asyncio.Event()
        self._folder: Path | None = None
        self._memory_peak = 0

    @property
    def extensions(self) -> Sequence[str]:
        return ()

    @property
    def freezer(self) -> Freezer:
        assert self._freezer is not None, "a sandbox has a freezer once it has started"
        return self._freezer

    async def start(self) -> None:
        try:
            self._folder = self._provider.instance.make_folder(f"env-{self._spec.environment_id}")
            (self._folder / "tmp").mkdir()
            self._group = self._provider.make_group(self._spec.environment_id)
            if self._group is not None:
                self._group.limit_memory(self._spec.function.memory * _MIB)
            self.start_runtime()
        except OSError as error:
            await self.stop()
            raise SandboxError(f"the process could not be prepared: {error}") from error

    def start_extensions(self) -> None:
        pass

    def signal_runtime(self, number: signal.Signals) -> None:
        pass

    def kill_extension(self, name: str) -> None:
        pass

    async def reset(self) -> None:
        await self._end_processes()
        if isinstance(self._freezer, SignalFreezer):  # it knows its processes by number
            self._freezer.close()
        self._keep_with_warden(pid=0)
        self._memory_peak = 0
        if self._group is not None:
            self._group.forget()

    def start_runtime(self) -> None:
        assert self._folder is not None, "a runtime is started in surroundings that were made"
        try:
            self._start_process(self._folder)
        except OSError as error:
            raise SandboxError(f"the runtime's process could not be started: {error}") from error

    def initialized(self) -> None:
        """DIFFERS: a process keeps all the CPU there is."""

    def drain_output(self) -> None:
        if self._output is not None:
            self._output.drain()

    def peak_memory(self) -> int:
        counted = self._group.peak_memory() if self._group is not None else 0
        self._memory_peak = max(self._memory_peak, counted, peak_of_processes(self.process_ids()))
        return self._memory_peak

    def process_ids(self) -> Sequence[int]:
        if self._group is not None:
            return self._group.process_ids()
        if self._process is None or self._process.returncode is not None:
            return ()
        return [self._process.pid, *descendants(self._process.pid)]

    @property
    def runtime_api_address(self) -> str:
        return self.view.address

    def hold_sockets(self) -> None:
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
        await self._end_processes()
        if self._freezer is not None:
            self._freezer.close()
        if self._group is not None:
            await asyncio.to_thread(self._group.remove)
            self._group = None
        if self._folder is not None:
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
        self._provider.warden.drop(self._spec.environment_id)

    async def _end_processes(self) -> None:
        if self._process is not None:
            self._kill()
            try:
                async with asyncio.timeout(10):
                    await self._ended.wait()
            except TimeoutError as error:
                raise SandboxError(f"process {self._process.pid} does not end") from error
            self._process = None  # its number may be another's by the time of the next end
        if self._output is not None:
            self._output.close()

    def _start_process(self, folder: Path) -> None:
        if not self._spec.function.code.is_dir():
            raise SandboxError(
                f"the code of function {self._spec.function.name} is gone: {self._spec.function.code}",
                cure="Put the folder back; the next invocation finds it.",
            )
        reading, writing = os.pipe2(os.O_CLOEXEC)
        self._output = OutputPipe(reading, self._events.runtime_wrote)
        self.started_at = time.time()
        self._ended.clear()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "awslambdaric", self._spec.function.handler],
                cwd=self._spec.function.code,
                env=self._variables(folder / "tmp"),
                stdin=subprocess.DEVNULL,
                stdout=writing,
                stderr=writing,
                start_new_session=True,
            )
        finally:
            os.close(writing)
        pid = self._process.pid
        self._pidfd = os.pidfd_open(pid)
        asyncio.get_running_loop().add_reader(self._pidfd, self._exited)
        if self._group is not None:
            self._group.add(pid)
        self._keep_with_warden(pid)
        if self._freezer is None or isinstance(self._freezer, SignalFreezer):
            self._freezer = self._provider.make_freezer(pid, self._group)
        self.view = SandboxView("process", str(pid), pid, self.view.address)

    def _keep_with_warden(self, pid: int) -> None:
        self._provider.warden.keep(
            self._spec.environment_id,
            pid=pid,
            groups=self._group.folders() if self._group is not None else (),
            folders=[self._folder] if self._folder is not None else (),
        )

    def _variables(self, temporary: Path) -> dict[str, str]:
        code = str(self._spec.function.code)
        return {
            "PATH": f"{Path(sys.executable).parent}:{_PATH}",
            "LANG": "C.UTF-8",
            "TZ": ":UTC",
            "TMPDIR": str(temporary),
            "PYTHONPATH": code,
            "LAMBDA_TASK_ROOT": code,
            "LAMBDA_RUNTIME_DIR": str(Path(sys.prefix)),
            **self._spec.variables,
            "AWS_LAMBDA_RUNTIME_API": f"{self.view.address}:{self._spec.runtime_api_port}",
        }

    def _kill(self) -> None:
        assert self._process is not None
        stragglers = self.process_ids()
        if isinstance(self._freezer, CgroupV1Freezer):
            # It holds even SIGKILL back. The other means do not: what is frozen dies without running again.
            with contextlib.suppress(SandboxError):
                self._freezer.thaw(lambda _error: None)
        if self._group is not None:
            self._group.kill()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        for pid in stragglers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _exited(self) -> None:
        assert self._process is not None
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._pidfd = -1
        code = self._process.wait()
        self.drain_output()
        self._ended.set()
        killed_for_memory = self._group is not None and self._group.out_of_memory_kills() > 0
        if code < 0:
            self._events.runtime_exited(ExitStatus(signal=-code, out_of_memory=killed_for_memory))
        else:
            self._events.runtime_exited(ExitStatus(code=code, out_of_memory=killed_for_memory))
