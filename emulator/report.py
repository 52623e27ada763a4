"""A run as one file: the dashboard's own views with the run in them, and what it shows in sentences."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from emulator.client import Client
from emulator.errors import ConfigurationError, EmulatorError
from emulator.pages import one_page
from emulator.verdicts import Event, verdicts_of

__all__ = ["Run", "make_report", "read_run", "run_of", "write_report"]

_PAGE = 10_000  # events
_LOG_LINES = 5_000  # of each function
_WORDS = ("kind", "function", "environment", "request_id", "reason")


@dataclass(slots=True)
class Run:
    """What a report is made of.

    Attributes:
        events: as the inspection API has them, oldest first.
        until: the moment at which it was looked at, in seconds since the epoch on the emulator's clock.
        status: how the emulator ran; ``None`` where only the timeline is known, as for the next two.
        connections: the server's sessions at that moment.
        summary: their counts and limits.
        functions: that were deployed, whether or not they ran.
        logs: what each environment wrote, by its id.
    """

    events: Sequence[Event]
    until: float
    status: Mapping[str, Any] | None = None
    connections: Sequence[Mapping[str, Any]] | None = None
    summary: Mapping[str, Any] | None = None
    functions: Sequence[str] = ()
    logs: Mapping[str, str] = field(default_factory=dict)


def run_of(client: Client) -> Run:
    """What a running emulator has to tell.

    Raises:
        NotRunningError: none answers.
    """
    events: list[Event] = []
    more, last, now = True, 0, 0.0
    while more:
        page = client.get(f"/_emulator/api/timeline?since={last}&limit={_PAGE}")
        events += page["events"]
        more, last, now = page["more"], page["last"], page["now"]
    status = client.get("/_emulator/api/status")
    functions = [each["function"] for each in client.get("/_emulator/api/concurrency")["functions"]]
    sessions = {"connections": None, "summary": None}
    if status["database"] is not None:
        sessions = client.get("/_emulator/api/connections")
    return Run(events, now, status, sessions["connections"], sessions["summary"], functions, _logs(client, functions))


def read_run(path: Path) -> Run:
    """A run whose timeline was kept in a file: a line of JSON for each event.

    Raises:
        ConfigurationError: it cannot be read, or is no timeline.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read: {error.strerror}", cure="--timeline names a file with a line of JSON an event."
        ) from error
    broken_off = lines.pop()  # what an emulator was just writing, or nothing
    events = [_event(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not events:
        what = "breaks off in its first line" if broken_off.strip() else "is empty"
        raise ConfigurationError(f"{path} {what}", cure="A report needs at least one event.")
    events.sort(key=lambda event: int(event["seq"]))
    functions = dict.fromkeys(event["function"] for event in events if event["function"])
    return Run(events, max(event["at"] for event in events), functions=list(functions))


def make_report(run: Run) -> str:
    """The page."""
    limit = run.summary["max_connections"] if run.summary is not None else None
    begin = run.events[0]["at"] if run.events else run.until
    when = datetime.fromtimestamp(begin).astimezone().strftime("%Y-%m-%d %H:%M %Z")
    return one_page(
        {
            "title": f"{when} · {len(run.events):,} events",
            "until": run.until,
            "status": run.status,
            "connections": run.connections,
            "summary": run.summary,
            "functions": run.functions,
            "logs": run.logs,
            "verdicts": [asdict(verdict) for verdict in verdicts_of(run.events, limit)],
            **_packed(run.events),
        }
    )


def write_report(run: Run, path: Path) -> None:
    """Make it and write it.

    Raises:
        EmulatorError: the file cannot be written.
    """
    try:
        path.write_text(make_report(run), encoding="utf-8")
    except OSError as error:
        raise EmulatorError(
            f"{path} cannot be written: {error.strerror}", cure="Name another file with --out."
        ) from error


# -- reading ---------------------------------------------------------------------------------------------------


def _logs(client: Client, functions: Iterable[str]) -> dict[str, str]:
    written: dict[str, list[str]] = {}
    for name in functions:
        path = f"/_emulator/api/functions/{name}/logs?format=json&tail={_LOG_LINES}"
        for line in b"".join(client.stream(path)).splitlines():
            told = json.loads(line)
            written.setdefault(told["environment"], []).append(told["line"])
    return {environment: "\n".join(lines) + "\n" for environment, lines in written.items()}


def _event(path: Path, number: int, line: str) -> Event:
    try:
        found = json.loads(line)
        event = {name: found.get(name) for name in ("seq", "at", *_WORDS, "detail")}
    except (ValueError, AttributeError):
        event = {}
    words = all(isinstance(event.get(name), str | None) for name in _WORDS)
    if not (isinstance(event.get("seq"), int) and isinstance(event.get("at"), int | float) and event["kind"] and words):
        raise ConfigurationError(
            f"{path}, line {number} is no event of a timeline", cure="Every line is one event, as JSON."
        )
    return event


def _packed(events: Iterable[Event]) -> dict[str, Any]:
    """Each word once: a long run has few kinds, functions and reasons, and says them again and again."""
    numbers: dict[str, int] = {}

    def number(word: str | None) -> int | None:
        return None if word is None else numbers.setdefault(word, len(numbers))

    rows = [
        [event["seq"], round(event["at"], 6), *(number(event[name]) for name in _WORDS), event["detail"]]
        for event in events
    ]
    return {"strings": list(numbers), "events": rows}
