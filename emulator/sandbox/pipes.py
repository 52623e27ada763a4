"""The named pipes between us and the shell of a container: start, ended, output."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from emulator.sandbox.output import OutputPipe

__all__ = ["Pipes"]

_STATUS_DIGITS = 3  # an exit status is at most 255


class Pipes:
    """Our ends of them, in a folder that is mounted into the container.

    Arguments:
        folder: is made, with the pipes in it; its user there has no rights of ours.
        on_output: gets what the runtime writes.
        on_ended: gets the exit status of a runtime that has ended, as a shell tells it.
    """

    def __init__(self, folder: Path, *, on_output: Callable[[bytes], None], on_ended: Callable[[int], None]) -> None:
        self.folder = folder
        self._on_ended = on_ended
        self._line = b""
        folder.mkdir(mode=0o755)
        folder.chmod(0o755)
        for name, mode in {"start": 0o644, "ended": 0o622, "output": 0o622}.items():
            os.mkfifo(folder / name)
            (folder / name).chmod(mode)
        # Non-blocking, or opening would wait for the other end, which comes with the container. For writing as
        # well where we write, or that would be refused until then.
        self._start = os.open(folder / "start", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self.output = OutputPipe(self._reading_end("output"), on_output)
        self._ended = OutputPipe(self._reading_end("ended"), self._heard)

    def start(self) -> None:
        """Have the runtime started."""
        os.write(self._start, b"start\n")

    def close(self) -> None:
        if self._start >= 0:
            os.close(self._start)
            self._start = -1
        self.output.close()
        self._ended.close()

    def _reading_end(self, name: str) -> int:
        # Writable too: without any writer, between one runtime and the next, the pipe would be at its end.
        return os.open(self.folder / name, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def _heard(self, piece: bytes) -> None:
        # A function may write nonsense there, and fools only itself: no more is kept than shows that it is none.
        *lines, rest = (self._line + piece).split(b"\n")
        self._line = rest[: _STATUS_DIGITS + 1]
        for line in lines:
            if line.isdigit() and len(line) <= _STATUS_DIGITS:
                self._on_ended(int(line))
