"""The conditions. Each is a small class that says what it does and why.

The room is long because it is one list.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from emulator.conditions.seen import error_of
from emulator.conditions.stage import Stage
from emulator.database.relay_records import NAT
from emulator.embedded import DeployedFunction, InvocationResult
from emulator.errors import ConditionError, DatabaseError
from emulator.killing import Middle

__all__ = [
    "KEPT_WARM",
    "ColdEachTime",
    "DatabaseRestarted",
    "FailoverReadOnly",
    "FrozenPastWaitTimeout",
    "KilledInTheMiddle",
    "Nat",
    "RecycledSilently",
    "Storm",
    "Warm",
]

_Settings = Mapping[str, Mapping[str, Any]]

_AS_IT_IS: _Settings = MappingProxyType({})
KEPT_WARM: Mapping[str, Any] = MappingProxyType(
    {
        "name": "keep-warm",
        "idle_timeout": "off",
        "max_lifetime": "off",
        "max_invocations": 0,
        "half_of_idle": "off",
        "histogram": "off",
        "chance": 0,
        "after_error": False,
    }
)
"""A function's ``policy`` under which its environments stay, whatever the one of all functions says."""
_MARGIN = 60.0  # seconds beyond a limit, so that nobody has to ask on which side of it we are
_FIRST_IS_COLD = 2  # what happens to a warm environment cannot happen to a function's first invocation


class Warm:
    """The function as it is, one invocation after the other."""

    name = title = "warm"
    what = "Nothing happens between invocations but a freeze and a thaw."
    reason = "It is what a test without conditions shows: what all others are compared with."
    begins_with = 1

    def settings(self) -> _Settings:
        return _AS_IT_IS

    def invoke(self, stage: Stage, function: DeployedFunction, payload: Any, nth: int) -> InvocationResult:
        return function.invoke(payload)


class ColdEachTime:
    """A new environment for each invocation."""

    name = "cold-each-time"
    title = "cold each time"
    what = "Before each invocation every environment ends and its connections are closed."
    reason = "No invocation may count on what an earlier one left in memory or in /tmp."
    begins_with = 1

    def settings(self) -> _Settings:
        return _AS_IT_IS

    def invoke(self, stage: Stage, function: DeployedFunction, payload: Any, nth: int) -> InvocationResult:
        function.recycle("fin")
        return function.invoke(payload)


class FrozenPastWaitTimeout:
    """The server gives the session up while nobody runs who could hear of it."""

    name = "frozen-past-wait-timeout"
    title = "frozen past wait_timeout"
    what = "Between two invocations the environment is frozen for longer than the server's wait_timeout."
    reason = (
        "The server has closed the session and the client does not know: its next statement fails with 2013 or 2006."
    )
    begins_with = _FIRST_IS_COLD

    def settings(self) -> _Settings:
        return {"policy": KEPT_WARM}

    def invoke(self, stage: Stage, function: DeployedFunction, payload: Any, nth: int) -> InvocationResult:
        if nth >= self.begins_with:
            with _database():
                stage.emulator.fast_forward(seconds=stage.emulator.connections_summary().wait_timeout + _MARGIN)
        return function.invoke(payload)


class Nat:
    """A middlebox forgets what is not used."""

    name = "nat"
    title = "frozen 350 s behind NAT"
    what = "A NAT gateway is on the path, and between two invocations the environment is frozen for longer than 350 s."
    reason = "The gateway has forgotten a connection that both ends hold to be open, and answers with a reset."
    begins_with = _FIRST_IS_COLD

    def settings(self) -> _Settings:
        return {"policy": KEPT_WARM, "database": {"path": NAT.name}}

    def invoke(self, stage: Stage, function: DeployedFunction, payload: Any, nth: int) -> InvocationResult:
        if nth >= self.begins_with:
            assert NAT.idle is not None, "a NAT gateway forgets"
            stage.emulator.fast_forward(seconds=NAT.idle + _MARGIN)
        return function.invoke(payload)


class RecycledSilently:
    """An environment vanishes, and the next invocation is a cold start beside what it left."""

    name = "recycled-silently"
    title = "recycled silently"
    what = "Between two invocations the environment vanishes without a word to anybody."
    reason = "The server holds its sessions, with their locks and open transactions, until wait_timeout."
    begins_with = _FIRST_IS_COLD

    def settings(self) -> _Settings:
        return _AS_IT_IS

    def invoke(self, stage: Stage, function: DeployedFunction, payload: Any, nth: int) -> InvocationResult:
        if nth >= self.begins_with:
            function.recycle("silent")
        return function.invoke(payload)


class KilledInTheMiddle:
    """The runtime dies at work; whoever had invoked it tries again."""

    name = "killed-in-the-middle"
    title = "killed in the middle"
    what = "Each event kills its runtime half-way through its statements, and is sent once more: that is the answer."
    reason = (
        "Memory runs out, a timeout strikes, the client retries: what the first try had done is done twice, or half."
    )
    begins_with = 1

    def settings(self) -> _Settings:
        return _AS_IT_IS

    def invoke(self, stage: Stage, function: DeployedFunction, payload: Any, nth: int) -> InvocationResult:
        # How long the conversation is shows the retry; before the first one it is not known.
        whole = stage.notes.get(self.name, 1)
        tried = function.invoke_and_kill(payload, middle=Middle(pieces=max(1, whole // 2)))
        if not tried.killed:  # it was over before it said so much: then at once
            tried = function.invoke_and_kill(payload, middle=Middle(patience=0.0))
        if not tried.killed:
            raise ConditionError(
                "the invocation was over before it could be killed",
                cure="Give it a payload with which it has something to do.",
            )
        retried = function.invoke_and_kill(payload)
        stage.notes[self.name] = retried.pieces
        return retried.result


@dataclass(frozen=True, slots=True)
class Storm:
    """``number`` events at one moment."""

    number: int = 10
    begins_with = 1

    def __post_init__(self) -> None:
        if self.number < 1:
            raise ConditionError(f"a storm of {self.number} is none", cure="storm=25 is one of 25 at once.")

    @property
    def name(self) -> str:
        return "storm" if self.number == Storm().number else f"storm={self.number}"

    @property
    def title(self) -> str:
        return f"storm of {self.number}"

    @property
    def what(self) -> str:
        return f"Each event comes {self.number} times at once; the answer is that of the first that failed, if any did."

    @property
    def reason(self) -> str:
        return "Each of them needs an environment of its own, and all of them connect at the same moment."

    def settings(self) -> _Settings:
        return _AS_IT_IS

    def invoke(self, stage: Stage, function: DeployedFunction, payload: Any, nth: int) -> InvocationResult:
        results = function.invoke_parallel([payload] * self.number)
        return next((result for result in results if error_of(result) is not None), results[0])


class DatabaseRestarted:
    """Maintenance, a crash, a new version: the server was away for a moment."""

    name = "database-restarted"
    title = "database restarted"
    what = "Between two invocations the database server ends and starts anew, on the same data."
    reason = "Every session is gone, and a connection that was opened before is dead for good."
    begins_with = _FIRST_IS_COLD

    def settings(self) -> _Settings:
        return _AS_IT_IS

    def invoke(self, stage: Stage, function: DeployedFunction, payload: Any, nth: int) -> InvocationResult:
        if nth >= self.begins_with:
            with _database():
                stage.emulator.restart_database()
        return function.invoke(payload)


class FailoverReadOnly:
    """The writer becomes a reader, and whoever is connected stays connected."""

    name = "failover-read-only"
    title = "failover to read-only"
    what = "After the first invocation the open sessions may only read; whoever connects from then on may write."
    reason = "After a failover a connection that lives on leads to the old writer, which refuses to write: 1290."
    begins_with = _FIRST_IS_COLD

    def settings(self) -> _Settings:
        return _AS_IT_IS

    def invoke(self, stage: Stage, function: DeployedFunction, payload: Any, nth: int) -> InvocationResult:
        if nth >= self.begins_with and not stage.notes.get(self.name):
            with _database():
                stage.emulator.fail_over()
            stage.at_end(stage.emulator.fail_back)
            stage.notes[self.name] = True
        return function.invoke(payload)


@contextlib.contextmanager
def _database() -> Iterator[None]:
    """A database that does not lend itself to a condition is a condition that cannot be had."""
    try:
        yield
    except DatabaseError as error:
        raise ConditionError(error.message, cure=error.cure) from error
