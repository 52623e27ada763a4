"""Policies: what each rule says, when it will say it, and why."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.policy import PRESETS, IdleTimeout, MaxInvocations, MaxLifetime, Policy, Rule, in_words


@dataclass
class Known:
    """What a policy may know of an environment."""

    created_at: float = 0.0
    idle_since: float = 0.0
    invocations: int = 1


def test_idle_timeout_speaks_at_its_moment_and_not_before() -> None:
    """The rule counts from the last use, and says both figures."""
    rule, environment = IdleTimeout(420.0), Known(created_at=0.0, idle_since=100.0)
    assert rule.due(environment) == 520.0
    assert rule.verdict(environment, 519.9) is None
    assert rule.verdict(environment, 520.0) == "idle 7 min >= 7 min"
    assert rule.verdict(environment, 522.0) == "idle 7 min 2 s >= 7 min"


def test_max_lifetime_counts_from_the_beginning_whatever_the_use() -> None:
    """An environment in constant use is replaced as well."""
    rule, environment = MaxLifetime(7200.0), Known(created_at=100.0, idle_since=7299.0)
    assert rule.due(environment) == 7300.0
    assert rule.verdict(environment, 7299.9) is None
    assert rule.verdict(environment, 7300.0) == "age 2 h >= 2 h"


@pytest.mark.parametrize(("served", "verdict"), [(2, None), (3, "3 invocations >= 3"), (4, "4 invocations >= 3")])
def test_max_invocations_counts_and_never_waits(served: int, verdict: str | None) -> None:
    """Time alone never makes this rule speak."""
    rule, environment = MaxInvocations(3), Known(invocations=served)
    assert rule.verdict(environment, 1e9) == verdict
    assert rule.due(environment) is None


moments = st.floats(0.0, 1e9)
seconds = st.floats(0.001, 1e7)


@given(rule=st.one_of(st.builds(IdleTimeout, seconds), st.builds(MaxLifetime, seconds)), since=moments)
def test_a_rule_speaks_when_it_said_it_would(rule: Rule, since: float) -> None:
    """A timer for ``due`` finds a verdict there: one that came a rounding error too early would come for ever."""
    environment = Known(created_at=since, idle_since=since)
    due = rule.due(environment)
    assert due is not None
    assert rule.verdict(environment, due) is not None


def test_the_first_rule_that_speaks_gives_the_reason() -> None:
    """One reason is enough, and the order of the rules decides which."""
    policy = Policy("test", (MaxInvocations(5), IdleTimeout(10.0), MaxLifetime(10.0)))
    assert policy.verdict(Known(), 9.0) is None
    assert policy.verdict(Known(), 10.0) == "idle 10 s >= 10 s"
    assert policy.verdict(Known(invocations=5), 10.0) == "5 invocations >= 5"


def test_a_policy_is_due_when_its_first_rule_is() -> None:
    """The earliest moment of all rules; none, where no rule waits for time."""
    environment = Known(created_at=100.0, idle_since=200.0)
    assert Policy("test", (MaxLifetime(300.0), IdleTimeout(50.0))).due(environment) == 250.0
    assert Policy("test", (MaxInvocations(1),)).due(environment) is None
    assert Policy("test").due(environment) is None


def test_a_policy_without_rules_keeps_everything() -> None:
    """No verdict, however old and used."""
    assert Policy("test").verdict(Known(invocations=10**9), 1e12) is None


def test_the_environment_used_last_serves_next() -> None:
    """Of the idle ones, in the order in which they became idle, the last is chosen."""
    first, second, third = Known(), Known(), Known()
    assert Policy("test").select([first, second, third]) is third


def test_the_presets_are_what_the_documentation_says() -> None:
    """``aws``: 7 minutes idle, 2 hours in all; ``always-cold``: one invocation; ``keep-warm``: nothing."""
    assert {
        "aws": (IdleTimeout(420.0), MaxLifetime(7200.0)),
        "always-cold": (MaxInvocations(1),),
        "keep-warm": (),
    } == PRESETS


@pytest.mark.parametrize(
    ("given_seconds", "words"),
    [
        (0.0, "0.0 s"),
        (0.26, "0.3 s"),
        (59.0, "59 s"),
        (60.0, "1 min"),
        (61.9, "1 min 1 s"),
        (422.0, "7 min 2 s"),
        (3_600.0, "1 h"),
        (3_659.0, "1 h"),
        (3_660.0, "1 h 1 min"),
        (86_399.0, "23 h 59 min"),
        (86_400.0, "1 d"),
        (100_000.0, "1 d 3 h"),
        (8_640_000.0, "100 d"),
    ],
)
def test_spans_are_written_in_two_units_at_most(given_seconds: float, words: str) -> None:
    """Short enough to compare by eye, with the unit always named."""
    assert in_words(given_seconds) == words


@pytest.mark.parametrize("given_seconds", [59.6, 59.9999])
def test_a_span_just_below_a_minute_is_not_rounded_into_nonsense(given_seconds: float) -> None:
    """Three digits of 59.99 seconds are ``60 s``, and never ``6e+01 s``."""
    assert in_words(given_seconds) in ("59.6 s", "60 s")
