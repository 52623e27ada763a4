"""One key at a time from a terminal, without Enter."""

from __future__ import annotations

import os
import sys
import termios
import tty
from types import TracebackType
from typing import Protocol, Self

__all__ = ["BACK", "NEXT", "QUIT", "Keyboard", "Keys"]

NEXT, BACK, QUIT = "next", "back", "quit"

_MEANINGS = {
    b"\x1b[D": BACK,
    b"\x1b[5~": BACK,  # page up: what a presenter's remote sends
    b"\x7f": BACK,
    b"\x1b": QUIT,
    b"\x04": QUIT,
    b"": QUIT,  # the terminal is gone
    b"q": QUIT,
}
_LONGEST = 16  # bytes of one key, with room


class Keys(Protocol):
    """Where keys come from."""

    def forget(self) -> None:
        """What was pressed so far: it was not meant for what comes now."""
        ...

    def read(self) -> str:
        """Wait for one: ``next``, ``back``, ``quit``, or the letter that it has."""
        ...


class Keyboard:
    """The terminal's own, while the ``with`` lasts. Ctrl-C interrupts as ever."""

    def __enter__(self) -> Self:
        self._file = sys.stdin.fileno()
        self._before = termios.tcgetattr(self._file)
        tty.setcbreak(self._file)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        termios.tcsetattr(self._file, termios.TCSADRAIN, self._before)

    def forget(self) -> None:
        termios.tcflush(self._file, termios.TCIFLUSH)

    def read(self) -> str:
        pressed = os.read(self._file, _LONGEST)
        if pressed in _MEANINGS:
            return _MEANINGS[pressed]
        return pressed.decode() if len(pressed) == 1 and pressed.isalpha() else NEXT
