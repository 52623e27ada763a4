"""Taking turns: who is compared is measured in the same rounds, none always after the same other."""

from __future__ import annotations

from collections.abc import Callable

from tests.bench.rounds import all_of, take_turns


def test_everybody_takes_turns_and_each_begins_once() -> None:
    """Two rounds of two: the second one begins with the other."""
    order: list[str] = []

    def contestant(name: str) -> Callable[[], float]:
        def once() -> float:
            order.append(name)
            return float(len(order))

        return once

    found = take_turns({"a": contestant("a"), "b": contestant("b")}, rounds=2, each=2, pause=0, warm_up=1)
    assert "".join(order) == "aaabbb" + "bbbaaa"
    assert found == {"a": [[2.0, 3.0], [11.0, 12.0]], "b": [[5.0, 6.0], [8.0, 9.0]]}
    assert all_of(found["a"]) == [2.0, 3.0, 11.0, 12.0]


def test_a_slow_one_is_asked_less_often() -> None:
    """One in ten of its invocations, but one at least; after every turn the bar moves."""
    turns: list[None] = []
    found = take_turns(
        {"fast": lambda: 1.0, "slow": lambda: 50.0},
        rounds=3,
        each=20,
        pause=0,
        warm_up=0,
        fewer={"slow": 10},
        tick=lambda: turns.append(None),
    )
    assert [len(times) for times in found["fast"]] == [20, 20, 20]
    assert [len(times) for times in found["slow"]] == [2, 2, 2]
    assert len(turns) == 6
