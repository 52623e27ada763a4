"""Printing logs without ever holding the emulator up: a terminal can be stopped, a reader of a pipe can go away."""

from __future__ import annotations

import queue
import threading
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.text import Text

from emulator import screen

__all__ = ["LogPrinter"]

_WAITING = 10_000  # lines; what comes on top while nobody reads is dropped, and told
_PATIENCE = 1.0  # seconds that the end waits for a reader

_Line = tuple[str, str, bytes]


class LogPrinter:
    """Prints lines in a thread of its own; :meth:`put` returns at once, whatever becomes of them."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lines: queue.Queue[_Line | None] = queue.Queue(_WAITING)
        self._dropped = 0
        self._thread = threading.Thread(target=self._print, name="log-printer", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._lines.put_nowait(None)
        except queue.Full:
            return
        self._thread.join(_PATIENCE)

    def put(self, function: str, environment: str, line: bytes) -> None:
        """One line of a function's log."""
        try:
            self._lines.put_nowait((function, environment, line))
        except queue.Full:
            self._dropped += 1

    def _print(self) -> None:
        try:
            while (line := self._lines.get()) is not None:
                if self._dropped:
                    dropped, self._dropped = self._dropped, 0
                    self._console.print(Text(f"{dropped} lines were dropped, for nobody read them", "yellow"))
                self._console.print(screen.log_line(*line), soft_wrap=True)
        except (OSError, SystemExit):
            return  # the reader has gone; Rich says so by SystemExit
