"""Events as lines of JSON: one an event, the same in files, in the HTTP API and at the command line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydantic_core

from emulator import text
from emulator.errors import ConfigurationError
from emulator.timeline import TimelineEvent

__all__ = ["Recording", "event_of", "read_recording", "recording_of", "to_line"]


@dataclass(frozen=True, slots=True)
class Recording:
    """What is known of a run.

    Attributes:
        name: how it is called to people.
        missing: how many events are not in it, by the gaps between their numbers.
        notes: what was wrong with it, in sentences.
    """

    name: str
    events: list[TimelineEvent]
    missing: int = 0
    notes: list[str] = field(default_factory=list)


def to_line(event: TimelineEvent) -> bytes:
    """An event as JSON, without a line's end."""
    members = event._asdict()
    try:
        return pydantic_core.to_json(members)
    except pydantic_core.PydanticSerializationError:  # half a surrogate pair, which a function may have said
        return text.to_json(members)


def event_of(members: Mapping[str, Any]) -> TimelineEvent:
    """The event that :func:`to_line` has written.

    Raises:
        ValueError: it is none.
    """
    event = TimelineEvent._make(members.get(name) for name in TimelineEvent._fields)
    numbers = isinstance(event.seq, int) and isinstance(event.at, int | float)
    words = isinstance(event.kind, str) and isinstance(event.reason, str)
    names = all(isinstance(name, str | None) for name in (event.function, event.environment, event.request_id))
    if not (numbers and words and names and isinstance(event.detail, Mapping | None)):
        raise ValueError("it is no event of a timeline")
    return event


def recording_of(name: str, events: Iterable[TimelineEvent]) -> Recording:
    """A recording of these events, in their order."""
    found = sorted(events, key=lambda event: event.seq)
    missing = found[-1].seq - len({event.seq for event in found}) if found else 0
    notes = [f"{name} misses {missing:,} of {found[-1].seq:,} events"] if missing else []
    return Recording(name, found, missing, notes)


def read_recording(path: Path) -> Recording:
    """The events of a file; of one that is still written to, or that broke off, all but the last line.

    Raises:
        ConfigurationError: it cannot be read, or is no timeline.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read: {error.strerror}", cure="lambda-freezer up --timeline FILE writes such a file."
        ) from error
    broken_off = lines.pop()
    events = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            events.append(event_of(json.loads(line)))
        except (ValueError, TypeError, AttributeError) as error:
            raise ConfigurationError(
                f"{path}, line {number} is no event of a timeline: {error}",
                cure="Such a file comes from lambda-freezer up --timeline FILE, or from timeline --json.",
            ) from error
    recording = recording_of(path.name, events)
    if broken_off:
        recording.notes.append(f"{path.name} breaks off in the middle of its last line")
    return recording
