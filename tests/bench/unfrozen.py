"""The product without a freezer: ``python -m tests.bench.unfrozen up ...`` is ``lambda-freezer up ...``.

Everything is as always, states and records too, but no process is stopped: what that costs is the difference. No
setting does this, because an emulator that says "frozen" of what runs on would be of no use to anybody else.
"""

from __future__ import annotations

from emulator.sandbox.freezer import Done, Freezer
from emulator.sandbox.process import ProcessProvider

__all__ = ["NoFreezer", "main"]


class NoFreezer:
    """Says yes to everything."""

    name = "none"

    def stop_early(self) -> bool:
        return True

    def freeze(self, done: Done) -> None:
        done(None)

    def thaw(self, done: Done) -> None:
        done(None)

    def close(self) -> None:
        pass


def _no_freezer(_provider: ProcessProvider, _group: object) -> Freezer:
    return NoFreezer()


def main() -> None:
    """Run the command."""
    from emulator.__main__ import main as emulator

    ProcessProvider.make_freezer = _no_freezer  # type: ignore[assignment]
    emulator()


if __name__ == "__main__":
    main()
