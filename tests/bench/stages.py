"""Pure: the way of an invocation from stamps of several clocks."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

__all__ = ["SENT", "Stage", "Stamp", "Way", "typical_way"]

SENT = "client: the request is sent"

Stamp = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Stage:
    """One step. Times are microseconds: since the step before it, and since the request was sent; medians."""

    name: str
    took: float
    since_sent: float


@dataclass(frozen=True, slots=True)
class Way:
    """The way that most invocations took; ``share`` of them, from 0 to 1."""

    stages: tuple[Stage, ...]
    invocations: int
    share: float


def typical_way(sent: Sequence[int], stamps: Sequence[Stamp]) -> Way:
    """The most frequent sequence of stamps between two requests, and how long its steps took.

    Arguments:
        sent: when each request was sent, in nanoseconds of the clock that the stamps have.
        stamps: moments and their names, in any order.
    """
    ways: dict[tuple[str, ...], list[list[int]]] = {}
    marked = sorted([*((moment, SENT) for moment in sent), *stamps])
    starts = [index for index, (_, name) in enumerate(marked) if name == SENT]
    for begin, end in pairwise([*starts, len(marked)]):
        piece = marked[begin:end]
        ways.setdefault(tuple(name for _, name in piece), []).append([moment for moment, _ in piece])
    if not ways:
        return Way((), 0, 0.0)
    names, _ = Counter({names: len(taken) for names, taken in ways.items()}).most_common(1)[0]
    taken = ways[names]
    stages = tuple(
        Stage(
            name,
            statistics.median(moments[index] - moments[max(0, index - 1)] for moments in taken) / 1000,
            statistics.median(moments[index] - moments[0] for moments in taken) / 1000,
        )
        for index, name in enumerate(names)
    )
    return Way(stages, len(taken), len(taken) / len(starts))
