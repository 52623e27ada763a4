"""Measure the product against its marks, its peers and the floor, on this machine, in one run.

Everything that is compared takes turns within the run; the table shows medians of it and how they relate.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from tests.bench.children import ends_as_interrupt
from tests.bench.errors import BenchError
from tests.bench.figures import Row, missing
from tests.bench.machine import Machine
from tests.bench.part import Part, Scale
from tests.bench.parts import PARTS
from tests.bench.results import save
from tests.bench.table import markdown, table

INTERRUPTED = 130


def main() -> int:
    """Measure and tell."""
    wishes = _wishes()
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 240)
    if wishes.profile:
        from tests.bench.profile import profile

        with ends_as_interrupt():
            console.print(profile(console, quick=wishes.quick))
        return 0
    parts = [part for part in PARTS if (part.name in wishes.only if wishes.only else part.quick or not wishes.quick)]
    before = Machine.now()
    rows: list[Row] = []
    try:
        with ends_as_interrupt():
            rows = _measure(console, parts, quick=wishes.quick, long=wishes.long)
    except KeyboardInterrupt:
        console.print("stopped; everything that was started has been ended", style="dim")
        return INTERRUPTED
    console.print(table(rows))
    console.print(before.in_words(), style="dim")
    console.print(f"written to {save(rows, before, Machine.now())}", style="dim")
    if wishes.markdown:
        print(markdown(rows))
    return 0


def _wishes() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__.splitlines()[0])
    names = [part.name for part in PARTS]
    parser.add_argument("--quick", action="store_true", help="fewer rounds: under two minutes")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=names, help=f"these parts: {', '.join(names)}")
    parser.add_argument("--long", action="store_true", help="a million invocations too")
    parser.add_argument("--markdown", action="store_true", help="print the table as markdown as well")
    parser.add_argument("--profile", action="store_true", help="where the time of a warm invocation goes, instead")
    return parser.parse_args()


def _measure(console: Console, parts: Sequence[Part], *, quick: bool, long: bool) -> list[Row]:
    rows: list[Row] = []
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[about]}", style="dim"),
        TimeElapsedColumn(),
    )
    # The bar is not drawn while something is measured: a thread that draws would be in the way of the client.
    with Progress(*columns, console=console, transient=True, auto_refresh=False) as progress:
        task = progress.add_task("measuring", total=len(parts), about="")
        for part in parts:
            progress.update(task, about=part.about, refresh=True)
            begin = time.monotonic()

            def tick(about: str = part.about, begin: float = begin) -> None:
                progress.update(task, about=f"{about}, {time.monotonic() - begin:.0f} s", refresh=True)

            try:
                rows += part.run(Scale(quick=quick, long=long, tick=tick))
            except (BenchError, OSError, AssertionError) as error:
                rows.append(missing(part.name, part.about, str(error)))
            progress.advance(task)
    return rows


if __name__ == "__main__":
    raise SystemExit(main())
