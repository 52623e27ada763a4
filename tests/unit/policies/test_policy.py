"""A policy as a whole: which rule gives the reason, and how rules are joined."""

from __future__ import annotations

from random import Random

import pytest

from emulator.model import Reclaim
from emulator.policies import (
    PRESETS,
    AfterError,
    Chance,
    HalfOfIdle,
    IdleTimeout,
    MaxInvocations,
    MaxLifetime,
    MemoryPressure,
    Policy,
    Selection,
)
from emulator.policies.policy import is_rule
from tests.unit.policies.known import Known, failed, served


def test_the_first_rule_that_speaks_gives_the_reason() -> None:
    """One reason is enough, and the order of the rules decides which."""
    policy = Policy("test", (MaxInvocations(5), IdleTimeout(10.0), MaxLifetime(10.0)))
    assert policy.verdict(Known(), 9.0) is None
    assert policy.verdict(Known(), 10.0) == "idle 10 s >= 10 s"
    assert policy.verdict(Known(invocations=5), 10.0) == "5 invocations >= 5"


def test_what_an_invocation_says_is_asked_for_itself() -> None:
    """Rules about invocations say nothing of time, and the others nothing of invocations."""
    policy = Policy("test", (IdleTimeout(10.0), Chance(0.0), AfterError()))
    assert policy.verdict(Known(), 9.0) is None
    assert policy.after_invocation(Known(), served()) is None
    assert policy.after_invocation(Known(), failed("Function.Wrong")) == "its invocation failed: Function.Wrong"


def test_a_policy_is_due_when_its_first_rule_is() -> None:
    """The earliest moment of all rules; none, where no rule waits for time."""
    environment = Known(created_at=100.0, idle_since=200.0)
    assert Policy("test", (MaxLifetime(300.0), IdleTimeout(50.0))).due(environment) == 250.0
    assert Policy("test", (MaxInvocations(1), Chance(0.5), HalfOfIdle())).due(environment) is None
    assert Policy("test").due(environment) is None


def test_a_policy_without_rules_keeps_everything() -> None:
    """No verdict, however old and used."""
    assert Policy("test").verdict(Known(invocations=10**9), 1e12) is None


def test_rules_are_joined_to_a_policy() -> None:
    """Two rules, a third one, and a policy on either side; durations are written or numbers."""
    policy = IdleTimeout("7m") | MaxLifetime(7200)
    assert policy == Policy("own", (IdleTimeout(420.0), MaxLifetime("2h")))
    assert (policy | MaxInvocations(3)).rules == (IdleTimeout(420.0), MaxLifetime("2h"), MaxInvocations(3))
    assert (MaxInvocations(3) | policy).rules == (MaxInvocations(3), IdleTimeout(420.0), MaxLifetime("2h"))
    assert (policy | MemoryPressure(512)).rules[-1] == MemoryPressure(512)


def test_joined_policies_keep_what_the_first_one_says_besides_its_rules() -> None:
    """Name, choice and ends."""
    first = Policy("first", (MaxInvocations(3),), Reclaim.FIN, Selection.OLDEST)
    second = Policy("second", (MaxInvocations(4),), Reclaim.RST, Selection.RANDOM)
    joined = first | second
    assert (joined.name, joined.reclaim, joined.selection) == ("first", Reclaim.FIN, Selection.OLDEST)
    assert joined.rules == (MaxInvocations(3), MaxInvocations(4))


class Mine:
    """A rule of the user's own, which is nothing but a class with a method."""

    def verdict(self, environment: Known, now: float) -> str | None:
        return None

    def due(self, environment: Known) -> float | None:
        return None


def test_a_rule_of_the_user_s_is_joined_like_any_other() -> None:
    """On either side, without a base class."""
    mine = Mine()
    assert (IdleTimeout("7m") | mine).rules == (IdleTimeout("7m"), mine)
    assert (mine | IdleTimeout("7m")).rules == (mine, IdleTimeout("7m"))


@pytest.mark.parametrize("thing", [5, "7m", None, Mine, IdleTimeout])
def test_what_is_no_rule_is_not_joined(thing: object) -> None:
    """A class of rules is none: an instance of it is."""
    assert not is_rule(thing)
    with pytest.raises(TypeError):
        _ = IdleTimeout("7m") | thing
    with pytest.raises(TypeError):
        _ = thing | IdleTimeout("7m")


def test_the_presets_are_what_the_documentation_says() -> None:
    """docs/policies.md has this table, with where each figure comes from."""
    assert {
        "aws": (IdleTimeout(420.0), MaxLifetime(7200.0)),
        "aws-2019": (IdleTimeout(600.0),),
        "openwhisk": (IdleTimeout(600.0),),
        "fn": (IdleTimeout(30.0),),
        "always-cold": (MaxInvocations(1),),
        "keep-warm": (),
    } == PRESETS


def test_the_choice_is_the_selection_s() -> None:
    """The environment used last, where nothing else is said."""
    first, second = Known(), Known()
    assert Policy("test").select([first, second], Random(1)) == (second, "used last of 2 idle")
    assert Policy("test", selection=Selection.LEAST_RECENT).select([first, second], Random(1))[0] is first
