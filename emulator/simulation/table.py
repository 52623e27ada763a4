"""How the policies compare, in a terminal: one column each. Colour never carries a meaning alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from emulator.simulation.results import Result
from emulator.spans import in_words

__all__ = ["comparison"]

_WIDTH = 56  # what 80 columns leave for the figures
_ABREAST = 4
_BARS = " ▁▂▃▄▅▆▇█"
_TREND = 12  # characters


def comparison(source: str, results: Sequence[Result], assumptions: Sequence[str]) -> RenderableType:
    """Everything that is told: the workload, the figures, and what they rest on."""
    first = results[0]
    parts: list[RenderableType] = [
        Text.assemble((f"{first.events:,} events", "bold"), f" · {in_words(first.seconds)} · ", (source, "dim")),
    ]
    widest = max(_TREND, *(len(part) for result in results for part in result.policy.split(",")))
    abreast = max(1, min(_ABREAST, _WIDTH // (widest + 2)))
    for begin in range(0, len(results), abreast):
        parts += [Text(), _table(results[begin : begin + abreast], _scale(results))]
    parts.append(Text())
    parts += [Text.assemble((f"{result.policy}: ", "bold"), _described(result)) for result in results]
    parts += [Text(f"! {result.policy}: {note}", "yellow") for result in results for note in result.notes]
    parts += [Text(), Text("It assumes:", "bold")]
    bullets = Table.grid(padding=(0, 1))
    for assumption in assumptions:
        bullets.add_row(Text("·", "dim"), Text(assumption, "dim"))
    parts.append(bullets)
    return Group(*parts)


def _table(results: Sequence[Result], scale: int) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold cyan")
    table.add_column(no_wrap=True)
    for result in results:
        table.add_column(result.policy.replace(",", "\n"), justify="right", overflow="fold")
    limit = f"{results[0].max_connections:,}"

    def section(name: str) -> None:
        table.add_row(Text(name, "bold"))

    def row(name: str, cell: Callable[[Result], Text | str]) -> None:
        table.add_row(Text(f"  {name}", "dim"), *(cell(result) for result in results))

    section("events")
    row("cold starts", lambda r: f"{r.cold_starts:,}")
    row("cold-start rate", lambda r: Text(_percent(r.cold_start_rate), "bold"))
    row("refused, 429", lambda r: _trouble(r.refused))
    section("environments")
    row("most", lambda r: f"{r.peak_environments:,}")
    row("average", lambda r: f"{r.mean_environments:,.1f}")
    row("average idle", lambda r: f"{r.mean_idle:,.1f}")
    row("recycled", lambda r: f"{r.recycled:,}")
    section(f"connections, of {limit}")
    row("most", _peak)
    row("average", lambda r: f"{r.mean_connections:,.1f}")
    row("most idle", lambda r: f"{r.peak_idle_connections:,}")
    row("average idle", lambda r: f"{r.mean_idle_connections:,.1f}")
    row("most zombies", lambda r: f"{r.peak_zombies:,}")
    row("average zombies", lambda r: f"{r.mean_zombies:,.1f}")
    row("wasted on both", lambda r: _percent(r.wasted))
    row(f"time above {limit}", lambda r: _trouble(r.share_above, _percent))
    row("refused, 1040", lambda r: _trouble(r.refused_connects))
    row(f"over time, █ {scale:,}", lambda r: Text(_trend(r.over_time.most, scale), "cyan"))
    return table


def _described(result: Result) -> Text:
    return Text(f"{', '.join(result.rules) or 'no rules'}; connections end {result.reclaim}", "dim")


def _peak(result: Result) -> Text:
    over = result.peak_connections > result.max_connections
    return Text(
        f"✗ {result.peak_connections:,}" if over else f"✓ {result.peak_connections:,}", "red" if over else "green"
    )


def _trouble(count: float, words: Callable[[float], str] = lambda count: f"{count:,.0f}") -> Text:
    return Text(words(count), "bold red") if count else Text("–", "dim")


def _percent(share: float) -> str:
    percent = share * 100
    if 0 < percent < 0.01:
        return "< 0.01 %"
    return f"{percent:.2f} %" if percent < 10 else f"{percent:.1f} %"


def _scale(results: Sequence[Result]) -> int:
    """What a full bar stands for: the highest of all of them."""
    return max(1, *(result.peak_connections for result in results))


def _trend(column: Sequence[float], scale: float) -> str:
    """A bar for each twelfth of the time, as high as the most in it."""
    length = max(1, -(-len(column) // _TREND))
    highest = [max(column[begin : begin + length]) for begin in range(0, len(column), length)]
    return "".join(_BARS[-(-int(value * (len(_BARS) - 1)) // int(scale))] for value in highest)
