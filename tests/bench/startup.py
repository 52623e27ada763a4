"""How long until the emulator is there."""

from __future__ import annotations

import compileall
import subprocess
import sys
from pathlib import Path
from typing import Any

import emulator
from tests.bench.errors import BenchError
from tests.bench.figures import Row, Spread, missing
from tests.bench.part import Scale
from tests.bench.product import echo_settings, product

__all__ = ["startup"]

_PART = "startup"
_TIMED = "from time import perf_counter as t; b = t(); {}; print(t() - b)"


def startup(scale: Scale) -> list[Row]:
    """``up`` until it answers, and the import of the package."""
    rounds = scale.pick(2, 15)
    # As after an installation or any first start; where Python may write no byte code, each start would compile anew.
    compileall.compile_dir(str(Path(emulator.__file__).parent), quiet=1)
    kinds: tuple[tuple[str, str, str, float | None], ...] = (
        ("process, no database", "process", "none", 0.5),
        ("process, local database", "process", "local", 1.0),
        ("container, no database", "container", "none", None),
    )
    rows = []
    for name, sandbox, server, mark in kinds:
        settings: dict[str, dict[str, Any]] = {**echo_settings(sandbox), "database": {"server": server}}
        try:
            spread = Spread.of([_ready_after(settings) for _ in range(rounds)])
        except BenchError as error:
            rows.append(missing(_PART, f"up to ready, {name}", str(error)))
            continue
        rows.append(_row(f"up to ready, {name}", spread, mark))
        scale.tick()
    for statement, limit in (("import emulator", 0.15), ("from emulator import Emulator", None)):
        rows.append(_row(statement, Spread.of([_run(statement) for _ in range(scale.pick(3, 21))]), limit))
    return rows


def _row(name: str, spread: Spread, mark: float | None) -> Row:
    value = spread.median if mark is not None else None
    return Row(part=_PART, name=name, measured=spread, value=value, value_unit="s", limit=mark)


def _ready_after(settings: dict[str, dict[str, Any]]) -> float:
    with product(settings) as ours:
        return ours.ready_after


def _run(statement: str) -> float:
    words = [sys.executable, "-c", _TIMED.format(statement)]
    made = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    return float(made.stdout)
