"""What a part of the bench gets, and what it answers with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.bench.figures import Row

__all__ = ["Part", "Scale"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much is measured.

    Attributes:
        quick: the whole run is to take less than two minutes.
        long: the million invocations too.
        tick: called after each piece of work; moves the bar of the part.
    """

    quick: bool = False
    long: bool = False
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
        quick: it belongs to the quick run as well.
    """

    name: str
    about: str
    run: Callable[[Scale], list[Row]]
    quick: bool = True
