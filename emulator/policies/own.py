"""A user's own rules: found by ``module:Class``, and kept from doing harm.

What a rule of the user's raises, or answers in vain, is told once, with the cure; from then on it is left out, until
a policy is set again. An environment never feels it.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any, TypeVar

from emulator.errors import ConfigurationError
from emulator.invocation import Outcome
from emulator.policies.histogram import Histogram
from emulator.policies.idle_times import IdleTimes
from emulator.policies.memory import MemoryPressure
from emulator.policies.policy import LearningRule, Policy, is_rule
from emulator.policies.rules import AfterError, Chance, HalfOfIdle, IdleTimeout, MaxInvocations, MaxLifetime
from emulator.policies.selection import Reusable, Selection

__all__ = ["Tell", "as_policy", "described", "in_force", "is_own_name", "load_own"]

Tell = Callable[[str], None]
"""Gets a sentence about a rule that is left out."""

E = TypeVar("E", bound=Reusable)

_OWN_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_METHODS = ("verdict", "after_invocation", "select")
_OURS = (AfterError, Chance, HalfOfIdle, Histogram, IdleTimeout, MaxInvocations, MaxLifetime, MemoryPressure)


def is_own_name(name: str) -> bool:
    """Whether it has the form ``module:Class``."""
    return _OWN_NAME.fullmatch(name) is not None


def load_own(name: str, base: Path | None) -> Policy:
    """A policy of the user's class, which has one or more of ``verdict``, ``after_invocation`` and ``select``.

    Arguments:
        name: ``module:Class``, or the name of a rule or a policy that is ready made; a module of ``base`` comes before
            one that is installed, and is read anew each time.
        base: the folder of the configuration.

    Raises:
        ConfigurationError: there is no such class, it is no rule, or it cannot be made without arguments.
    """
    module_name, _, class_name = name.partition(":")
    module = _import(module_name, base, name)
    found = getattr(module, class_name, None)
    if is_rule(found):
        return replace(as_policy(found), name=name)
    if not isinstance(found, type):
        raise ConfigurationError(
            f"policy {name}: {module_name} has no class {class_name}",
            cure=f"It has {', '.join(_classes(module)) or 'no class at all'}.",
        )
    if not any(callable(getattr(found, method, None)) for method in _METHODS):
        raise ConfigurationError(
            f"policy {name}: {class_name} is no rule",
            cure=f"Give it one of the methods {', '.join(_METHODS)}; docs/policies.md shows how.",
        )
    try:
        made = found()
    except Exception as error:  # the user's code may raise whatever it likes
        raise ConfigurationError(
            f"policy {name}: {class_name}() raised {_in_words(error)}", cure="It is made without arguments."
        ) from error
    rules = (made,) if hasattr(made, "verdict") or hasattr(made, "after_invocation") else ()
    selection = _OwnSelection(made) if hasattr(made, "select") else Selection.MOST_RECENT
    return Policy(name, rules, selection=selection)


def as_policy(thing: object) -> Policy:
    """A policy that a program has composed; a single rule is one too.

    Raises:
        ConfigurationError: it is neither.
    """
    if isinstance(thing, Policy):
        return thing
    if is_rule(thing):
        return Policy("own", (thing,))
    raise ConfigurationError(
        f"{thing!r} is no policy", cure='It is settings, or rules such as IdleTimeout("7m") | MaxLifetime("2h").'
    )


def in_force(policy: Policy, times: IdleTimes, tell: Tell) -> Policy:
    """The policy for one function: its rules learn from ``times``, and rules of the user's are watched."""

    def change(rule: Any) -> object:
        if type(rule) in _OURS:
            return rule.learning_from(times) if isinstance(rule, LearningRule) else rule
        return _Guarded(rule, tell)

    made = policy.with_rules(change)
    if not isinstance(policy.selection, Selection):
        made = replace(made, selection=_GuardedSelection(policy.selection, tell))
    return made


def described(policy: Policy) -> tuple[str, ...]:
    """Its rules in words; a rule of the user's by the name of its class."""
    return tuple(
        str(rule) if type(rule) in _OURS or isinstance(rule, LearningRule) else _name(rule) for rule in policy.rules
    )


class _Watched:
    """Something of the user's; whatever goes wrong with it is told once."""

    def __init__(self, inner: Any, tell: Tell) -> None:
        self.inner, self._tell = inner, tell
        self._broken = False

    def __str__(self) -> str:
        return _name(self)

    def _call(self, method: str, *arguments: Any) -> Any:
        action = getattr(self.inner, method, None)
        if self._broken or action is None:
            return None
        try:
            return action(*arguments)
        except Exception as error:  # noqa: BLE001 (it is told, and must not reach the environment)
            self._leave_out(method, f"raised {_in_words(error)}")
            return None

    def _leave_out(self, method: str, why: str) -> None:
        self._broken = True
        self._tell(
            f"{_name(self.inner)}.{method} {why}; it is left out from now on. "
            "Mend it and set the policy again: PUT /_emulator/api/policy, or start anew."
        )


class _Guarded(_Watched):
    """A rule of the user's. It has every method; those that the user's has not got say nothing."""

    def __init__(self, inner: Any, tell: Tell) -> None:
        super().__init__(inner, tell)
        self._now = -math.inf

    def verdict(self, environment: Reusable, now: float) -> str | None:
        self._now = now
        return self._reason("verdict", environment, now)

    def due(self, environment: Reusable) -> float | None:
        moment = self._call("due", environment)
        if moment is None:
            return None
        if isinstance(moment, bool) or not isinstance(moment, int | float) or not math.isfinite(moment):
            self._leave_out("due", f"answered {moment!r} instead of a moment or None")
            return None
        # One that has passed without a verdict would be looked at again and again, for ever.
        return float(moment) if moment > self._now else None

    def after_invocation(self, environment: Reusable, outcome: Outcome) -> str | None:
        return self._reason("after_invocation", environment, outcome)

    def _reason(self, method: str, *arguments: Any) -> str | None:
        reason = self._call(method, *arguments)
        if reason is None or (isinstance(reason, str) and reason):
            return reason
        self._leave_out(method, f"answered {reason!r} instead of a reason or None")
        return None


class _OwnSelection:
    """The user's ``select``, which answers one of the environments it is given."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def choose(self, idle: Sequence[E], chance: Random) -> tuple[E, str]:
        chosen: E = self.inner.select(idle)
        return chosen, f"chosen of {len(idle)} idle by {_name(self)}"

    def __str__(self) -> str:
        return _name(self)


class _GuardedSelection(_Watched):
    """A choice of the user's; where it fails, the most recent one serves."""

    def choose(self, idle: Sequence[E], chance: Random) -> tuple[E, str]:
        answer = self._call("choose", idle, chance)
        if answer is not None:
            chosen, reason = answer
            if any(chosen is environment for environment in idle):
                return chosen, reason
            self._leave_out("select", f"answered {chosen!r}, which is none of the idle ones")
        return Selection.MOST_RECENT.choose(idle, chance)


def _import(module_name: str, base: Path | None, name: str) -> ModuleType:
    file = _file_of(module_name, base)
    try:
        if file is None or base is None:
            return importlib.import_module(module_name)
        spec = importlib.util.spec_from_file_location(module_name, file)
        assert spec is not None and spec.loader is not None, "a file with Python in it has a loader"  # noqa: PT018
        module = importlib.util.module_from_spec(spec)
        sys.path.insert(0, str(base))  # for what it imports itself
        try:
            spec.loader.exec_module(module)
        finally:
            sys.path.remove(str(base))
    except ModuleNotFoundError as error:
        if error.name != module_name.partition(".")[0]:
            raise ConfigurationError(
                f"policy {name}: {module_name} imports {error.name}, which is not there",
                cure="Install it where the emulator runs, or put it beside the configuration.",
            ) from error
        raise ConfigurationError(
            f"policy {name}: there is no module {module_name}",
            cure=f"Put {module_name.replace('.', '/')}.py into {base or Path.cwd()}, where the configuration is.",
        ) from error
    except Exception as error:  # the user's code may raise whatever it likes
        raise ConfigurationError(
            f"policy {name}: {module_name} cannot be imported: {_in_words(error)}", cure=f"Mend {file or module_name}."
        ) from error
    return module


def _file_of(module_name: str, base: Path | None) -> Path | None:
    if base is None:
        return None
    path = base.joinpath(*module_name.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def _classes(module: ModuleType) -> list[str]:
    own = (thing for thing in vars(module).values() if isinstance(thing, type) and thing.__module__ == module.__name__)
    return sorted(thing.__name__ for thing in own)


def _name(thing: object) -> str:
    while isinstance(thing, _Watched | _OwnSelection):
        thing = thing.inner
    return type(thing).__qualname__


def _in_words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
