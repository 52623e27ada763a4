"""A timeline in the trace format of Chrome, which Perfetto (ui.perfetto.dev) and chrome://tracing show. Pure.

A process stands for each function, with a track for each environment: its states are slices, and an invocation is a
slice inside the state in which it ran. Sessions of the database are asynchronous slices of the function that opened
them, and how many there are is a counter.

[D] The format: "Trace Event Format" of the Chromium project; moments and lengths are microseconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from emulator.chronicle.lives import Chronicle, EnvironmentLife, InvocationLife, SessionLife

__all__ = ["trace_of"]

_Entry = dict[str, Any]
_DATABASE = 1  # the process that carries the counter; functions come after it


def trace_of(chronicle: Chronicle) -> dict[str, Any]:
    """The trace, ready to be written as JSON."""
    return {"displayTimeUnit": "ms", "traceEvents": list(_Writer(chronicle).entries())}


class _Writer:
    def __init__(self, chronicle: Chronicle) -> None:
        self._chronicle = chronicle
        self._processes: dict[str | None, int] = {}
        self._tracks: dict[str, int] = {}

    def entries(self) -> Iterator[_Entry]:
        chronicle = self._chronicle
        yield _name("process", "database", _DATABASE)
        for life in chronicle.environments.values():
            yield from self._environment(life)
        for invocation in chronicle.invocations:
            yield from self._invocation(invocation)
        for number, session in enumerate(chronicle.sessions, start=1):
            yield from self._session(session, f"session-{number}")
        for moment, opened, zombies in chronicle.levels():
            args = {"in use": opened - zombies, "zombies": zombies}
            yield {"ph": "C", "name": "connections", "pid": _DATABASE, "ts": self._at(moment), "args": args}

    def _environment(self, life: EnvironmentLife) -> Iterator[_Entry]:
        yield from self._process(life.function)
        process = self._processes[life.function]
        track = self._tracks[life.id] = len(self._tracks) + 1
        yield _name("thread", life.id[:8], process, track)
        for stay in life.stays:
            if stay.state == "gone":
                continue
            args = {"reason": stay.reason} if stay.reason else {}
            yield self._slice(stay.state, "environment", process, track, stay.begin, stay.end, args)

    def _invocation(self, invocation: InvocationLife) -> Iterator[_Entry]:
        track = self._tracks.get(invocation.environment or "")
        if track is None:
            return
        process = self._processes[self._chronicle.environments[invocation.environment or ""].function]
        told = {
            "request": invocation.request_id,
            "duration_ms": invocation.duration_ms,
            "error": invocation.error,
            "answered_after_ms": round((invocation.answered - invocation.begin) * 1000, 3)
            if invocation.answered is not None
            else None,
        }
        args = {name: value for name, value in told.items() if value is not None}
        title = f"invocation {invocation.request_id[:8]}"
        yield self._slice(title, "invocation", process, track, invocation.begin, invocation.end, args)

    def _session(self, session: SessionLife, number: str) -> Iterator[_Entry]:
        yield from self._process(session.function)
        owner = (session.environment or "")[:8] or "unknown"
        title = f"session {session.session}" if session.session is not None else f"connection {session.address}"
        shared: _Entry = {"name": f"{title} of {owner}", "cat": "session", "id": number}
        shared |= {"pid": self._processes[session.function], "tid": self._tracks.get(session.environment or "", 0)}
        args = {"client": session.address, "environment": session.environment}
        yield shared | {"ph": "b", "ts": self._at(session.opened), "args": args}
        for what, moment in (("stale", session.stale_since), ("zombie", session.zombie_since)):
            if moment is not None:
                yield shared | {"ph": "n", "name": what, "ts": self._at(moment)}
        closed = session.closed if session.closed is not None else self._chronicle.end
        end = {"end": session.end or "it was still open when the timeline ended"}
        yield shared | {"ph": "e", "ts": self._at(closed), "args": end}

    def _process(self, function: str | None) -> Iterator[_Entry]:
        if function not in self._processes:
            self._processes[function] = _DATABASE + 1 + len(self._processes)
            yield _name("process", function or "not a function", self._processes[function])

    def _slice(
        self, name: str, category: str, process: int, track: int, begin: float, end: float, args: dict[str, Any]
    ) -> _Entry:
        place = {"pid": process, "tid": track}
        # Both ends are rounded, not the length: so that what touches still touches, and what is inside stays inside.
        begin, end = self._at(begin), self._at(end)
        span = {"ts": begin, "dur": round(end - begin, 3)}
        return {"ph": "X", "name": name, "cat": category, **place, **span, "args": args}

    def _at(self, moment: float) -> float:
        return round((moment - self._chronicle.begin) * 1e6, 3)


def _name(what: str, name: str, process: int, track: int = 0) -> _Entry:
    return {"ph": "M", "name": f"{what}_name", "pid": process, "tid": track, "args": {"name": name}}
