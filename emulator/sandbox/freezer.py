"""Stopping and continuing every process of an environment: the ladder of means, best first.

==============  =====================================================  ======================================
``cgroup-v2``   write to ``cgroup.freeze``                             the whole tree at once, killable frozen
``cgroup-v1``   write to ``freezer.state``                             needs a thaw before any kill
``signals``     SIGSTOP and SIGCONT to each process                    processes only; no privilege needed
``engine``      the container engine's pause and unpause               containers only; milliseconds
==============  =====================================================  ======================================

A freezer answers through a callback, because some means are done at once (inside the call) and some take
their time. The callback gets ``None``, or the error. Only the newest request counts: a freeze that a thaw has
overtaken may still call back, and whoever asked must recognise it as stale (the environment counts epochs).

The room is long because each rung of the ladder stands beside the others, with its traps.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Protocol

from emulator.errors import EngineError, FreezeError

__all__ = [
    "CgroupV1Anchor",
    "CgroupV1Freezer",
    "CgroupV2Freezer",
    "DirectFreezer",
    "Done",
    "EngineFreezer",
    "FakeFreezer",
    "Freezer",
    "SignalFreezer",
    "descendants",
    "states",
]

Done = Callable[[FreezeError | None], None]

_CONFIRM_WITHIN = 2.0  # seconds; a task in an uninterruptible wait can hold a freeze up
_FIRST_LOOK = 0.0005


class Freezer(Protocol):
    """Stops and continues all processes of one environment."""

    name: str

    def stop_early(self) -> bool:
        """Begin to stop everything, ahead of the freeze or the thaw that follows.

        Only for means whose thaw is done inside the call; ``False`` where it is not, or does not work now: nothing
        has changed then.
        """
        ...

    def freeze(self, done: Done) -> None:
        """Stop everything; ``done`` is called when nothing runs any more."""
        ...

    def thaw(self, done: Done) -> None:
        """Continue everything; ``done`` is called when it runs again."""
        ...

    def close(self) -> None:
        """Give back what the freezer holds. The environment is left as it is."""
        ...


class DirectFreezer(Freezer, Protocol):
    """A freezer that acts inside the call, so that its effect can be looked at straight away."""

    def stop_all(self) -> None: ...

    def continue_all(self) -> None: ...

    def is_frozen(self) -> bool:
        """Whether nothing of the environment runs at this moment."""
        ...


class _FileFreezer:
    """Writing one word to one file, and reading whether it took effect."""

    name: str

    def __init__(self, control: Path, stop: bytes, go: bytes) -> None:
        self._stop, self._go = stop, go
        self._control = os.open(control, os.O_RDWR | os.O_CLOEXEC)
        self._check: asyncio.TimerHandle | None = None
        self._is_early = False

    def stop_early(self) -> bool:
        try:
            self.stop_all()
        except FreezeError:
            return False  # the freeze will say so
        self._is_early = True
        return True

    def freeze(self, done: Done) -> None:
        if self._is_early:
            self._is_early = False
        else:
            self.stop_all()
        self._look(done, _FIRST_LOOK)

    def thaw(self, done: Done) -> None:
        self._is_early = False
        if self._check is not None:
            self._check.cancel()
            self._check = None
        self.continue_all()
        done(None)

    def stop_all(self) -> None:
        self._write(self._stop)

    def continue_all(self) -> None:
        self._write(self._go)

    def close(self) -> None:
        if self._check is not None:
            self._check.cancel()
            self._check = None
        if self._control >= 0:
            os.close(self._control)
            self._control = -1

    def _look(self, done: Done, delay: float, deadline: float | None = None) -> None:
        self._check = None
        try:
            has_stopped = self.is_frozen()
        except OSError as error:  # its last process has ended meanwhile, and the group went with it
            self._give_up(done, error.strerror or str(error))
            return
        if has_stopped:
            done(None)
            return
        # Reading on a timer: to wait for the kernel's notification costs 10 ms, for it is rate-limited.
        loop = asyncio.get_running_loop()
        if deadline is None:
            deadline = loop.time() + _CONFIRM_WITHIN
        if loop.time() > deadline:
            self._give_up(done, f"the environment did not stop within {_CONFIRM_WITHIN} s")
        else:
            self._check = loop.call_later(delay, self._look, done, min(delay * 2, 0.05), deadline)

    def _give_up(self, done: Done, reason: str) -> None:
        with contextlib.suppress(FreezeError):
            self.continue_all()  # what could not be frozen as a whole must run as a whole
        done(FreezeError(f"{self.name}: {reason}"))

    def _write(self, word: bytes) -> None:
        try:
            os.pwrite(self._control, word, 0)
        except OSError as error:
            raise FreezeError(f"{self.name}: {error.strerror}") from error

    def is_frozen(self) -> bool:
        """What the kernel says now."""
        raise NotImplementedError


class CgroupV2Freezer(_FileFreezer):
    """``cgroup.freeze`` of the group in the v2 tree."""

    name = "cgroup-v2"

    def __init__(self, group: Path) -> None:
        super().__init__(group / "cgroup.freeze", b"1", b"0")
        self._events = os.open(group / "cgroup.events", os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        super().close()
        if self._events >= 0:
            os.close(self._events)
            self._events = -1

    def is_frozen(self) -> bool:
        return b"frozen 1" in os.pread(self._events, 128, 0)


class CgroupV1Freezer(_FileFreezer):
    """``freezer.state`` of the group in the v1 freezer tree."""

    name = "cgroup-v1"

    def __init__(self, group: Path) -> None:
        super().__init__(group / "freezer.state", b"FROZEN", b"THAWED")

    def is_frozen(self) -> bool:
        return os.pread(self._control, 16, 0).startswith(b"FROZEN")


class CgroupV1Anchor:
    """One empty group that is frozen for good.

    The kernel patches its own code when the first v1 group freezes and again when the last one thaws,
    which makes both five times as slow. With the anchor, ours is never the first nor the last.
    """

    def __init__(self, parent: Path, name: str) -> None:
        self._group = parent / name
        self._group.mkdir()
        (self._group / "freezer.state").write_text("FROZEN")

    @property
    def folder(self) -> Path:
        return self._group

    def close(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            (self._group / "freezer.state").write_text("THAWED")
            self._group.rmdir()


class SignalFreezer:
    """SIGSTOP and SIGCONT to process groups, and to every descendant that left them.

    A process may be born while we walk, so the walk repeats until it finds nothing new. What detaches
    completely (its parent gone, its session its own) is not found: only a control group holds that.

    Arguments:
        pids: the first process of each group.
    """

    name = "signals"

    def __init__(self, *pids: int) -> None:
        self._roots = set(pids)
        self._stopped: set[int] = set()
        self._is_early = False

    def add(self, pid: int) -> None:
        """One more group, by its first process."""
        self._roots.add(pid)

    def stop_early(self) -> bool:
        try:
            self.stop_all()
        except FreezeError:
            self.continue_all()
            return False
        self._is_early = True
        return True

    def freeze(self, done: Done) -> None:
        try:
            if not self._is_early:
                self.stop_all()
            self._is_early = False
        except FreezeError as error:
            self.continue_all()
            done(error)
        else:
            done(None)

    def thaw(self, done: Done) -> None:
        self._is_early = False
        self.continue_all()
        done(None)

    def stop_all(self) -> None:
        self._stopped.clear()
        self._signal_groups(signal.SIGSTOP)
        for _ in range(50):
            fresh = self._others() - self._stopped
            if not fresh:
                return
            for pid in fresh:
                _signal(pid, signal.SIGSTOP)
            self._stopped |= fresh
        raise FreezeError("signals: the environment starts processes faster than they can be stopped")

    def continue_all(self) -> None:
        for pid in self._stopped:
            _signal(pid, signal.SIGCONT)
        self._stopped.clear()
        self._signal_groups(signal.SIGCONT)

    def close(self) -> None:
        """From now on it signals nobody: the number of a process that has ended may be another's one day."""
        self._stopped.clear()
        self._roots.clear()

    def is_frozen(self) -> bool:
        """Stopped, or dead and not yet reaped: in neither state can a process run."""
        return all(
            state in "TtZX" for root in self._roots for pid in (root, *descendants(root)) for state in states(pid)
        )

    def _signal_groups(self, number: signal.Signals) -> None:
        for root in self._roots:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(root, number)

    def _others(self) -> set[int]:
        """Descendants outside the process groups of the environment."""
        others = set()
        for root in self._roots:
            for pid in descendants(root):
                with contextlib.suppress(ProcessLookupError):
                    if os.getpgid(pid) not in self._roots:
                        others.add(pid)
        return others


def descendants(pid: int) -> list[int]:
    """Every child of a process, and theirs, by the kernel's own lists (no walk over all of ``/proc``)."""
    found: list[int] = []
    waiting = [pid]
    while waiting:
        tasks = f"/proc/{waiting.pop()}/task"
        with contextlib.suppress(OSError):
            for task in os.listdir(tasks):
                with contextlib.suppress(OSError):
                    children = [int(child) for child in Path(f"{tasks}/{task}/children").read_text().split()]
                    found += children
                    waiting += children
    return found


def states(pid: int) -> Iterator[str]:
    """The one-letter states of the threads of a process; a stop reaches each of them on its own."""
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError):
                yield Path(f"/proc/{pid}/task/{task}/stat").read_text().rpartition(")")[2].split()[0]


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


class EngineFreezer:
    """The container engine's own pause: everywhere, but 10 ms each way, and it can fail or hang.

    One request runs at a time. A request that comes meanwhile replaces the one that waits, so a thaw
    overtakes a freeze that has not begun, and follows one that has.
    """

    name = "engine"

    def __init__(
        self,
        pause: Callable[[], Coroutine[Any, Any, None]],
        unpause: Callable[[], Coroutine[Any, Any, None]],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._pause, self._unpause, self._spawn = pause, unpause, spawn
        self._paused = False
        self._wanted: tuple[bool, Done] | None = None
        self._running = False

    def stop_early(self) -> bool:
        return False  # to take it back would cost ten milliseconds

    def freeze(self, done: Done) -> None:
        self._want(True, done)

    def thaw(self, done: Done) -> None:
        self._want(False, done)

    def close(self) -> None:
        self._wanted = None

    def _want(self, paused: bool, done: Done) -> None:
        self._wanted = (paused, done)
        if not self._running:
            self._running = True
            self._spawn(self._run())

    async def _run(self) -> None:
        while self._wanted is not None:
            (paused, done), self._wanted = self._wanted, None
            failure = None
            try:
                if paused != self._paused:
                    await (self._pause if paused else self._unpause)()
                    self._paused = paused
            except EngineError as error:
                failure = FreezeError(f"engine: {error.message}", cure=error.cure)
                failure.__cause__ = error
                if paused:  # it may have taken effect all the same
                    with contextlib.suppress(EngineError):
                        await self._unpause()
            done(failure)
        self._running = False


class FakeFreezer:
    """Remembers what it was asked. With ``slow`` set, nothing is confirmed before :meth:`confirm`.

    What is not confirmed stands in ``waiting``, oldest first; a test may answer it in any other order itself.
    """

    name = "fake"

    def __init__(self, *, slow: bool = False) -> None:
        self.slow = slow
        self.frozen = False
        self.calls: list[str] = []
        self.fail_with: FreezeError | None = None
        self.waiting: list[Done] = []

    def stop_early(self) -> bool:
        self.frozen = self.frozen or not (self.slow or self.fail_with is not None)
        return self.frozen

    def freeze(self, done: Done) -> None:
        self.calls.append("freeze")
        self._answer(True, done)

    def thaw(self, done: Done) -> None:
        self.calls.append("thaw")
        self._answer(False, done)

    def close(self) -> None:
        self.calls.append("close")

    def confirm(self) -> None:
        """Answer everything that waits, oldest first."""
        waiting, self.waiting = self.waiting, []
        for done in waiting:
            done(self.fail_with)

    def _answer(self, frozen: bool, done: Done) -> None:
        self.frozen = frozen and self.fail_with is None
        if self.slow:
            self.waiting.append(done)
        else:
            done(self.fail_with)
