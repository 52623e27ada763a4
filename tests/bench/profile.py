"""Where the time of a warm invocation of a process sandbox goes: `./dev bench --profile`.

First with a clock at the control plane's seams, a microsecond or so each; the stamps of client and server are of one
clock, so that one table has the whole way. Then with Python's profiler, which makes all calls slower: its shares
tell, not its times.
"""

from __future__ import annotations

import io
import json
import os
import pstats
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from tests.bench.client import RawClient, busy_pause
from tests.bench.figures import Spread
from tests.bench.product import echo_settings, product
from tests.bench.rounds import PAUSE
from tests.bench.stages import SENT, Way, typical_way
from tests.bench.table import amount

__all__ = ["profile"]

_COMMAND = ("-m", "tests.bench.profiled")
_LINES = 45


def profile(console: Console, *, quick: bool) -> Group:
    """Three runs: as it is, with clocks, with the profiler."""
    count = 500 if quick else 2000
    console.print("as it is", style="dim")
    with product(echo_settings()) as ours, RawClient(ours.door()) as client:
        plain = Spread.of([span for _, span in _invocations(client, count)])
    console.print("with clocks", style="dim")
    with _results() as file:
        with product(echo_settings(), command=_COMMAND) as ours, RawClient(ours.door()) as client:
            spans = _invocations(client, count)
        content = json.loads(file.read_text())
    way = typical_way([begin for begin, _ in spans], [(moment, name) for moment, name in content["stamps"]])
    console.print("with the profiler", style="dim")
    shares = _shares(count)
    clocked = Spread.of([span for _, span in spans])
    as_it_is = f"{amount(plain.median, 's')} p50, {amount(plain.p99, 's')} p99 as it is"
    notes = [
        f"{as_it_is}; {amount(clocked.median, 's')} p50 with the clocks.",
        f"{way.share:.0%} of the invocations took this way; 'took' is since the line above.",
        *(f"not in this build: {seam}" for seam in content["absent"]),
    ]
    return Group(_table(way), Text("\n".join(notes), "dim"), Text(shares))


def _table(way: Way) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False)
    for heading in ("TOOK µs", "SINCE SENT µs", "MOMENT"):
        table.add_column(heading, justify="left" if heading == "MOMENT" else "right")
    depth = 0
    for stage in way.stages:
        depth -= stage.name.startswith("←")
        style = "bold" if stage.name == SENT or stage.took >= 10 else ""
        table.add_row(f"{stage.took:.1f}", f"{stage.since_sent:.1f}", Text("  " * max(0, depth) + stage.name, style))
        depth += stage.name.startswith("→")
    return table


def _shares(count: int) -> str:
    """What the profiler has to say of so many invocations."""
    with _results() as file:
        os.environ["LAMBDA_FREEZER_PROFILER"] = "1"
        try:
            with product(echo_settings(), command=_COMMAND) as ours, RawClient(ours.door()) as client:
                _invocations(client, 50)
                os.kill(ours.process.pid, signal.SIGUSR1)
                _invocations(client, count)
                os.kill(ours.process.pid, signal.SIGUSR2)
                client.invoke()
        finally:
            del os.environ["LAMBDA_FREEZER_PROFILER"]
        text = io.StringIO()
        statistics = pstats.Stats(str(file), stream=text)
        statistics.strip_dirs().sort_stats("tottime").print_stats(_LINES)
    return f"\nPython's profiler, {count:,} invocations:\n{text.getvalue().partition('Ordered by')[2]}"


@contextmanager
def _results() -> Iterator[Path]:
    """The file that the product is to write, by its environment, which is ours."""
    with tempfile.TemporaryDirectory(prefix="lambda-freezer-bench-") as folder:
        file = Path(folder) / "profile"
        os.environ["LAMBDA_FREEZER_PROFILE"] = str(file)
        try:
            yield file
        finally:
            del os.environ["LAMBDA_FREEZER_PROFILE"]


def _invocations(client: RawClient, count: int) -> list[tuple[int, float]]:
    """When each was sent, in nanoseconds, and how long it took, in seconds."""
    for _ in range(50):
        client.invoke()
        busy_pause(PAUSE)
    found = []
    for _ in range(count):
        begin = time.perf_counter_ns()
        found.append((begin, client.invoke()))
        busy_pause(PAUSE)
    return found


if __name__ == "__main__":
    sys.exit("It is a part of the bench: ./dev bench --profile")
