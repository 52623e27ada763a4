"""Real processes to stop and to end: a busy one with a thread and a child, and real groups to put it in."""

from __future__ import annotations

import contextlib
import mmap
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.sandbox.cgroup import Group, Place, make_group, place_for_new_groups
from emulator.sandbox.freezer import CgroupV1Freezer, CgroupV2Freezer, DirectFreezer, SignalFreezer
from emulator.sandbox.probe import cpu_time
from tests.support import eventually, require

__all__ = ["RUNGS", "Busy", "is_alive", "own_group", "rung"]

RUNGS = ["cgroup-v2", "cgroup-v1", "signals"]

_SPAN = 0.02  # seconds in which nothing may move

# Counts in a file that the test has mapped as well: place 0 the first thread, 1 the second, 2 the child.
_PROGRAM = """
import mmap, os, sys, threading
counters = memoryview(mmap.mmap(os.open(sys.argv[1], os.O_RDWR), 64)).cast("Q")

def count(place):
    while True:
        counters[place] += 1

sys.stdin.buffer.read(1)  # until it is in its group
if os.fork() == 0:
    if sys.argv[2] == "leaves":
        os.setsid()
    counters[3] = os.getpid()
    count(2)
threading.Thread(target=count, args=(1,), daemon=True).start()
count(0)
"""


class Busy:
    """A process group that uses all the CPU it gets: two threads and a child, which may leave the group."""

    def __init__(self, folder: Path, *, child_leaves: bool = False) -> None:
        path = folder / f"counters-{secrets.token_hex(4)}"
        path.write_bytes(bytes(64))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 64)
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _PROGRAM, path, "leaves" if child_leaves else "stays"],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        self.pid = self._process.pid

    @property
    def counters(self) -> tuple[int, ...]:
        """How far both threads and the child have counted."""
        return tuple(memoryview(self._map).cast("Q")[:3])

    @property
    def child(self) -> int:
        return memoryview(self._map).cast("Q")[3]

    def go(self) -> None:
        """Begin to count; returns when all three do."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.close()
        eventually(lambda: all(self.counters), "counting in two threads and a child")

    def moves(self) -> bool:
        """Whether all three go on counting."""
        before = self.counters
        eventually(lambda: all(now > then for now, then in zip(self.counters, before, strict=True)), "counting on")
        return True

    def stands_still(self) -> bool:
        """Whether, over a span, nobody counts and no CPU time is booked; waits for the last booking before."""
        last = self._reading()

        def settled() -> bool:
            nonlocal last
            before, last = last, self._reading()
            return before == last

        eventually(settled, "coming to a halt")
        time.sleep(_SPAN)  # not waiting for anything: this is the span in which nothing may run
        return self._reading() == last

    def wait(self) -> int:
        """Reap the process; answers how it ended."""
        return self._process.wait(10)

    def kill(self) -> None:
        """End it, whatever state it is in but that of a v1 freezer."""
        for pid in {self.pid, self.child} - {0}:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()

    def _reading(self) -> tuple[tuple[int, ...], int, int]:
        return self.counters, cpu_time(self.pid), cpu_time(self.child)


def is_alive(pid: int) -> bool:
    """Whether a process exists and is no zombie that waits to be reaped by somebody else."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@contextlib.contextmanager
def own_group(*, v2: bool = False, v1: bool = False, memory: bool = False) -> Iterator[Group]:
    """A real control group of our own in the trees that are named."""
    place = place_for_new_groups()
    _need_tree("cgroup2", v2, place.unified)
    _need_tree("freezer", v1, place.freezer)
    wanted = Place(
        unified=place.unified if v2 else None,
        freezer=place.freezer if v1 else None,
        memory=place.memory if memory else None,
    )
    group = make_group(wanted, f"lambda-freezer-test-{secrets.token_hex(4)}")
    try:
        yield group
    finally:
        if group.place.freezer is not None and group.place.freezer.exists():
            (group.place.freezer / "freezer.state").write_text("THAWED")
        group.kill()
        group.remove()


def _need_tree(kind: str, wanted: bool, folder: Path | None) -> None:
    if not wanted:
        return
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    if not any(kind == mount[2] or (mount[2] == "cgroup" and kind in mount[3].split(",")) for mount in mounts):
        pytest.skip(f"This machine has no {kind} tree of control groups.")
    require(folder is not None, f"No control group of the {kind} tree can be made.", "Run as root, or delegate one.")


@contextlib.contextmanager
def rung(name: str, busy: Busy) -> Iterator[DirectFreezer]:
    """A freezer of the ladder over a busy process; leaving it, everything runs and is then ended."""
    with contextlib.ExitStack() as stack:
        freezer: DirectFreezer
        if name == "signals":
            freezer = SignalFreezer(busy.pid)
        else:
            group = stack.enter_context(own_group(v2=name == "cgroup-v2", v1=name == "cgroup-v1"))
            stack.callback(busy.kill)
            group.add(busy.pid)
            (folder,) = group.folders()
            freezer = CgroupV2Freezer(folder) if name == "cgroup-v2" else CgroupV1Freezer(folder)
        try:
            busy.go()
            yield freezer
        finally:
            freezer.continue_all()
            freezer.close()
