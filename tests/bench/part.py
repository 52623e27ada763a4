"""What a part of the bench gets, and what it answers with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tests.bench.figures import Row

__all__ = ["Part", "Scale"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much is measured.

    Attributes:
        quick: fewer rounds, fewer environments.
        tick: called after each piece of work; moves the bar of the part.
    """

    quick: bool = False
    tick: Callable[[], None] = lambda: None

    def pick(self, quick: int, full: int) -> int:
        return quick if self.quick else full


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of the bench: some rows of the table, measured together.

    Attributes:
        name: for ``--only``.
        about: what it measures, for the bar.
        run: measures it. A ``BenchError`` that it raises is the reason in the table.
        run_in: the shortest run that it belongs to, ``quick``, ``full`` or ``long``.
    """

    name: str
    about: str
    run: Callable[[Scale], list[Row]]
    run_in: Literal["quick", "full", "long"] = "quick"
