"""A process of a process sandbox: in a session of its own, and heard of when it ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

__all__ = ["Child", "Process", "start_process"]

# [R] Those limits of Lambda's that may be lowered without rights: soft and hard, in the units of setrlimit. The number
# of processes is not among them: it is counted for a user, not for an environment.
_LIMITS = {
    resource.RLIMIT_NOFILE: (1024, 1024),
    resource.RLIMIT_MEMLOCK: (65_536, 65_536),
    resource.RLIMIT_STACK: (8_388_608, resource.RLIM_INFINITY),
}


class Process(Protocol):
    """A process that was started, as a child of ours, and leads a session of its own."""

    pid: int
    returncode: int | None
    """``None`` until its end was waited for; negative for a signal, as :mod:`subprocess` has it."""

    def wait(self) -> int:
        """Wait for its end, and answer how it ended."""
        ...

    def kill(self) -> None:
        """SIGKILL for it alone."""
        ...


def start_process(
    command: Sequence[str | Path],
    *,
    folder: Path,
    variables: Mapping[str, str],
    output: int,
    keep: Sequence[int] = (),
) -> Process:
    """Start a program.

    Arguments:
        folder: its working directory.
        variables: all that it has.
        output: a descriptor for what it prints.
        keep: descriptors that it has besides, under the same numbers.

    Raises:
        OSError: it cannot be executed.
    """
    return subprocess.Popen(
        command,
        cwd=folder,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
        pass_fds=keep,
    )


class Child:
    """A running process, from its start on.

    Arguments:
        on_end: gets the exit status, negative for a signal, as :mod:`subprocess` has it.

    Raises:
        OSError: its end could not be heard of; it was killed.
    """

    def __init__(self, process: Process, *, on_end: Callable[[int], None]) -> None:
        self._on_end: Callable[[int], None] | None = on_end
        self._process = process
        self.pid = process.pid
        self._ended = asyncio.Event()
        try:
            # From outside: code between fork and exec is not safe in a program with threads. It is still loading.
            for limit, (soft, hard) in _LIMITS.items():
                _lower(self.pid, limit, soft, hard)
            self._descriptor = os.pidfd_open(self.pid)
        except OSError:  # nobody would hear of its end
            self._process.kill()
            self._process.wait()
            raise
        asyncio.get_running_loop().add_reader(self._descriptor, self._readable)

    @property
    def is_running(self) -> bool:
        return self._process.returncode is None

    def forget(self) -> None:
        """Tell nobody of its end any more."""
        self._on_end = None

    def signal(self, number: signal.Signals) -> None:
        """To its whole process group, as on AWS [C]; also when only others of the group are left."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    async def wait(self) -> None:
        """Until it has ended."""
        await self._ended.wait()

    def _readable(self) -> None:
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)
        code = self._process.wait()
        self._ended.set()
        if self._on_end is not None:
            self._on_end(code)


def _lower(pid: int, limit: int, soft: int, hard: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # it has ended, or has become another user's
        _, allowed = resource.prlimit(pid, limit)
        hard = _least(hard, allowed)
        resource.prlimit(pid, limit, (_least(soft, hard), hard))


def _least(one: int, other: int) -> int:
    if resource.RLIM_INFINITY in (one, other):
        return other if one == resource.RLIM_INFINITY else one
    return min(one, other)
