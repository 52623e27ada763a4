"""Measure the product against its marks, its peers and the floor, on this machine, in one run.

Everything that is compared takes turns within the run; the table shows medians of it and how they relate.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import sys
import time
from collections.abc import Callable, Iterator, Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

from tests.bench.children import ends_as_interrupt
from tests.bench.errors import BenchError
from tests.bench.figures import Row, missing
from tests.bench.growth import CURVES, Curve, measure_curves
from tests.bench.machine import Machine
from tests.bench.part import Part, Scale
from tests.bench.parts import PARTS
from tests.bench.results import save, save_curves
from tests.bench.table import markdown, table

INTERRUPTED = 130


def main() -> int:
    """Measure and tell."""
    wishes = _wishes()
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 240)
    if wishes.profile:
        from tests.bench.profile import profile

        return _guarded(console, lambda: console.print(profile(console, quick=wishes.quick)))
    if wishes.plots is not None:
        return _plot(console, wishes.plots or list(CURVES))
    parts = [part for part in PARTS if _is_wanted(part, wishes)]
    before = Machine.now()

    def measure_and_show() -> None:
        rows = _measure(console, parts, quick=wishes.quick)
        console.print(table(rows))
        console.print(before.in_words(), style="dim")
        console.print(f"written to {save(rows, before, Machine.now())}", style="dim")
        if wishes.markdown:
            print(markdown(rows))

    return _guarded(console, measure_and_show)


def _guarded(console: Console, work: Callable[[], None]) -> int:
    """Do it; Ctrl-C and SIGTERM end it, and with it all that it has started."""
    try:
        with ends_as_interrupt():
            work()
    except KeyboardInterrupt:
        console.print("stopped; everything that was started has been ended", style="dim")
        return INTERRUPTED
    except BenchError as error:
        console.print(f"not measured: {error}")
        return 1
    return 0


def _plot(console: Console, names: Sequence[str]) -> int:
    from tests.bench.plots import draw

    def measure_and_draw() -> None:
        found: list[Curve] = []
        before = Machine.now()
        with _bar(console, len(names)) as bar:
            for curve in measure_curves(names, bar.tick):
                bar.advance()
                if isinstance(curve, str):
                    console.print(f"not measured: {curve}")
                    continue
                found.append(curve)
                console.print(f"{curve.name}: {draw(curve)}")
        console.print(f"written to {save_curves(found, before)}", style="dim")

    return _guarded(console, measure_and_draw)


def _is_wanted(part: Part, wishes: argparse.Namespace) -> bool:
    if wishes.only:
        return part.name in wishes.only
    return (
        part.run_in == "quick"
        or (part.run_in == "full" and not wishes.quick)
        or (part.run_in == "long" and wishes.long)
    )


def _wishes() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__.splitlines()[0])
    names = [part.name for part in PARTS]
    parser.add_argument("--quick", action="store_true", help="less of everything: two minutes")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=names, help=f"these parts: {', '.join(names)}")
    parser.add_argument("--long", action="store_true", help="a million invocations too")
    parser.add_argument("--markdown", action="store_true", help="print the table as markdown as well")
    parser.add_argument(
        "--plots",
        nargs="*",
        metavar="NAME",
        choices=list(CURVES),
        help=f"draw what grows with what into docs/images, instead; all, or these: {', '.join(CURVES)}",
    )
    parser.add_argument("--profile", action="store_true", help="where the time of a warm invocation goes, instead")
    return parser.parse_args()


def _measure(console: Console, parts: Sequence[Part], *, quick: bool) -> list[Row]:
    rows: list[Row] = []
    with _bar(console, len(parts)) as bar:
        for part in parts:
            bar.tick(part.about)
            try:
                rows += part.run(Scale(quick=quick, tick=functools.partial(bar.tick, part.about)))
            except (BenchError, OSError, AssertionError) as error:
                rows.append(missing(part.name, part.about, str(error)))
            bar.advance()
    return rows


class _Bar:
    """What is measured, and for how long; drawn only when it is told something.

    While something is measured nothing draws: a thread that did would be in the way of the client.
    """

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress, self._task = progress, progress.add_task("measuring", total=total, about="")
        self._about, self._since, self._drawn = "", 0.0, 0.0

    def tick(self, about: str) -> None:
        now = time.monotonic()
        if about != self._about:
            self._about, self._since, self._drawn = about, now, 0.0
        if now - self._drawn >= 1:
            self._drawn = now
            self._progress.update(self._task, about=f"{about}, {now - self._since:.0f} s", refresh=True)

    def advance(self) -> None:
        self._progress.advance(self._task)


@contextlib.contextmanager
def _bar(console: Console, total: int) -> Iterator[_Bar]:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[about]}", style="dim"),
    )
    with Progress(*columns, console=console, transient=True, auto_refresh=False) as progress:
        yield _Bar(progress, total)


if __name__ == "__main__":
    raise SystemExit(main())
