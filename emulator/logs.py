"""The log stream of one environment: Lambda's own lines and what its processes write, in one order.

What processes write is passed on in blocks of whole lines, as many as came at once: a function that prints ten
megabytes a second costs little. Only who filters by level, or subscribes to telemetry, has each line looked at.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from emulator.model import Function
from emulator.platform_events import LogEvent, PlatformEvent, json_line

__all__ = ["LogFile", "LogSink", "LogStream"]

LogSink = Callable[[str, str, bytes], None]
"""Gets function name, environment id and whole lines, one or more in one piece. One that raises is not called again."""

LogFile = Callable[[bytes], None]
"""Gets the same lines; it has its own way with what cannot be written."""

_KEPT = 1 << 20  # bytes of one invocation; beyond that the oldest go, as in the 4 KB tail that clients ask for
_LONGEST = 1 << 24  # bytes of a line; what never ends would fill the memory (AWS cuts far shorter ones)
_RANKS = {"TRACE": 0, "DEBUG": 1, "INFO": 2, "WARN": 3, "WARNING": 3, "ERROR": 4, "FATAL": 5, "CRITICAL": 5}
_SOURCES = ("function", "extension")
# Whose unfinished lines an event ends; the function's where nothing is said. What happens at any moment, while others
# write, ends none: it would cut the line in two. Extensions write at any moment, so theirs end with their processes.
_ENDED_BY: dict[str, tuple[str, ...]] = {
    "platform.initStart": _SOURCES,
    "platform.extension": (),
    "platform.telemetrySubscription": (),
    "platform.logsSubscription": (),
    "platform.logsDropped": (),
}


class LogStream:
    """Passes lines on to those who want them, and keeps those of the running invocation.

    Arguments:
        function: whose ``logging`` says format and levels.
        environment: the id of the environment.
        sink: gets every line that is not filtered out.
        file: gets them as well.
        now: seconds since the epoch.

    Attributes:
        on_event: gets every line (``function``, ``extension``) and every event of Lambda's, whatever levels say.
    """

    def __init__(
        self,
        function: Function,
        environment: str,
        sink: LogSink | None,
        *,
        file: LogFile | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._function, self._environment, self._sink, self._file = function.name, environment, sink, file
        self._now = now
        self._json = function.logging.format == "JSON"
        self._least_system = _RANKS[function.logging.system_level]
        self._least_application = _RANKS[function.logging.application_level] if self._json else 0
        self._rests: dict[str, bytearray] = {"function": bytearray(), "extension": bytearray()}
        self._current = bytearray()
        self.on_event: Callable[[LogEvent], None] | None = None

    def write(self, output: bytes, source: str = "function") -> None:
        """What processes wrote; a last line without its newline waits for the rest.

        Arguments:
            source: ``function`` or ``extension``; each has its own unfinished line.
        """
        rest = self._rests[source]
        end = output.rfind(b"\n") + 1
        if not end:
            rest += output
            if len(rest) > _LONGEST:
                self._end_line(source)
            return
        block = bytes(rest) + output[:end] if rest else output[:end]
        rest[:] = output[end:]
        self._lines(block, source)

    def platform(self, *events: PlatformEvent) -> None:
        """Events of Lambda's own; unfinished lines before them are ended, or nobody would find them there.

        What is said in one call is passed on in one block.
        """
        now = self._now()
        block = ""
        for event in events:
            for source in _ENDED_BY.get(event.type, _SOURCES[:1]):
                self._end_line(source)
            if self._json:
                line = json_line(event, now) if _RANKS[event.level] >= self._least_system else None
            else:
                line = event.line
            if line is not None:
                block += line
        if block:
            self._pass_on(block.encode("utf-8", "replace"))
        if self.on_event is not None:
            for event in events:
                self.on_event(LogEvent(now, event.type, event.record))

    def say(self, lines: str) -> None:
        """Lines of Lambda's own, whole, of a log that is not detailed: what :meth:`platform` would make of its events.

        It is for what comes with every invocation: nobody would read the records of such events.
        """
        if self._rests["function"]:
            self._end_line("function")
        self._pass_on(lines.encode("utf-8", "replace"))

    @property
    def is_detailed(self) -> bool:
        """Somebody wants to hear of events that have no line in a text log."""
        return self._json or self.on_event is not None

    def take(self) -> bytes:
        """The lines since the last time."""
        taken = bytes(self._current)
        self._current.clear()
        return taken

    def close(self) -> None:
        """The environment is gone: what it had not ended is its last line."""
        for source in self._rests:
            self._end_line(source)

    def _end_line(self, source: str) -> None:
        rest = self._rests[source]
        if rest:
            line = bytes(rest) + b"\n"
            rest.clear()
            self._lines(line, source)

    def _lines(self, block: bytes, source: str) -> None:
        if self.on_event is not None:
            now = self._now()
            for line in block[:-1].split(b"\n"):
                self.on_event(LogEvent(now, source, line.decode("utf-8", "replace")))
        if self._least_application > _RANKS["INFO"] or (self._least_application and b'"level"' in block):
            block = b"".join([line + b"\n" for line in block[:-1].split(b"\n") if self._is_wanted(line)])
        if block:
            self._pass_on(block)

    def _is_wanted(self, line: bytes) -> bool:
        """[D] The level of a line without one is INFO. A line that is no JSON object has none, and stays."""
        if not line.startswith(b"{"):
            return True
        try:
            level = json.loads(line).get("level")
        except (ValueError, RecursionError):
            return True
        rank = _RANKS.get(level.upper(), _RANKS["INFO"]) if isinstance(level, str) else _RANKS["INFO"]
        return rank >= self._least_application

    def _pass_on(self, block: bytes) -> None:
        current = self._current
        current += block
        if len(current) > _KEPT:
            del current[: -_KEPT // 2]
        if self._file is not None:
            self._file(block)
        if self._sink is not None:
            try:
                self._sink(self._function, self._environment, block)
            except Exception:  # noqa: BLE001 (whatever somebody else's sink does, the environment goes on)
                self._sink = None
