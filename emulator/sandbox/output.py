"""What the processes of a sandbox write, read from a pipe that the kernel shares with them.

A pipe is drained synchronously: when the runtime has asked for its next event, everything the function
printed before is already in it, so no line can end up under the wrong invocation.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import sys
import termios
from collections.abc import Callable

__all__ = ["OutputPipe"]

_CHUNK = 1 << 16
_CAPACITY = 1 << 20  # bytes; the default of 64 KiB makes a chatty function wait for us


class OutputPipe:
    """The reading end; ``on_output`` gets the bytes as they come."""

    def __init__(self, descriptor: int, on_output: Callable[[bytes], None]) -> None:
        self._descriptor = descriptor
        self._on_output = on_output
        os.set_blocking(descriptor, False)
        with contextlib.suppress(OSError):  # a lower limit for users without privilege
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _CAPACITY)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(descriptor, self._readable)

    def drain(self) -> None:
        """Read all there is now. What is written meanwhile waits, or a function that never pauses would hold us."""
        left = self._available() if self._descriptor >= 0 else 0
        while left > 0 and (size := self._read()):
            left -= size

    def close(self) -> None:
        """Read the rest and give the pipe back."""
        self.drain()
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def _readable(self) -> None:
        # One piece a round: a function that writes without pause must not hold the loop for itself.
        self._read()

    def _available(self) -> int:
        return int.from_bytes(fcntl.ioctl(self._descriptor, termios.FIONREAD, bytes(4)), sys.byteorder)

    def _read(self) -> int:
        try:
            piece = os.read(self._descriptor, _CHUNK)
        except BlockingIOError:
            return 0
        if not piece:  # the last writer is gone; a descriptor at its end would be "readable" for ever
            self._loop.remove_reader(self._descriptor)
            return 0
        self._on_output(piece)
        return len(piece)
