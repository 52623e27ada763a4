"""Figures as a file."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tests.bench.figures import Row
from tests.bench.growth import Curve
from tests.bench.machine import Machine

__all__ = ["save", "save_curves"]

_ROOT = Path(__file__).parent.parent.parent


def save(rows: Sequence[Row], before: Machine, after: Machine) -> Path:
    """Write the table to ``bench-results/``; the path from the project's folder."""
    return _write("table", before, load_after=after.load, rows=[{**asdict(row), "met": row.met} for row in rows])


def save_curves(curves: Sequence[Curve], before: Machine) -> Path:
    """Write curves there."""
    return _write("curves", before, curves=[asdict(curve) for curve in curves])


def _write(kind: str, machine: Machine, **found: object) -> Path:
    folder = _ROOT / "bench-results"
    folder.mkdir(exist_ok=True)
    path = folder / f"{time.strftime('%Y-%m-%dT%H-%M-%S')}-{kind}.json"
    content = {"machine": asdict(machine), **found}
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    return path.relative_to(_ROOT)
