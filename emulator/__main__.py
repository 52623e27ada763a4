"""The program's first lines."""

from __future__ import annotations

from emulator.interrupts import reading_modules

__all__ = ["main"]


def main() -> None:
    """Read the command line in, and run it."""
    with reading_modules():
        from emulator import cli

    cli.main()


if __name__ == "__main__":
    main()
