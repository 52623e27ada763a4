"""How long an environment's processes run on after its runtime has asked for the next event.

A process of the environment writes the time into a file without pause; when it is frozen, the file holds the moment
at which it ran last. When the runtime asked is known from a clock at the control plane's door to the Runtime API.
Both clocks are the kernel's one.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import shutil
import struct
import tempfile
import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.bench.children import wait_until
from tests.bench.client import RawClient
from tests.bench.errors import BenchError
from tests.bench.figures import Row, Spread, missing
from tests.bench.part import Scale
from tests.bench.product import FUNCTIONS, Product, product
from tests.bench.tools import compiled

__all__ = ["freeze_lag", "lags"]

_PART = "freeze-lag"
_DOOR = "emulator.runtime_api.connection:Connection.data_received"
_ENTERED = "→ Connection.data_received"
_MEMORY = 3538  # MiB: two processors, one for the ticker
_SETTLED = 0.003  # seconds
_P50, _P99 = 50e-6, 500e-6


def lags(sent: Sequence[int], ticks: Sequence[int], asked: Sequence[int]) -> list[float]:
    """Seconds for each invocation, from the last call of its runtime to the last tick.

    Where no tick came after that call, the ticker had no processor just then: that says nothing, and is left out.

    Arguments:
        sent: when each request was sent, in nanoseconds, ascending.
        ticks: the last tick after each.
        asked: all moments at which a runtime's call came in, ascending.
    """
    found = []
    for begin, end, tick in zip(sent, [*sent[1:], 2**63], ticks, strict=True):
        last = bisect_left(asked, end) - 1
        if last >= 0 and begin <= asked[last] < tick:
            found.append((tick - asked[last]) / 1e9)
    return found


def freeze_lag(scale: Scale) -> list[Row]:
    """Processes, containers frozen directly, and the engine's own pause beside them."""
    rows: list[Row] = []
    kinds: tuple[tuple[str, dict[str, Any], bool], ...] = (
        ("process", {"sandbox": "process"}, True),
        ("container, directly", {"sandbox": "container"}, True),
        ("container, the engine's pause", {"sandbox": "container", "freezer": "engine"}, False),
    )
    for name, emulator, has_mark in kinds:
        try:
            count = scale.pick(60, 1000) if has_mark else scale.pick(10, 100)
            rows += _rows(name, _measure(emulator, count), count, has_mark)
        except BenchError as error:
            rows.append(missing(_PART, _title(name), str(error)))
        scale.tick()
    return rows


def _title(name: str) -> str:
    return f"from the last /next to standstill, {name}"


def _rows(name: str, found: Sequence[float], count: int, has_mark: bool) -> list[Row]:
    if not found:
        raise BenchError("the ticker never had a processor when its environment was frozen")
    spread, note = Spread.of(found), f"the ticker ran at {len(found)} of {count} freezes"
    if not has_mark:
        return [Row(part=_PART, name=_title(name), measured=spread, note=note)]
    marks = (("p50", spread.median, _P50), ("p99", spread.p99, _P99))
    return [
        Row(
            part=_PART,
            name=f"{_title(name)}: {which}",
            measured=spread,
            value=value,
            value_unit="s",
            limit=limit,
            note=note,
        )
        for which, value, limit in marks
    ]


def _measure(emulator: dict[str, Any], count: int) -> list[float]:
    with tempfile.TemporaryDirectory(prefix="lambda-freezer-bench-") as made:
        folder = Path(made)
        folder.chmod(0o755)
        code = folder / "code"
        shutil.copytree(FUNCTIONS / "ticking", code)
        shutil.copy(compiled("ticker"), code / "ticker")
        function: dict[str, Any] = {"code": str(code), "memory": _MEMORY, "timeout": 30}
        if emulator["sandbox"] == "process":
            function["environment"] = {"CLOCK": str(folder / "clock")}
        stamps = folder / "stamps"
        os.environ |= {"LAMBDA_FREEZER_PROFILE": str(stamps), "LAMBDA_FREEZER_SEAMS": _DOOR}
        try:
            with product(
                {"emulator": emulator, "database": {"server": "none"}, "functions": {"ticking": function}},
                command=("-m", "tests.bench.profiled"),
            ) as ours:
                sent, ticks = _invoke(ours, folder / "clock", count)
        finally:
            del os.environ["LAMBDA_FREEZER_PROFILE"], os.environ["LAMBDA_FREEZER_SEAMS"]
        content = json.loads(stamps.read_text())
    if content["absent"]:
        raise BenchError(f"this build has no {content['absent'][0]} to put a clock at")
    return lags(sent, ticks, [moment for moment, name in content["stamps"] if name == _ENTERED])


def _invoke(ours: Product, clock: Path, count: int) -> tuple[list[int], list[int]]:
    """When each request was sent, and when the ticker ran last after it."""
    sent, ticks = [], []
    with RawClient(ours.door("ticking")) as client:
        client.invoke()
        if not clock.exists():  # the environment's own, seen through its first process
            view = ours.get("/environments")["environments"][0]["sandbox"]
            clock = Path(f"/proc/{view['pid']}/root/tmp/clock")
        wait_until(lambda: clock.exists() and clock.stat().st_size >= 8, f"a clock ticks in {clock}", seconds=5)
        with _reading(clock) as content:
            for number in range(-5, count):
                begin = time.perf_counter_ns()
                client.invoke()
                tick = _last_tick(content)
                if number >= 0:
                    sent.append(begin)
                    ticks.append(tick)
    return sent, ticks


@contextlib.contextmanager
def _reading(clock: Path) -> Iterator[mmap.mmap]:
    try:
        with clock.open("rb") as file, mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ) as content:
            yield content
    except PermissionError as error:
        raise BenchError(f"the clock inside cannot be read: {error}") from error


def _last_tick(content: mmap.mmap) -> int:
    """Wait until it ticks no more."""
    before = -1
    end = time.monotonic() + 10
    while True:
        time.sleep(_SETTLED)  # asleep, for the ticker is to have a processor of its own
        (tick,) = struct.unpack("q", content[:8])
        if tick == before:
            return int(tick)
        if time.monotonic() > end:
            raise BenchError("the environment was not frozen within 10 s")
        before = tick
