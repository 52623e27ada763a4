"""What a session of the database does, and what becomes of it, as a sentence. Pure but for its colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from emulator.screen import connections_summary, plain_table, state_text, visible
from emulator.spans import in_words

__all__ = ["session_sentence", "sessions_list"]

_LONGEST_STATEMENT = 60


def sessions_list(
    sessions: Sequence[Mapping[str, Any]], summary: Mapping[str, Any], none: str = "No sessions of functions."
) -> RenderableType:
    """A sentence for each session, and the counts of all below."""
    counts = connections_summary(summary)
    if not sessions:
        return Group(Text(none, "dim"), counts)
    table = plain_table("SESSION", "FUNCTION", "WHAT IT DOES, AND WHAT BECOMES OF IT")
    table.columns[0].justify = "right"
    table.columns[0].no_wrap = True
    for session in sessions:
        function = Text(visible(session["function"])) if session["function"] else Text("not a function", "dim")
        table.add_row(str(session["id"]), function, session_sentence(session, summary["max_connections"]))
    return Group(table, Text(), counts)


def session_sentence(session: Mapping[str, Any], max_connections: int) -> Text:
    """One session as the inspection API shows it, with the limit that its slot counts against."""
    parts = [_doing(session)]
    if session["locked_rows"]:
        rows = "1 row" if session["locked_rows"] == 1 else f"{session['locked_rows']:,} rows"
        parts.append(Text(f"a transaction of it locks {rows}", "yellow"))
    elif session["locked_rows"] is not None:
        parts.append(Text("a transaction of it is open", "yellow"))
    if session["drops_in"] is not None:
        parts.append(_end(session))
    parts.append(Text(f"its slot counts against {max_connections:,}", "dim"))
    return Text("; ").join(parts)


def _doing(session: Mapping[str, Any]) -> Text:
    span = in_words(max(0.0, session["seconds"]))
    doing = Text(f"asleep {span}")
    if session["command"] != "Sleep":
        doing = Text.assemble(("at work", "bold green"), f" for {span}")
    if session["environment"] is None:
        doing.append(", of no environment: " + visible(f"{session['user']}, from {session['client_address']}"))
    else:
        doing.append(" in environment ").append(session["environment"][:4], "bold")
        if session["zombie"]:
            doing.append(", which is gone: ").append("✝ a zombie", "bold red")
        else:
            doing.append(", ").append_text(state_text(session["environment_state"]))
    if session["statement"]:
        doing.append(f": {_short(session['statement'])}")
    return doing


def _end(session: Mapping[str, Any]) -> Text:
    if session["drops_in"] <= 0:
        return Text("MySQL drops it any moment")
    if session["zombie"]:
        return Text(f"MySQL does not know, and drops it in {in_words(session['drops_in'])}")
    return Text(f"MySQL drops it in {in_words(session['drops_in'])}")


def _short(statement: str) -> str:
    shown = visible(" ".join(statement.split()))
    return shown if len(shown) <= _LONGEST_STATEMENT else f"{shown[: _LONGEST_STATEMENT - 1]}…"
