"""The table: what was measured, the peer's figure in the same run, how they compare, and the mark."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.table import Table
from rich.text import Text

from tests.bench.figures import Row

__all__ = ["amount", "comparison", "mark", "markdown", "table", "verdict"]

_HEADINGS = ("", "MEDIAN", "P99", "MIN", "MAX", "N", "PEER", "ITS FIGURE", "COMPARED", "MARK", "", "NOTE")


def amount(value: float, unit: str) -> str:
    """A figure with its unit, three digits or so."""
    match unit:
        case "s":
            return _seconds(value)
        case "B":
            return f"{value / 2**30:.2f} GiB" if abs(value) >= 2**30 else f"{value / 2**20:.1f} MiB"
        case "/s":
            return f"{value:,.0f}/s"
        case "%":
            return f"{value:.2f} %"
        case "x":
            return f"{value:.3f} x" if value < 0.1 else f"{value:.2f} x"
        case _:
            return f"{value:g} {unit}".rstrip()


def _seconds(value: float) -> str:
    size = abs(value)
    if size >= 1:
        return f"{value:.2f} s"
    if size >= 0.001:
        return f"{value * 1e3:.1f} ms"
    return f"{value * 1e6:.0f} µs"


def comparison(row: Row) -> str:
    """What the mark is about."""
    return amount(row.value, row.value_unit) if row.value is not None else ""


def mark(row: Row) -> str:
    """What has to be reached."""
    if row.limit is None:
        return ""
    return f"{'≥' if row.at_least else '≤'} {amount(row.limit, row.value_unit)}"


def verdict(row: Row) -> str:
    """In a word."""
    return {True: "met", False: "missed", None: ""}[row.met]


def table(rows: Sequence[Row]) -> Table:
    """For a terminal."""
    found = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 1))
    for number, heading in enumerate(_HEADINGS):
        text = number in (0, 6, 11)
        found.add_column(heading, justify="left" if text else "right", no_wrap=number != 11, overflow="fold")
    before = None
    for row in rows:
        if before is not None and before != row.part:
            found.add_section()
        before = row.part
        style = {True: "green", False: "bold red", None: "dim"}[row.met]
        found.add_row(*_figures(row), Text(verdict(row), style), Text(row.note, "dim"))
    return found


def markdown(rows: Sequence[Row]) -> str:
    """For docs/performance.md."""
    headings = ("what", "median", "p99", "peer", "its figure", "compared", "mark", "")
    lines = [_line(headings), _line(["---"] * len(headings))]
    for row in rows:
        name, median, p99, _, _, _, peer, figure, compared, limit = _figures(row)
        lines.append(_line((name, median or row.note, p99, peer, figure, compared, limit, verdict(row))))
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _figures(row: Row) -> tuple[str, ...]:
    spread = row.measured
    show: Callable[[float], str] = lambda value: amount(value, row.unit)  # noqa: E731
    if spread is None:
        figures = ("", "", "", "", "")
    elif spread.count == 1:
        figures = (show(spread.median), "", "", "", "")
    else:
        figures = (show(spread.median), show(spread.p99), show(spread.minimum), show(spread.maximum), str(spread.count))
    against = show(row.against) if row.against is not None else ""
    return (row.name, *figures, row.peer, against, comparison(row), mark(row))
