"""Figures as a file."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tests.bench.figures import Row
from tests.bench.machine import Machine

__all__ = ["save"]

_ROOT = Path(__file__).parent.parent.parent


def save(rows: Sequence[Row], before: Machine, after: Machine) -> Path:
    """Write them to ``bench-results/``; the path from the project's folder."""
    folder = _ROOT / "bench-results"
    folder.mkdir(exist_ok=True)
    path = folder / f"{time.strftime('%Y-%m-%dT%H-%M-%S')}.json"
    content = {
        "machine": asdict(before),
        "load_after": after.load,
        "rows": [{**asdict(row), "met": row.met} for row in rows],
    }
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    return path.relative_to(_ROOT)
