"""All conditions by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from emulator.conditions.kinds import (
    ColdEachTime,
    DatabaseRestarted,
    FailoverReadOnly,
    FrozenPastWaitTimeout,
    KilledInTheMiddle,
    Nat,
    RecycledSilently,
    Storm,
    Warm,
)
from emulator.conditions.stage import Condition
from emulator.errors import ConditionError

__all__ = ["CONDITIONS", "find_condition"]

_ALL: tuple[Condition, ...] = (
    Warm(),
    ColdEachTime(),
    FrozenPastWaitTimeout(),
    Nat(),
    RecycledSilently(),
    KilledInTheMiddle(),
    Storm(),
    DatabaseRestarted(),
    FailoverReadOnly(),
)
CONDITIONS: Mapping[str, Condition] = MappingProxyType({condition.name: condition for condition in _ALL})
"""In the order in which they are played and shown."""

_WITH_NUMBER: Mapping[str, Callable[[int], Condition]] = MappingProxyType({"storm": Storm})


def find_condition(name: str) -> Condition:
    """The condition of a name; some take a number: ``storm=25``.

    Raises:
        ConditionError: there is none of that name, or the number is none.
    """
    kind, _, number = name.partition("=")
    if number and kind in _WITH_NUMBER and number.isdecimal():
        return _WITH_NUMBER[kind](int(number))
    if name not in CONDITIONS:
        takes = ", ".join(f"{key}=NUMBER" for key in _WITH_NUMBER)
        raise ConditionError(f"there is no condition {name!r}", cure=f"There are {', '.join(CONDITIONS)}, and {takes}.")
    return CONDITIONS[name]
