"""Who is compared takes turns: the noise of a machine is the same for all within a round, and differs between runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import chain
from types import MappingProxyType

from tests.bench.client import busy_pause

__all__ = ["PAUSE", "Rounds", "all_of", "take_turns"]

PAUSE = 0.001  # seconds between invocations, in which an environment is frozen for certain

Rounds = list[list[float]]
"""Seconds of single invocations, a list for each round."""


def take_turns(
    contestants: Mapping[str, Callable[[], float]],
    *,
    rounds: int,
    each: int,
    pause: float = PAUSE,
    warm_up: int = 20,
    fewer: Mapping[str, int] = MappingProxyType({}),
    tick: Callable[[], None] = lambda: None,
) -> dict[str, Rounds]:
    """Invoke each ``each`` times, then the next one, and so on for so many rounds.

    Arguments:
        contestants: a function that does it once and answers how long it took, by name.
        pause: seconds of busy waiting between two invocations.
        warm_up: invocations at the beginning of each turn that are not counted: caches are another's then.
        fewer: who is so slow that a turn of its has only one in so many of the invocations.
        tick: called after each turn.
    """
    found: dict[str, Rounds] = {name: [] for name in contestants}
    for number in range(rounds):
        # Each begins a round in its turn, so that no one always follows the same other one.
        names = list(contestants)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            once, times, part = contestants[name], [], fewer.get(name, 1)
            for count in range(-(warm_up // part), max(1, each // part)):
                took = once()
                if count >= 0:
                    times.append(took)
                busy_pause(pause)
            found[name].append(times)
            tick()
    return found


def all_of(rounds: Rounds) -> list[float]:
    """The measurements of all rounds."""
    return list(chain.from_iterable(rounds))
