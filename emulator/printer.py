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

_WAITING = 1 << 20  # bytes; what comes on top while nobody reads is left out, and told
_PATIENCE = 1.0  # seconds that the end waits for a reader

_Lines = tuple[str, str, bytes]
_Entry = tuple[int, _Lines | str | None]  # how many lines were left out before these, or this note; None is the end


class LogPrinter:
    """Prints lines in a thread of its own; :meth:`put` returns at once, whatever becomes of them."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._entries: queue.SimpleQueue[_Entry] = queue.SimpleQueue()
        self._put = 0  # bytes; only the one who puts counts here, and only the thread in _printed
        self._printed = 0
        self._left_out = 0
        self._thread = threading.Thread(target=self._print, name="log-printer", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._entries.put((self._left_out, None))
        self._thread.join(_PATIENCE)

    def put(self, function: str, environment: str, lines: bytes) -> None:
        """Whole lines of a function's log, one or more."""
        if self._put - self._printed > _WAITING:
            self._left_out += lines.count(b"\n")
            return
        left_out, self._left_out = self._left_out, 0
        self._put += len(lines)
        self._entries.put((left_out, (function, environment, lines)))

    def note(self, text: str) -> None:
        """Something that is in no log, and is to be seen."""
        left_out, self._left_out = self._left_out, 0
        self._entries.put((left_out, text))

    def _print(self) -> None:
        try:
            while True:
                left_out, found = self._entries.get()
                if left_out:
                    note = f"{left_out} lines are left out here, for nobody read them; lambda-freezer logs has them"
                    self._console.print(Text(note, "yellow"), soft_wrap=True)
                if found is None:
                    return
                if isinstance(found, str):
                    self._console.print(Text(f"! {found}", "yellow"), soft_wrap=True)
                    continue
                function, environment, lines = found
                for line in lines.decode("utf-8", "replace").removesuffix("\n").split("\n"):
                    self._console.print(screen.log_line(environment, line, function), soft_wrap=True)
                self._printed += len(lines)
        except (OSError, SystemExit):
            return  # the reader has gone; Rich says so by SystemExit
