"""How blocks look: text, code, tables and bars, within 80 columns. Colour never carries a meaning alone."""

from __future__ import annotations

from dataclasses import asdict

from rich.console import Group, RenderableType
from rich.table import Table as Grid
from rich.text import Text

from emulator import screen
from emulator.lessons.blocks import (
    Ask,
    Bar,
    Bars,
    Block,
    Check,
    Code,
    Live,
    Reveal,
    Say,
    Screen,
    Sessions,
    Step,
    Table,
    letter,
    segments,
)
from emulator.lessons.stage import CODE
from emulator.spans import in_words

__all__ = ["CONTENT_WIDTH", "drawn", "source_of", "styled"]

CONTENT_WIDTH = 74
"""Columns; what is left of 80 is margin."""

_BAR_WIDTH = 40
_MOST_ROWS = 6
_LIVING, _ZOMBIE, _MISSING, _LINE = "█", "░", "×", "┆"


def styled(text: str, style: str = "") -> Text:
    """A text with its measured figures standing out."""
    made = Text(style=style)
    for segment in segments(text):
        made.append(segment.text, "bold cyan" if segment.measured else "bold" if segment.given else "")
    return made


def source_of(code: Code) -> list[str]:
    """The lines to show of a file of a function; between two parts one line is empty, not two."""
    text = (CODE / code.path).read_text(encoding="utf-8").rstrip("\n")
    lines = text.replace("\n\n\n", "\n\n").split("\n")
    lines = lines[next(number for number, line in enumerate(lines) if code.since in line) :]
    if code.until:
        lines = lines[: next(number for number, line in enumerate(lines) if code.until in line)]
    return lines if lines[-1] else lines[:-1]


def drawn(block: Block) -> RenderableType:
    """A block as it is printed. Of a question the choices; whoever shows it adds how to answer."""
    match block:
        case Screen():
            return styled(block.title, "bold")
        case Say():
            return styled(block.text)
        case Step():
            return _behind("→", "bold cyan", block.text)
        case Check():
            return _behind("✓", "bold green", block.claim)
        case Code():
            return _code(block)
        case Table():
            return _table(block)
        case Sessions():
            return _sessions(block)
        case Bars():
            return _bars(block)
        case Ask():
            return _question(block)
        case Reveal():
            return styled(block.text)
        case Live():
            return drawn(block.picture())


def _behind(sign: str, style: str, text: str) -> RenderableType:
    grid = Grid.grid(padding=(0, 1, 0, 0))
    grid.add_row(Text(sign, style), styled(text))
    return grid


def _code(block: Code) -> RenderableType:
    """A sign before a line to look at, for those who see no bold."""
    lines = []
    for line in source_of(block):
        marked = any(piece in line for piece in block.mark)
        style = "bold" if marked else "dim" if line.lstrip().startswith(("#", '"""')) else ""
        lines.append(Text.assemble(("▸ " if marked else "  ", "bold yellow"), (line, style)))
    return Group(*lines)


def _question(block: Ask) -> RenderableType:
    grid = Grid.grid(padding=(0, 2, 0, 0))
    for number, choice in enumerate(block.choices):
        grid.add_row(Text(letter(number), "bold yellow"), Text(choice))
    return Group(styled(block.text, "bold"), Text(), grid)


def _table(block: Table) -> RenderableType:
    table = screen.plain_table(*block.headings)
    for column in block.numbers:
        table.columns[column].justify = "right"
    for row in block.rows:
        table.add_row(*row)
    return table


def _sessions(block: Sessions) -> RenderableType:
    if not block.sessions:
        return Text("the server holds no sessions of functions", "dim")
    table = screen.plain_table("SESSION", "COMMAND", "FUNCTION", "ENVIRONMENT", "", "DROPPED IN")
    table.columns[0].justify = table.columns[5].justify = "right"
    for session in block.sessions[:_MOST_ROWS]:
        table.add_row(
            str(session.id),
            Text(session.command, "" if session.command == "Sleep" else "bold green"),
            session.function or "–",
            (session.environment or "–")[:8],
            screen.environment_of(asdict(session)),
            "–" if session.drops_in is None else in_words(session.drops_in),
        )
    more = len(block.sessions) - _MOST_ROWS
    parts: list[RenderableType] = [table]
    if more > 0:
        parts.append(Text(f"… and {more} more", "dim"))
    if block.limit is not None:
        parts.append(Text(f"{len(block.sessions)} of {block.limit} connections taken", "bold"))
    return Group(*parts)


def _bars(block: Bars) -> RenderableType:
    most = max([bar.living + bar.zombies + bar.missing for bar in block.bars] + [block.limit or 0, 1e-9])
    figures = [_figure(bar) for bar in block.bars]
    # Two gaps of two, and the line of the limit.
    taken = max(len(bar.label) for bar in block.bars) + max(len(figure) for figure in figures) + 5
    width = min(_BAR_WIDTH, CONTENT_WIDTH - taken)
    grid = Grid.grid(padding=(0, 2, 0, 0))
    grid.add_column(justify="right")
    for bar, figure in zip(block.bars, figures, strict=True):
        grid.add_row(Text(bar.label), _bar(bar, width / most, width, block.limit), figure)
    legend = _legend(block)
    return Group(grid, Text(), legend) if legend else grid


def _bar(bar: Bar, scale: float, width: int, limit: int | None) -> Text:
    signs = _signs(bar, scale, width)
    line = Text(signs.ljust(width + 1))
    for sign, style in ((_LIVING, "green"), (_ZOMBIE, "red"), (_MISSING, "bold red")):
        start = signs.find(sign)
        if start >= 0:
            line.stylize(style, start, signs.rfind(sign) + 1)
    if limit is not None:
        place = round(limit * scale)
        line = Text.assemble(line[:place], (_LINE, "yellow"), line[place + 1 :])
    return line


def _signs(bar: Bar, scale: float, width: int) -> str:
    """The bar without colours; what there is, is seen, however little it is."""
    made, so_far = "", 0.0
    for sign, amount in ((_LIVING, bar.living), (_ZOMBIE, bar.zombies), (_MISSING, bar.missing)):
        so_far += amount
        made += sign * (max(1, round(so_far * scale) - len(made)) if amount else 0)
    return made[:width]


def _figure(bar: Bar) -> Text:
    if bar.figure:
        return Text(bar.figure, "bold cyan")
    missing = (f" + {bar.missing} missing", "bold red") if bar.missing else ""
    return Text.assemble((f"{bar.living + bar.zombies:.0f}", "bold cyan"), missing)


def _legend(block: Bars) -> Text | None:
    if all(bar.figure for bar in block.bars):
        return None
    parts: list[Text | str | tuple[str, str]] = [(_LIVING, "green"), f" {block.counts}   "]
    if any(bar.zombies for bar in block.bars):
        parts += [(_ZOMBIE, "red"), " zombie   "]
    if any(bar.missing for bar in block.bars):
        parts += [(_MISSING, "bold red"), " missing   "]
    if block.limit is not None:
        parts += [(_LINE, "yellow"), f" {block.limit}"]
    return Text.assemble(*parts, style="dim")
