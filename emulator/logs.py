"""The log stream of one environment: Lambda's own lines and what the function writes, in one order."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["LogSink", "LogStream"]

LogSink = Callable[[str, str, bytes], None]
"""Gets function name, environment id and one whole line, its newline included. One that raises is not called again."""

_KEPT = 1 << 20  # bytes of one invocation; beyond that the oldest go, as in the 4 KB tail that clients ask for


class LogStream:
    """Cuts output into lines, passes them on, and keeps those of the running invocation."""

    def __init__(self, function: str, environment: str, sink: LogSink | None) -> None:
        self._function, self._environment, self._sink = function, environment, sink
        self._rest = b""
        self._current = bytearray()

    def write(self, output: bytes) -> None:
        """What processes wrote; a last line without its newline waits for the rest."""
        *lines, self._rest = (self._rest + output).split(b"\n")
        for line in lines:
            self._line(line + b"\n")

    def platform(self, line: str) -> None:
        """A line of Lambda's own; an unfinished line before it is ended."""
        if self._rest:
            rest, self._rest = self._rest, b""
            self._line(rest + b"\n")
        self._line(line.encode())

    def take(self) -> bytes:
        """The lines since the last time."""
        taken = bytes(self._current)
        self._current.clear()
        return taken

    def _line(self, line: bytes) -> None:
        self._current += line
        if len(self._current) > _KEPT:
            del self._current[: -_KEPT // 2]
        if self._sink is not None:
            try:
                self._sink(self._function, self._environment, line)
            except Exception:  # noqa: BLE001 (whatever somebody else's sink does, the environment goes on)
                self._sink = None
