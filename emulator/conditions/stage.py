"""Where a condition plays, and what it is made of."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from emulator.embedded import DeployedFunction, Emulator, InvocationResult

__all__ = ["Condition", "Stage"]


class Condition(Protocol):
    """Something that happens to functions on AWS.

    It keeps nothing of its own: what it has to remember from one invocation to the next is in the stage's ``notes``.
    """

    @property
    def name(self) -> str:
        """As markers and options name it, its number included: ``storm=25``."""
        ...

    @property
    def title(self) -> str:
        """For people: ``frozen past wait_timeout``."""
        ...

    @property
    def what(self) -> str:
        """What it does, in a sentence."""
        ...

    @property
    def reason(self) -> str:
        """Why a function has to stand it, in a sentence."""
        ...

    @property
    def begins_with(self) -> int:
        """Which invocation of a test is the first that can feel it, from 1."""
        ...

    def settings(self) -> Mapping[str, Mapping[str, Any]]:
        """What of the configuration has to be different: ``policy`` of the function, ``path`` of ``database``."""
        ...

    def invoke(self, stage: Stage, function: DeployedFunction, payload: Any, nth: int) -> InvocationResult:
        """The ``nth`` invocation of a test, from 1: bring the condition about before it, during it or instead of it.

        Raises:
            ConditionError: it cannot be had here; nothing was invoked.
            RequestError: what the API would answer with a status that is not 200.
        """
        ...


@dataclass(frozen=True, slots=True)
class Stage:
    """An emulator for the time of one test, or of one part of an audit.

    Attributes:
        notes: what a condition remembers.
    """

    emulator: Emulator
    notes: dict[str, Any] = field(default_factory=dict)
    _ends: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @contextlib.contextmanager
    def under(self, condition: Condition, function: DeployedFunction) -> Iterator[None]:
        """For the block, the emulator is as the condition needs it; afterwards as it was."""
        settings = condition.settings()
        with self._ends:
            if (path := settings.get("database", {}).get("path")) is not None:
                self.at_end(self.emulator.set_path, self.emulator.set_path(path))
            if (policy := settings.get("policy")) is not None:
                before = self.emulator.deployed(function.name).policy
                function.set_policy(policy)
                self.at_end(function.set_policy, before)
            yield

    def at_end(self, action: Callable[..., object], *arguments: Any) -> None:
        """What puts back what a condition has changed."""
        self._ends.callback(action, *arguments)
