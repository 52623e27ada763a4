"""Printing logs without ever holding the emulator up: a terminal can be stopped, a reader of a pipe can go away."""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rich.color import ColorSystem
from rich.console import Console, RenderableType

from emulator import screen

__all__ = ["LogPrinter", "print_if_read"]

_WAITING = 1 << 20  # bytes; what comes on top while nobody reads is left out, and told
_MOMENT = 0.2  # seconds that somebody has to begin to read what need not be read
_PATIENCE = 1.0  # seconds that the end waits for a reader
# Seconds in which lines gather before they are printed together. A thread that wakes for each of them would take the
# interpreter from the emulator in the middle of the next invocation, which costs that one milliseconds.
_GATHER = 0.02

_Lines = tuple[str, str, bytes]


@dataclass(frozen=True, slots=True)
class _Note:
    text: str
    style: str


_Entry = tuple[int, _Lines | _Note | None]  # how many lines were left out before these, or this note; None is the end


class LogPrinter:
    """Prints lines in a thread of its own; :meth:`put` returns at once, whatever becomes of them."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._entries: queue.SimpleQueue[_Entry] = queue.SimpleQueue()
        self._put = 0  # bytes; only the one who puts counts here, and only the thread in _printed
        self._printed = 0
        self._left_out = 0
        self._paint = {style: _paint(console, style) for style in ("", "cyan", "dim", "red", "yellow")}
        self._is_plain = not any(before for before, _ in self._paint.values())
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
        self._tell(f"! {text}", "yellow")

    def say(self, text: str) -> None:
        """Something that is in no log, said in passing."""
        self._tell(f"· {text}", "dim")

    def _tell(self, text: str, style: str) -> None:
        left_out, self._left_out = self._left_out, 0
        self._entries.put((left_out, _Note(text, style)))

    def _print(self) -> None:
        try:
            while not self._print_gathered():
                pass
        except (OSError, SystemExit):
            return  # the reader has gone; Rich says so by SystemExit

    def _print_gathered(self) -> bool:
        """Print what has come until now, waiting for something to come; whether that was the last."""
        entries = [self._entries.get()]
        if entries[0][1] is not None:
            time.sleep(_GATHER)
            entries += iter(self._waiting, None)
        is_last = entries[-1][1] is None
        pieces = itertools.chain.from_iterable(self._shown(left_out, found) for left_out, found in entries)
        # Rich would take a millisecond for each line, most of it to find out where to break it, which nobody wants.
        _write(self._console, "".join(pieces))
        self._printed += sum(len(found[2]) for _, found in entries if isinstance(found, tuple))
        return is_last

    def _waiting(self) -> _Entry | None:
        try:
            return self._entries.get_nowait()
        except queue.Empty:
            return None

    def _shown(self, left_out: int, found: _Lines | _Note | None) -> Iterator[str]:
        if left_out:
            note = f"{left_out} lines are left out here, for nobody read them; lambda-freezer logs has them"
            yield self._painted(note, "yellow") + "\n"
        if isinstance(found, _Note):
            yield self._painted(found.text, found.style) + "\n"
        elif found is not None:
            function, environment, lines = found
            shown, style = screen.log_origin(environment, function)
            if self._is_plain:
                yield screen.log_block(shown, lines.decode("utf-8", "replace"))
                return
            origin = self._painted(shown, style)
            for line in lines.decode("utf-8", "replace").removesuffix("\n").split("\n"):
                yield f"{origin}{self._painted(*screen.log_parts(line))}\n"

    def _painted(self, text: str, style: str) -> str:
        before, after = self._paint[style]
        return f"{before}{text}{after}"


def print_if_read(console: Console, shown: RenderableType) -> None:
    """Print what need not be read: where nobody reads, it is given up after a moment."""
    with console.capture() as captured:
        console.print(shown)
    thread = threading.Thread(target=_write, args=(console, captured.get()), daemon=True)
    thread.start()
    thread.join(_MOMENT)


def _write(console: Console, shown: str) -> None:
    try:
        descriptor = console.file.fileno()
    except OSError:  # it is in memory
        console.file.write(shown)
        return
    # Past Python's own buffer: a write that is stuck in there would hold the end of the program up.
    left = memoryview(shown.encode(console.encoding, "replace"))
    with contextlib.suppress(BrokenPipeError):
        while left:
            left = left[os.write(descriptor, left) :]


def _paint(console: Console, name: str) -> tuple[str, str]:
    """What Rich writes before and behind a text of this style, on this terminal."""
    if not name or console.color_system is None:
        return "", ""
    style = console.get_style(name)
    shown = (style.without_color if console.no_color else style).render("|", color_system=ColorSystem.STANDARD)
    before, _, after = shown.partition("|")
    return before, after
