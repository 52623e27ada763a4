"""How fast a streamed response may leave: a token bucket, as AWS's agent has one for each response."""

from __future__ import annotations

from collections.abc import Callable

from emulator.errors import ConfigurationError

__all__ = ["BURST", "INTERVAL", "RATE", "Bandwidth"]

RATE = 2 * 2**20  # bytes a second [C] [D]
BURST = 6 * 2**20  # bytes [C] [D]
INTERVAL = 0.125  # seconds from one refill to the next [C]
_LEAST, _MOST = 32 * 2**10, 64 * 2**20  # [C] for rate and burst alike


class Bandwidth:
    """A bucket that is full when a response begins.

    Arguments:
        now: tells the time in seconds; only differences count.
        rate: bytes a second on average, 32 KiB to 64 MiB.
        burst: bytes that may go at once, within the same bounds.

    Raises:
        ConfigurationError: a rate or burst that AWS's agent refuses.
    """

    def __init__(self, now: Callable[[], float], *, rate: int = RATE, burst: int = BURST) -> None:
        for name, value in (("rate", rate), ("burst", burst)):
            if not _LEAST <= value <= _MOST:
                raise ConfigurationError(
                    f"a bandwidth with a {name} of {value:,} bytes", cure=f"It is from {_LEAST:,} to {_MOST:,}."
                )
        self._now = now
        self._refill = int(rate * INTERVAL)
        self._capacity = self._tokens = burst
        self._refilled_at = now()

    def take(self, wanted: int) -> int:
        """How many of these bytes may go now, none to all of them; they count as gone."""
        intervals = int((self._now() - self._refilled_at) / INTERVAL)
        if intervals > 0:
            self._refilled_at += intervals * INTERVAL
            self._tokens = min(self._capacity, self._tokens + intervals * self._refill)
        granted = min(wanted, self._tokens)
        self._tokens -= granted
        return granted

    @property
    def wait(self) -> float:
        """Seconds until there is more."""
        return max(0.0, self._refilled_at + INTERVAL - self._now())
