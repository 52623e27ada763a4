"""What the report of a failed test is given along: the log of its functions, and its timeline. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from emulator.timeline import TimelineEvent

__all__ = ["log_section", "timeline_section"]

_LINES = 60
_EVENTS = 50
_ON_THE_WAY = frozenset({"environment.thawing", "environment.freezing", "environment.idle"})
"""States that say little beside those next to them, unless there is a reason."""
_USUAL = "an event came"


def log_section(pieces: Iterable[tuple[str, bytes]], *, lines: int = _LINES) -> str:
    """The last lines that functions have written, each behind the name of its function.

    Arguments:
        pieces: name, and whole lines.
    """
    told = [
        f"{name} | {line.rstrip()}"
        for name, piece in pieces
        for line in piece.decode("utf-8", "replace").splitlines()
        if line.strip()
    ]
    return _end_of(told, lines)


def timeline_section(events: Sequence[TimelineEvent], *, limit: int = _EVENTS) -> str:
    """The last events, each with the time since the first one."""
    shown = [event for event in events if event.kind not in _ON_THE_WAY or event.reason not in ("", _USUAL)]
    begin = events[0].at if events else 0.0
    return _end_of([_event(event, begin) for event in shown], limit)


def _event(event: TimelineEvent, begin: float) -> str:
    who = " ".join(part for part in (event.function, event.environment and event.environment[:8]) if part)
    request = f"request {event.request_id[:8]}" if event.request_id is not None else ""
    words = [f"+{event.at - begin:9.3f} s", f"{event.kind:<26}", who, request, event.reason]
    return " ".join(word for word in words if word)


def _end_of(lines: Sequence[str], limit: int) -> str:
    left_out = len(lines) - limit
    head = [f"({left_out} earlier lines are left out)"] if left_out > 0 else []
    return "\n".join([*head, *lines[-limit:]])
