"""How a timeline looks in a terminal: a line an event, and what changed between two. Colour never carries a meaning
alone."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from emulator.chronicle.comparison import Comparison
from emulator.screen import STATES, plain_table, visible
from emulator.spans import in_words
from emulator.timeline import TimelineEvent

__all__ = ["comparison_table", "event_line", "lost_line", "words_of"]

# By kind, or by what follows a kind's full stop: a sign and a style.
_SIGNS: dict[str, tuple[str, str]] = {
    **{f"environment.{state}": look for state, look in STATES.items()},
    "environment.shutdown": ("◐", "magenta"),
    "invocation.answered": ("←", "green"),
    "invocation.finished": ("✓", "green"),
    "connection.opened": ("┣", "cyan"),
    "connection.used": ("·", "cyan"),
    "connection.stale": ("≈", "yellow"),
    "connection.broken": ("✗", "bold red"),
    "connection.closed": ("┻", "cyan"),
    "session.opened": ("+", "cyan"),
    "session.closed": ("-", "cyan"),
    "database.reachable": ("✓", "green"),
    "database.unreachable": ("✗", "bold red"),
    "zombie": ("✝", "bold red"),
    "failed": ("✗", "bold red"),
    "refused": ("✗", "bold red"),
    "throttled": ("✗", "bold yellow"),
    "trouble": ("!", "bold red"),
}
_PLAIN = ("·", "")
_ENVIRONMENTS = ("cyan", "magenta", "yellow", "green", "bright_cyan", "bright_magenta", "bright_yellow", "bright_blue")
_KIND_WIDTH = 25  # environment.shutting-down
_FUNCTION_WIDTH = 16
_NARROW = 100  # columns; below that the function's name is left out


def event_line(event: TimelineEvent, width: int | None = None) -> Text:
    """One event as a line.

    Arguments:
        width: columns that there are; a longer line is cut, with a sign. ``None``: however long it gets.
    """
    detail = event.detail or {}
    sign, style = _look(event)
    line = Text.assemble((_clock(event.at), "dim"), "  ")
    line.append(f"{sign} ", style)
    family, stop, what = visible(event.kind).partition(".")
    line.append(family + stop, "dim").append(what.ljust(_KIND_WIDTH - len(family + stop)), style)
    line.append("  ")
    short = visible((event.environment or "")[:4])
    line.append(short.ljust(4) if short else "   –", _colour_of(event.environment) if short else "dim")
    if width is None or width >= _NARROW:
        line.append("  ").append(_fitted(event.function or "", _FUNCTION_WIDTH))
    told, circumstances = words_of(event)
    line.append("  ").append(told, "red" if "error" in detail else "")
    line.append(f"{', ' if told and circumstances else ''}{circumstances}", "dim")
    line.rstrip()
    if width is not None:
        line.truncate(width, overflow="ellipsis")
    line.no_wrap = True
    return line


def words_of(event: TimelineEvent) -> tuple[str, str]:
    """Why it happened, or what came of it; and the circumstances: whose request it was, what session."""
    detail, request = event.detail or {}, event.request_id
    reason = event.reason.replace("\n", "; ")
    told = [reason.replace(request, request[:8]) if request else reason] if reason else []
    if event.kind == "invocation.finished":
        told += _of_invocation(detail)
    elif event.kind == "emulator.started":
        told.append(f"version {detail.get('version')}, run {detail.get('run')}")
    elif isinstance(lag := detail.get("lag_ms"), int | float):
        told.append(f"stood still after {_span(lag)}")
    circumstances = []
    if request is not None and request not in reason:
        circumstances.append(f"request {request[:8]}")
    if isinstance(source := detail.get("source"), list | tuple) and len(source) == 2:
        circumstances.append(f"from {source[0]}:{source[1]}")
    elif "session" in detail:
        circumstances.append(f"session {detail['session']} of {detail.get('user')}, from {detail.get('client')}")
    return visible(", ".join(told)), visible(", ".join(circumstances))


def lost_line(first: int, last: int) -> Text:
    """What is said in place of events that came too fast."""
    count = last - first + 1
    return Text(f"{count:,} events are missing here ({first:,} to {last:,}): they are not kept any more", "yellow")


def comparison_table(comparison: Comparison) -> RenderableType:
    """Two runs beside each other, and the difference in words."""
    table = plain_table("", visible(comparison.before), visible(comparison.after), "")
    for column in (1, 2):
        table.columns[column].justify = "right"
    for change in comparison.changes:
        if not (change.before or change.after):
            continue
        sign = "▼ " if change.difference < 0 else "▲ " if change.difference else "  "
        style = "dim" if not change.difference else {True: "green", False: "bold red", None: ""}[change.better]
        words = change.words if change.better is None else f"{change.words}, {'better' if change.better else 'worse'}"
        table.add_row(change.name, f"{change.before:,}", f"{change.after:,}", Text(sign + words, style))
    lines: list[RenderableType] = [table, Text(), Text(f"→ {comparison.summary}", "bold")]
    lines += [Text(f"! {visible(note)}", "yellow") for note in comparison.notes]
    return Group(*lines)


def _look(event: TimelineEvent) -> tuple[str, str]:
    if event.kind == "invocation.finished" and event.detail is not None and "error" in event.detail:
        return "✗", "bold red"
    return _SIGNS.get(event.kind) or _SIGNS.get(event.kind.rpartition(".")[2]) or _PLAIN


def _of_invocation(detail: Mapping[str, Any]) -> list[str]:
    told = []
    if "error" in detail:
        told.append(f"{detail.get('status', 'error')}: {detail['error']}")
    if isinstance(duration := detail.get("duration_ms"), int | float):
        told.append(f"took {_span(duration)}")
    if isinstance(init := detail.get("init_ms"), int | float):
        told.append(f"after an init of {_span(init)}")
    return told


def _span(milliseconds: float) -> str:
    if milliseconds < 1:
        return f"{milliseconds * 1000:.0f} µs"
    return f"{milliseconds:.3g} ms" if milliseconds < 1000 else in_words(milliseconds / 1000)


def _clock(at: float) -> str:
    return f"{time.strftime('%H:%M:%S', time.localtime(at))}.{int(at % 1 * 1000):03d}"


def _colour_of(environment: str | None) -> str:
    """The same for all of its lines, so that the eye can follow one of them."""
    return _ENVIRONMENTS[sum((environment or "").encode()) % len(_ENVIRONMENTS)]


def _fitted(name: str, width: int) -> str:
    shown = visible(name)
    return shown.ljust(width) if len(shown) <= width else f"{shown[: width - 1]}…"
