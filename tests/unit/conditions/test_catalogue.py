"""Conditions by name."""

from __future__ import annotations

import pytest

from emulator.conditions import CONDITIONS, find_condition
from emulator.errors import ConditionError


def test_every_condition_is_found_by_its_name() -> None:
    """The names of the catalogue are those that the conditions have themselves."""
    assert [find_condition(name).name for name in CONDITIONS] == list(CONDITIONS)


def test_a_number_is_part_of_a_name() -> None:
    """``storm=25`` is another storm than the usual one; its usual number need not be said."""
    assert find_condition("storm=25").title == "storm of 25"
    assert find_condition("storm=25").name == "storm=25"
    assert find_condition("storm=10").name == "storm"


@pytest.mark.parametrize("name", ["", "warmer", "storm=", "storm=many", "storm=-1", "storm=0", "warm=3"])
def test_what_is_no_condition_is_refused_with_what_there_is(name: str) -> None:
    """A misspelt condition would else be one that is silently never tested."""
    with pytest.raises(ConditionError) as told:
        find_condition(name)
    assert "storm=" in told.value.cure
