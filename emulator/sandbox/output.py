"""What the processes of a sandbox write, read from a pipe that the kernel shares with them.

A pipe is drained synchronously: when the runtime has asked for its next event, everything the function
printed before is already in it, so no line can end up under the wrong invocation.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
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
        """Read all there is now."""
        while self._descriptor >= 0 and self._read():
            pass

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

    def _read(self) -> bool:
        try:
            piece = os.read(self._descriptor, _CHUNK)
        except BlockingIOError:
            return False
        if not piece:  # the last writer is gone; a descriptor at its end would be "readable" for ever
            self._loop.remove_reader(self._descriptor)
            return False
        self._on_output(piece)
        return True
