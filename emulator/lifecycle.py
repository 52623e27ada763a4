"""The life of an execution environment, as a table.

An environment is always in one state. Things that happen to it are events; the table says which state
an event leads to. Whatever is not in the table is illegal: it raises and changes nothing. There is no
I/O here, no clock and no await, so the whole of it can be tested by walking the product of states and
events. :mod:`emulator.environment` is the only caller of :func:`advance`.

What the states mean (AWS's phases: Init, Invoke, Shutdown; sources in docs/fidelity.md):

``starting``        the sandbox is being made
``init``            the runtime runs the function's module-level code
``idle``            every party waits for the next event and nothing is frozen
``freezing``        a freeze was asked for and is not confirmed
``frozen``          no process of the environment runs
``thawing``         a thaw was asked for and is not confirmed
``invoking``        one event is being served
``resetting``       after a failure: processes and memory go, the surroundings stay; the next event runs init again
``shutting-down``   the environment is being ended
``gone``            nothing is left of it
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from emulator.errors import IllegalTransitionError

__all__ = ["TABLE", "Event", "State", "advance", "mermaid"]


class State(StrEnum):
    """Where in its life an environment is."""

    STARTING = "starting"
    INIT = "init"
    IDLE = "idle"
    FREEZING = "freezing"
    FROZEN = "frozen"
    THAWING = "thawing"
    INVOKING = "invoking"
    RESETTING = "resetting"
    SHUTTING_DOWN = "shutting-down"
    GONE = "gone"


class Event(StrEnum):
    """What can happen to an environment."""

    SANDBOX_STARTED = "sandbox-started"
    PARKED = "parked"  # the runtime and every extension wait at "next"
    FREEZE = "freeze"
    FREEZE_CONFIRMED = "freeze-confirmed"
    FREEZE_FAILED = "freeze-failed"
    THAW = "thaw"
    THAW_CONFIRMED = "thaw-confirmed"
    INVOKE = "invoke"
    RESET = "reset"
    RESET_DONE = "reset-done"
    INIT_AGAIN = "init-again"
    END = "end"
    ENDED = "ended"


_S, _E = State, Event

_LIVE: dict[State, dict[Event, State]] = {
    _S.STARTING: {_E.SANDBOX_STARTED: _S.INIT},
    _S.INIT: {_E.PARKED: _S.IDLE, _E.RESET: _S.RESETTING},
    # After a reset there is no runtime; init runs inside the next invocation.
    _S.IDLE: {_E.INVOKE: _S.INVOKING, _E.FREEZE: _S.FREEZING, _E.INIT_AGAIN: _S.INIT},
    # A thaw may overtake a freeze that is still on its way; the freeze then gives up.
    _S.FREEZING: {_E.FREEZE_CONFIRMED: _S.FROZEN, _E.FREEZE_FAILED: _S.IDLE, _E.THAW: _S.THAWING},
    _S.FROZEN: {_E.THAW: _S.THAWING},
    _S.THAWING: {_E.THAW_CONFIRMED: _S.IDLE},
    _S.INVOKING: {_E.PARKED: _S.IDLE, _E.RESET: _S.RESETTING},
    _S.RESETTING: {_E.RESET_DONE: _S.IDLE},
}

TABLE: Mapping[State, Mapping[Event, State]] = MappingProxyType(
    {
        # Whatever an environment does, it can be ended.
        **{state: MappingProxyType(row | {_E.END: _S.SHUTTING_DOWN}) for state, row in _LIVE.items()},
        _S.SHUTTING_DOWN: MappingProxyType({_E.ENDED: _S.GONE}),
        _S.GONE: MappingProxyType({}),
    }
)


def advance(state: State, event: Event) -> State:
    """The state that ``event`` leads to.

    Raises:
        IllegalTransitionError: the table has no such entry.
    """
    try:
        return TABLE[state][event]
    except KeyError:
        raise IllegalTransitionError(state, event) from None


def mermaid() -> str:
    """The table as a Mermaid state diagram; docs/architecture.md holds exactly this text."""
    lines = ["stateDiagram-v2", f"    [*] --> {State.STARTING}"]
    for state, row in TABLE.items():
        lines += [f"    {_id(state)} --> {_id(target)}: {event}" for event, target in row.items()]
    lines.append(f"    {State.GONE} --> [*]")
    return "\n".join(lines)


def _id(state: State) -> str:
    return state.replace("-", "_")
