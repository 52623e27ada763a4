"""Ctrl-C while modules are being read in."""

from __future__ import annotations

import gc
import signal
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["reading_modules"]


@contextmanager
def reading_modules() -> Iterator[None]:
    """Read modules in quickly, and so that Ctrl-C ends the process at once, without a word.

    There is nothing yet that would have to be put away. A ``KeyboardInterrupt`` instead would come out of the middle of
    somebody's module, as an error of its making where extensions pass it on, and not at all where they cannot.
    """
    handler = signal.getsignal(signal.SIGINT)
    if handler is not signal.SIG_IGN:  # as of a job in the background of a shell
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    collects = gc.isenabled()
    gc.disable()  # modules stay: to look through them again and again is a tenth of the time that reading them takes
    try:
        yield
    finally:
        if collects:
            gc.enable()
        signal.signal(signal.SIGINT, handler)
