"""What each condition does to a function, and when."""

from __future__ import annotations

import pytest

from emulator.conditions import CONDITIONS, Condition, Stage, find_condition
from emulator.conditions.kinds import KEPT_WARM
from emulator.errors import ConditionError
from tests.unit.conditions.played import PlayedEmulator, PlayedFunction, result_of


def play(condition: Condition, times: int, function: PlayedFunction | None = None) -> list[str]:
    """What is done in a test that invokes so often; one-character payloads keep it readable."""
    function = function or PlayedFunction()
    stage = Stage(function.emulator.cast)
    with stage.under(condition, function.cast):
        for nth in range(1, times + 1):
            condition.invoke(stage, function.cast, "x", nth)
    return function.emulator.calls


@pytest.mark.parametrize(
    ("name", "calls"),
    [
        ("warm", ["invoke x", "invoke x"]),
        ("cold-each-time", ["recycle fin", "invoke x", "recycle fin", "invoke x"]),
        ("frozen-past-wait-timeout", ["invoke x", "skip 660 s", "invoke x"]),
        ("nat", ["invoke x", "skip 410 s", "invoke x"]),
        ("recycled-silently", ["invoke x", "recycle silent", "invoke x"]),
        ("killed-in-the-middle", ["kill at 1", "follow", "kill at 2", "follow"]),
        ("storm=3", ["invoke x"] * 6),
        ("database-restarted", ["invoke x", "restart", "invoke x"]),
        ("failover-read-only", ["invoke x", "fail over", "invoke x", "fail back"]),
    ],
)
def test_what_happens_in_a_test_that_invokes_twice(name: str, calls: list[str]) -> None:
    """Each condition comes where it says: before, between, during or instead of the invocations."""
    assert play(find_condition(name), 2) == calls


def test_a_failover_happens_once() -> None:
    """Whoever was connected when the writer changed is what matters; a second one could not hit them again."""
    assert play(CONDITIONS["failover-read-only"], 4).count("fail over") == 1


def test_the_middle_follows_the_conversation() -> None:
    """Half of what the retry before has sent; at once where the function says too little to be caught by that."""
    function = PlayedFunction(pieces=0)
    assert play(CONDITIONS["killed-in-the-middle"], 1, function) == ["follow", "kill at 1", "follow"]


def test_a_storm_is_as_good_as_its_worst() -> None:
    """One failure among many would go under in the first one's success."""
    failed = result_of({"errorMessage": "(1040, 'Too many connections')"}, failed=True)
    function = PlayedFunction(results=[result_of("fine"), failed, result_of("fine")])
    stage = Stage(function.emulator.cast)
    assert find_condition("storm=3").invoke(stage, function.cast, None, 1) is failed


@pytest.mark.parametrize("name", ["database-restarted", "failover-read-only"])
def test_a_database_that_refuses_is_told_and_not_passed_over(name: str) -> None:
    """On a user's own server some conditions cannot be had: nothing is invoked, and the reason is there."""
    function = PlayedFunction(PlayedEmulator(refuses="it is your own"))
    with pytest.raises(ConditionError, match="it is your own") as told:
        play(CONDITIONS[name], 2, function)
    assert told.value.cure == "Take another one."
    assert function.emulator.calls == ["invoke x"]


@pytest.mark.parametrize("name", ["frozen-past-wait-timeout", "nat"])
def test_the_emulator_is_as_before_afterwards(name: str) -> None:
    """For the test environments stay and the path is another one; then policy and path are what they were."""
    function = PlayedFunction()
    emulator = function.emulator
    with Stage(emulator.cast).under(CONDITIONS[name], function.cast):
        assert emulator.policy == KEPT_WARM
        assert emulator.path == ("nat" if name == "nat" else "direct")
    assert [emulator.policy, emulator.path] == ["as deployed", "direct"]


@pytest.mark.parametrize("condition", CONDITIONS.values(), ids=lambda condition: condition.name)
def test_each_says_what_it_does_and_why(condition: Condition) -> None:
    """In a sentence each, for pages, reports and whoever wonders."""
    for sentence in (condition.what, condition.reason):
        assert sentence[0].isupper()
        assert sentence.endswith(".")
    assert condition.title
