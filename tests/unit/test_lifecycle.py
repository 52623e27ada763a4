"""The lifecycle: the full product of states and events, and what its diagram says."""

from __future__ import annotations

import ast
import itertools
import re
from pathlib import Path
from typing import Any, cast

import pytest

import emulator
from emulator.errors import IllegalTransitionError
from emulator.lifecycle import TABLE, Event, State, advance, mermaid

PRODUCT = list(itertools.product(State, Event))

# Written down a second time, one line a transition, so that a slip in the table does not pass unseen.
LEGAL = {
    ("starting", "sandbox-started"): "init",
    ("starting", "end"): "shutting-down",
    ("init", "parked"): "idle",
    ("init", "reset"): "resetting",
    ("init", "end"): "shutting-down",
    ("idle", "invoke"): "invoking",
    ("idle", "freeze"): "freezing",
    ("idle", "init-again"): "init",
    ("idle", "end"): "shutting-down",
    ("freezing", "freeze-confirmed"): "frozen",
    ("freezing", "freeze-failed"): "idle",
    ("freezing", "thaw"): "thawing",
    ("freezing", "end"): "shutting-down",
    ("frozen", "thaw"): "thawing",
    ("frozen", "end"): "shutting-down",
    ("thawing", "thaw-confirmed"): "idle",
    ("thawing", "end"): "shutting-down",
    ("invoking", "parked"): "idle",
    ("invoking", "reset"): "resetting",
    ("invoking", "end"): "shutting-down",
    ("resetting", "reset-done"): "idle",
    ("resetting", "end"): "shutting-down",
    ("shutting-down", "ended"): "gone",
}


@pytest.mark.parametrize(("state", "event"), PRODUCT, ids=lambda value: str(value))
def test_every_pair_of_state_and_event_does_what_is_written_down(state: State, event: Event) -> None:
    """A legal pair leads where the list says; every other pair raises, naming both, and changes nothing."""
    before = {key: dict(row) for key, row in TABLE.items()}
    if (state, event) in LEGAL:
        assert advance(state, event) is State(LEGAL[state, event])
    else:
        with pytest.raises(IllegalTransitionError) as caught:
            advance(state, event)
        assert (caught.value.state, caught.value.event) == (state, event)
        assert caught.value.__suppress_context__
    assert {key: dict(row) for key, row in TABLE.items()} == before


def test_every_state_has_its_row() -> None:
    """No state is missing from the table, and none is in it that does not exist."""
    assert list(TABLE) == list(State)


def reachable(start: State) -> set[State]:
    found, waiting = {start}, [start]
    while waiting:
        fresh = set(TABLE[waiting.pop()].values()) - found
        found |= fresh
        waiting += fresh
    return found


@pytest.mark.parametrize("state", State)
def test_every_state_can_reach_its_end(state: State) -> None:
    """No environment can get into a state that it can never leave for ``gone``."""
    assert State.GONE in reachable(state)


def test_every_state_can_come_about() -> None:
    """There is no state that an environment could never be in."""
    assert reachable(State.STARTING) == set(State)


def test_gone_is_final() -> None:
    """Nothing happens to what is no more."""
    assert not TABLE[State.GONE]


@pytest.mark.parametrize("state", [state for state in State if state not in (State.SHUTTING_DOWN, State.GONE)])
def test_whatever_it_does_it_can_be_ended(state: State) -> None:
    """Every living state takes the event ``end``."""
    assert advance(state, Event.END) is State.SHUTTING_DOWN


def test_every_event_is_of_use() -> None:
    """Each event is taken by at least one state."""
    assert {event for row in TABLE.values() for event in row} == set(Event)


def test_the_table_cannot_be_written_to() -> None:
    """Neither a row nor an entry can be replaced at run time."""
    table = cast(dict[State, Any], TABLE)
    with pytest.raises(TypeError):
        table[State.GONE] = {}
    with pytest.raises(TypeError):
        table[State.GONE][Event.INVOKE] = State.INVOKING


def test_the_diagram_has_every_transition_and_no_other() -> None:
    """The Mermaid text is one edge a legal pair, plus the beginning and the end."""
    lines = [line.strip() for line in mermaid().splitlines()]
    assert lines[0] == "stateDiagram-v2"
    assert lines[1] == "[*] --> starting"
    assert lines[-1] == "gone --> [*]"
    drawn = [re.fullmatch(r"([a-z_]+) --> ([a-z_]+): ([a-z-]+)", line) for line in lines[2:-1]]
    edges = [(edge[1].replace("_", "-"), edge[3], edge[2].replace("_", "-")) for edge in drawn if edge]
    assert len(edges) == len(drawn)
    assert {(state, event): target for state, event, target in edges} == LEGAL


def test_only_the_environment_advances_the_lifecycle() -> None:
    """No other module imports the function that changes states."""
    package = Path(next(iter(emulator.__path__)))
    importers = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom)
        and node.module == "emulator.lifecycle"
        and any(alias.name == "advance" for alias in node.names)
    }
    assert importers == {"environment.py"}
