"""Why something could not be measured."""

from __future__ import annotations

__all__ = ["BenchError"]


class BenchError(Exception):
    """It cannot be measured here, or not this time; the message is the reason that the table shows."""
