"""The program's first lines: an interrupt while the rest is being read in ends it, without a word."""

from __future__ import annotations

import gc
import signal

__all__ = ["main"]


def main() -> None:
    """Read the command line in, and run it."""
    handler = signal.signal(signal.SIGINT, signal.SIG_DFL)
    gc.disable()  # modules stay: to look through them again and again is a tenth of the time that reading them takes
    from emulator import cli

    gc.enable()
    signal.signal(signal.SIGINT, handler)
    cli.main()


if __name__ == "__main__":
    main()
