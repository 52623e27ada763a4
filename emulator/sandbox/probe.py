"""Trying the freezer ladder on a throw-away process before anything relies on it.

A rung counts as available only when a busy process really stood still under it: it was stopped, its CPU time
did not advance, and it ran again after the thaw. What that cost here is part of the answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from emulator.errors import ConfigurationError, FreezeError
from emulator.model import FreezerReport, RungReport
from emulator.sandbox.cgroup import Group, Place, make_group
from emulator.sandbox.freezer import (
    CgroupV1Anchor,
    CgroupV1Freezer,
    CgroupV2Freezer,
    DirectFreezer,
    SignalFreezer,
)

__all__ = ["choose", "climb_down", "cpu_time", "measure_direct", "process_ladder"]

_ROUNDS = 15
_DEADLINE = 2.0  # seconds
_SPAN = 0.001
_SPANS = 20


async def process_ladder(place: Place, name: str, wanted: str, *, whole: bool = False) -> FreezerReport:
    """Probe the rungs for processes, the best one first; ``wanted`` is a rung's name or ``auto``.

    Arguments:
        whole: what stands below the rung that will be in force is tried, too. It takes time that a start can save.

    Raises:
        ConfigurationError: the wanted rung does not exist or does not work here.
    """
    probes: dict[str, Callable[[], RungReport]] = {
        CgroupV2Freezer.name: functools.partial(
            _probe_group, CgroupV2Freezer.name, place, name, lambda g: CgroupV2Freezer(_known(g.place.unified))
        ),
        CgroupV1Freezer.name: functools.partial(
            _probe_group, CgroupV1Freezer.name, place, name, lambda g: CgroupV1Freezer(_known(g.place.freezer))
        ),
        SignalFreezer.name: _probe_signals,
    }
    return choose(await asyncio.to_thread(climb_down, probes, wanted, whole=whole), wanted)


def climb_down(
    probes: Mapping[str, Callable[[], RungReport]], wanted: str, *, whole: bool = False
) -> tuple[RungReport, ...]:
    """Try one rung after the other, best first, until the one that will be in force works, or ``whole``, all."""
    rungs: list[RungReport] = []
    in_force = None
    for name, probe in probes.items():
        if in_force is not None and not whole:
            rungs.append(RungReport(name, False, f"not tried, for {in_force} works"))
            continue
        rung = probe()
        rungs.append(rung)
        if in_force is None and rung.available and wanted in ("auto", name):
            in_force = name
    return tuple(rungs)


def choose(rungs: tuple[RungReport, ...], wanted: str) -> FreezerReport:
    """The best available rung, or the wanted one."""
    available = [rung.name for rung in rungs if rung.available]
    if wanted == "auto":
        return FreezerReport(available[0] if available else "none", rungs)
    if wanted not in available:
        known = {rung.name: rung.reason for rung in rungs}
        raise ConfigurationError(
            f"freezer {wanted!r} cannot be used here: {known.get(wanted, 'there is no such freezer')}",
            cure=f'Available: {", ".join(available) or "none"}; "auto" takes the best.',
        )
    return FreezerReport(wanted, rungs)


def measure_direct(name: str, freezer: DirectFreezer, pid: int) -> RungReport:
    """Freeze and thaw a busy process again and again; the times are from the call until it took effect."""
    freezes, thaws = [], []
    for number in range(_ROUNDS):
        begin = time.perf_counter()
        freezer.stop_all()
        _spin_until(freezer.is_frozen, "it was not stopped")
        freezes.append(time.perf_counter() - begin)
        if number == 0 and not _stands_still(pid):
            raise FreezeError(f"{name}: a stopped process still used CPU time")
        begin = time.perf_counter()
        freezer.continue_all()
        _spin_until(lambda: not freezer.is_frozen(), "it was not continued")
        thaws.append(time.perf_counter() - begin)
    return RungReport(name, True, "works here", statistics.median(freezes) * 1e6, statistics.median(thaws) * 1e6)


def _stands_still(pid: int) -> bool:
    """Whether a process that was busy does not run any more.

    What it ran before it was stopped may be booked later, up to some milliseconds on a busy machine: so the booking
    is waited for. Then the account must not move for a span in which every runnable process gets its turn.
    """
    for _ in range(_SPANS):
        before = cpu_time(pid)
        time.sleep(_SPAN)
        if cpu_time(pid) == before:
            break
    before = cpu_time(pid)
    time.sleep(_SPANS * _SPAN)  # not waiting for anything: this is the span in which it must not run
    return cpu_time(pid) == before


def cpu_time(pid: int) -> int:
    """Nanoseconds that all threads of a process have run, by the scheduler's own account."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            total += int((task / "schedstat").read_text().split()[0])
    return total


def _probe_group(name: str, place: Place, group_name: str, make: Callable[[Group], DirectFreezer]) -> RungReport:
    only = Place(unified=place.unified) if name == CgroupV2Freezer.name else Place(freezer=place.freezer)
    if only == Place():
        return RungReport(name, False, "no control group of that kind can be made here (root, or delegation, can)")
    try:
        group = make_group(only, f"lambda-freezer-{group_name}")
    except OSError as error:
        return RungReport(name, False, str(error))
    anchor = None
    try:
        if only.freezer is not None:
            anchor = CgroupV1Anchor(only.freezer, f"lambda-freezer-{group_name}-anchor")
        with _busy_process() as process:
            group.add(process.pid)
            freezer = make(group)
            try:
                return measure_direct(name, freezer, process.pid)
            finally:
                freezer.continue_all()
                freezer.close()
    except (OSError, FreezeError) as error:
        return RungReport(name, False, str(error))
    finally:
        group.remove()
        if anchor is not None:
            anchor.close()


def _probe_signals() -> RungReport:
    with _busy_process() as process:
        freezer = SignalFreezer(process.pid)
        try:
            return measure_direct(SignalFreezer.name, freezer, process.pid)
        except (OSError, FreezeError) as error:
            return RungReport(SignalFreezer.name, False, str(error))


@contextlib.contextmanager
def _busy_process() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sh", "-c", "while :; do :; done"], start_new_session=True)
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _spin_until(condition: Callable[[], bool], complaint: str) -> None:
    deadline = time.perf_counter() + _DEADLINE
    while not condition():
        if time.perf_counter() > deadline:
            raise FreezeError(f"{complaint} within {_DEADLINE} s")


def _known(folder: Path | None) -> Path:
    assert folder is not None
    return folder
