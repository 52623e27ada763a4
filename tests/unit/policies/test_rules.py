"""What each rule says, when it will say it, and why."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.errors import ConfigurationError
from emulator.invocation import Outcome
from emulator.model import Answer, EnvironmentId
from emulator.policies import AfterError, Chance, HalfOfIdle, Histogram, IdleTimeout, MaxInvocations, MaxLifetime
from emulator.policies.idle_times import IdleTimes
from emulator.policies.policy import Rule
from emulator.policies.rules import drawn
from tests.unit.policies.known import Known, failed, report, served


def test_idle_timeout_speaks_at_its_moment_and_not_before() -> None:
    """The rule counts from the last use, and says both figures."""
    rule, environment = IdleTimeout("7m"), Known(created_at=0.0, idle_since=100.0)
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


@pytest.mark.parametrize(("served_", "verdict"), [(2, None), (3, "3 invocations >= 3"), (4, "4 invocations >= 3")])
def test_max_invocations_counts_and_never_waits(served_: int, verdict: str | None) -> None:
    """Time alone never makes this rule speak."""
    rule, environment = MaxInvocations(3), Known(invocations=served_)
    assert rule.verdict(environment, 1e9) == verdict
    assert rule.due(environment) is None


def test_a_range_gives_each_environment_its_own_limit() -> None:
    """Drawn from its id: different ones, all within the range, the same whenever it is asked; and it says so."""
    rule = IdleTimeout("5m..10m")
    environments = [Known(id=EnvironmentId(f"{number:032x}")) for number in range(200)]
    limits = [rule.due(environment) for environment in environments]
    assert limits == [rule.due(environment) for environment in environments]
    assert all(300.0 <= limit <= 600.0 for limit in limits)
    assert min(limits) < 320 < 580 < max(limits)
    reason = rule.verdict(environments[0], 600.0)
    assert reason is not None
    assert reason.startswith("idle 10 min >= ")
    assert reason.endswith(", drawn from 5 min to 10 min")


def test_idle_time_and_lifetime_are_drawn_apart() -> None:
    """Who may rest long need not live long."""
    environment = Known(id=EnvironmentId("a" * 32))
    assert IdleTimeout("1m..2m").due(environment) != MaxLifetime("1m..2m").due(environment)


@given(number=st.integers(0, 2**128 - 1), purpose=st.text(max_size=5))
def test_what_is_drawn_lies_between_nothing_and_one(number: int, purpose: str) -> None:
    """One itself is never drawn: a chance of nothing never strikes, and a chance of one always does."""
    found = drawn(EnvironmentId(f"{number:032x}"), purpose)
    assert 0 <= found < 1
    environment = Known(id=EnvironmentId(f"{number:032x}"))
    assert Chance(0).after_invocation(environment, served()) is None
    assert Chance(1).after_invocation(environment, served()) is not None


def test_chance_draws_anew_for_every_invocation_and_tells_what_it_drew() -> None:
    """About one in twenty; asked again about the same invocation it says the same."""
    rule = Chance(0.05)
    reasons = [rule.after_invocation(Known(invocations=number), served()) for number in range(1, 4001)]
    struck = [reason for reason in reasons if reason is not None]
    assert 140 < len(struck) < 260
    assert all(reason.startswith("drew 0.0") and reason.endswith(" < chance 0.05") for reason in struck)
    assert reasons == [rule.after_invocation(Known(invocations=number), served()) for number in range(1, 4001)]


@pytest.mark.parametrize("probability", [-0.1, 1.1, math.nan])
def test_a_chance_is_a_probability(probability: float) -> None:
    """Anything else is refused where it is written."""
    with pytest.raises(ConfigurationError, match="chance is"):
        Chance(probability)


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (served(), None),
        (failed("Function.Wrong"), "its invocation failed: Function.Wrong"),
        (failed(None), "its invocation failed: Unhandled"),
        (Outcome(answer=Answer(b"1"), report=report(status="timeout")), "its invocation failed: timeout"),
        (
            Outcome(answer=Answer(b"1"), report=report("error", "Runtime.ExitError")),
            "its invocation failed: Runtime.ExitError",
        ),
        (Outcome(), None),
    ],
)
def test_after_error_speaks_of_every_kind_of_failure(outcome: Outcome, reason: str | None) -> None:
    """A handled error, an end, and what fails when the client has its answer already."""
    assert AfterError().after_invocation(Known(), outcome) == reason


@pytest.mark.parametrize(("count", "going"), [(0, 0), (1, 0), (2, 0), (3, 0), (4, 2), (5, 2), (7, 3), (100, 50)])
def test_half_of_the_idle_ones_go_until_a_few_are_left(count: int, going: int) -> None:
    """Those first that are idle longest; two or three are left to an idle timeout, as was measured."""
    idle = [Known(idle_since=float(number)) for number in range(count)]
    picked = list(HalfOfIdle().pick(idle))
    assert [environment for environment, _ in picked] == idle[:going]
    assert {reason for _, reason in picked} <= {f"half of {count} idle ones go every 5 min, idle longest first"}


@pytest.mark.parametrize("make", [IdleTimeout, MaxLifetime, HalfOfIdle, Histogram])
@pytest.mark.parametrize("value", ["seven", "0s", -1, "10m..5m"])
def test_a_rule_refuses_what_is_no_duration(make: type, value: float | str) -> None:
    """With an error of our tree that shows what is one."""
    with pytest.raises(ConfigurationError) as caught:
        make(value)
    assert repr(value) in caught.value.message
    assert caught.value.cure


@pytest.mark.parametrize("make", [HalfOfIdle, Histogram])
def test_where_nothing_is_drawn_a_range_is_refused(make: type) -> None:
    """A period is one span."""
    with pytest.raises(ConfigurationError, match=re.escape("1m..2m")):
        make("1m..2m")


moments = st.floats(0.0, 1e9)
lengths = st.floats(0.001, 1e7)
spans = st.one_of(lengths, st.tuples(lengths, lengths).map(lambda two: f"{min(two):f}s..{max(two):f}s"))
idle_times = st.lists(st.floats(0.0, 20_000.0), max_size=30)


def learnt(found: list[float], fixed: float) -> Rule:
    times = IdleTimes()
    for seconds in found:
        times.note(seconds)
    return Histogram(fixed).learning_from(times)


rules = st.one_of(st.builds(IdleTimeout, spans), st.builds(MaxLifetime, spans), st.builds(learnt, idle_times, lengths))


@given(
    rule=rules,
    created=moments,
    rest=lengths,
    number=st.integers(0, 2**128 - 1),
    early=st.floats(0.0, 1.0, exclude_max=True),
)
def test_a_rule_speaks_when_it_said_it_would_and_not_before(
    rule: Rule, created: float, rest: float, number: int, early: float
) -> None:
    """A timer for ``due`` finds a verdict there: one that came a rounding error too early would come for ever."""
    environment = Known(created_at=created, idle_since=created + rest, id=EnvironmentId(f"{number:032x}"))
    due = rule.due(environment)
    assert due is not None
    assert rule.verdict(environment, due) is not None
    assert rule.verdict(environment, math.nextafter(due, 0.0)) is None
    assert rule.verdict(environment, due * early) is None
    assert rule.verdict(environment, due + rest) is not None
    assert rule.due(environment) == due
