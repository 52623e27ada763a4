"""Measure this machine: freezers, cold starts and warm invocations, network cuts, the relay, reclaims.

Prints a table and writes the same figures as JSON to bench-results/. Medians, with the span between minimum and
maximum as a sign of how noisy the machine was.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from emulator import Emulator, Function
from emulator.errors import EmulatorError
from emulator.version import VERSION
from tests.bench.client import RawClient, busy_pause
from tests.bench.figures import Figure
from tests.bench.network import measure_cuts, measure_queries, measure_reclaim

ROOT = Path(__file__).parent.parent.parent
SAMPLES = ROOT / "sample_functions"
COUNTER = SAMPLES / "counter"
PAUSE = 0.001  # seconds between invocations, in which the environment is frozen for certain


def main() -> int:
    """Measure and tell."""
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds: under a minute")
    quick = parser.parse_args().quick
    console = Console(highlight=False)
    figures: list[Figure] = []
    rungs: dict[str, list[dict[str, object]]] = {}
    with Progress(console=console, transient=True) as progress:
        parts: list[tuple[str, Callable[[], list[Figure]]]] = [
            (
                "process sandboxes",
                lambda: measure("process", rungs, cold=5 if quick else 20, warm=200 if quick else 2000),
            ),
            (
                "container sandboxes",
                lambda: measure("container", rungs, cold=5 if quick else 20, warm=200 if quick else 2000),
            ),
            ("network cuts", lambda: measure_cuts(20 if quick else 200)),
            ("queries", lambda: measure_queries(200 if quick else 2000)),
            ("reclaim of processes", lambda: measure_reclaim("process", "auto", 3 if quick else 10)),
            *(
                (
                    f"reclaim of containers by {means}",
                    functools.partial(measure_reclaim, "container", means, 3 if quick else 10),
                )
                for means in ("netlink", "helper", "disconnect")
            ),
        ]
        task = progress.add_task("measuring", total=len(parts))
        for name, part in parts:
            progress.update(task, description=name)
            try:
                figures += part()
            except EmulatorError as error:
                console.print(f"{name}: not measured: {error}")
            progress.advance(task)
    show(console, figures, rungs)
    save(console, figures, rungs)
    return 0


def measure(sandbox: str, rungs: dict[str, list[dict[str, object]]], *, cold: int, warm: int) -> list[Figure]:
    """Cold starts and warm invocations over HTTP, the environment frozen in between."""
    with Emulator({"emulator": {"sandbox": sandbox}, "database": {"server": "none"}}) as emulator:
        function = emulator.add(Function(name="counter", code=COUNTER, memory=1769))
        rungs[sandbox] = [asdict(rung) for rung in emulator.status().freezer.rungs]
        starts, inits, invocations = [], [], []
        for _ in range(cold):
            begin = time.perf_counter()
            result = function.invoke({})
            starts.append(time.perf_counter() - begin)
            inits.append((result.report.init_ms or 0.0) / 1000)
            function.recycle()
        function.invoke({})
        with RawClient(emulator.endpoint_url, "counter") as client:
            for _ in range(warm + 50):
                invocations.append(client.invoke())
                busy_pause(PAUSE)
        return [
            Figure.of(f"{sandbox}: cold start, from invoke to frozen again", starts),
            Figure.of(f"{sandbox}: of it, init of runtime and function", inits),
            Figure.of(f"{sandbox}: warm invoke over HTTP, frozen in between", invocations[50:]),
        ]


def show(console: Console, figures: Sequence[Figure], rungs: dict[str, list[dict[str, object]]]) -> None:
    console.print(machine())
    table = Table(box=None, header_style="dim", pad_edge=False)
    for heading in ("", "MEDIAN", "P99", "MIN", "MAX", "N"):
        table.add_column(heading, justify="right" if heading else "left")
    for figure in figures:
        values = (figure.median, figure.p99, figure.minimum, figure.maximum)
        table.add_row(figure.name, *(duration(value) for value in values), str(figure.count))
    for sandbox, ladder in rungs.items():
        for rung in ladder:
            for what in ("freeze", "thaw"):
                value = rung[f"{what}_us"]
                shown = duration(float(str(value))) if value is not None else str(rung["reason"])
                table.add_row(f"{sandbox}: {what} by {rung['name']}", shown)
    console.print(table)


def save(console: Console, figures: Sequence[Figure], rungs: dict[str, list[dict[str, object]]]) -> None:
    folder = ROOT / "bench-results"
    folder.mkdir(exist_ok=True)
    path = folder / f"{time.strftime('%Y-%m-%dT%H-%M-%S')}.json"
    content = {"machine": machine(), "figures_us": [asdict(figure) for figure in figures], "freezers": rungs}
    path.write_text(json.dumps(content, indent=2) + "\n")
    console.print(f"written to {path.relative_to(ROOT)}", style="dim")


def machine() -> str:
    return (
        f"lambda-freezer {VERSION}, Python {platform.python_version()}, {platform.system()} {platform.release()}, "
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )


def duration(microseconds: float) -> str:
    return f"{microseconds / 1000:.1f} ms" if microseconds >= 1000 else f"{microseconds:.0f} µs"


if __name__ == "__main__":
    raise SystemExit(main())
