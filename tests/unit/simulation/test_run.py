"""The simulator against what can be known without it: closed forms, and a naive program of a few lines."""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.errors import ConfigurationError
from emulator.model import Reclaim
from emulator.simulation import run as module
from emulator.simulation.arrivals import Rate, poisson
from emulator.simulation.ledger import Ledger
from emulator.simulation.lengths import Lengths, Shape
from emulator.simulation.results import Result
from emulator.simulation.run import candidate, simulate
from emulator.simulation.workload import Workload, WorkloadBuilder
from tests.unit.simulation.given import assumed, fixed, of, run, under

SIGMAS = 4.0  # one wrong alarm in 16,000, were the seed not fixed


def random(rate: float, duration: float, seed: int = 1) -> Workload:
    return poisson(Rate("test", rate), duration, ["orders"], Random(seed))


# -- closed forms --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("product", [0.05, 0.3, 1.0, 2.0, 3.5])
def test_cold_starts_of_poisson_arrivals_with_instant_service(product: float) -> None:
    """P(cold) = exp(-rate x timeout): an event is cold where none came within the timeout before it."""
    workload = random(1.0, 20_000)
    result = run(workload, {"idle_timeout": product})
    cold = math.exp(-product)
    deviation = math.sqrt(cold * (1 - cold) / len(workload))
    assert result.peak_environments == 1
    assert abs(result.cold_start_rate - cold) < SIGMAS * deviation


def test_cold_starts_with_a_timeout_that_is_drawn() -> None:
    """For a limit that is uniform between two: the mean of exp(-rate x limit), drawn anew for each environment."""
    workload = random(1.0, 30_000)
    result = run(workload, {"idle_timeout": "0.5s..2s"})
    # Each environment lives for a run of gaps below its limit L, so it serves exp(L) events on average.
    served_by_one = (math.exp(2.0) - math.exp(0.5)) / 1.5
    assert result.cold_start_rate == pytest.approx(1 / served_by_one, rel=0.04)


def test_fewer_cold_starts_with_a_longer_keep_alive() -> None:
    """The shape of every published curve: it falls, and less and less."""
    workload = random(1 / 300, 3_000_000)
    rates = [run(workload, {"idle_timeout": f"{minutes}m"}).cold_start_rate for minutes in (1, 5, 10, 20, 40)]
    assert rates == sorted(rates, reverse=True)
    slopes = [
        (before - after) / minutes
        for (before, after), minutes in zip(itertools.pairwise(rates), (4, 5, 10, 20), strict=True)
    ]
    assert slopes == sorted(slopes, reverse=True)


@pytest.mark.parametrize(("rate", "service", "init"), [(2.0, 3.0, 0.0), (0.5, 20.0, 7.0)])
def test_busy_environments_follow_little_s_law(rate: float, service: float, init: float) -> None:
    """On average as many are busy as events come in the time that one takes, cold starts included."""
    workload = random(rate, 15_000).with_durations(Lengths(Shape.EXPONENTIAL, service), Random(2))
    result = run(workload, {"idle_timeout": "1m"}, init_time=fixed(init))
    expected = (sum(workload.durations) + result.cold_starts * init) / result.seconds
    assert result.mean_busy == pytest.approx(expected, rel=1e-6)
    assert expected == pytest.approx(rate * (service + init * result.cold_start_rate), rel=0.05)


@pytest.mark.parametrize(("limit", "load"), [(3, 2.0), (10, 8.0), (5, 10.0)])
def test_what_the_limit_refuses_follows_erlang(limit: int, load: float) -> None:
    """With Poisson arrivals and no queue the refused part is Erlang's B, whatever the durations' shape."""
    blocked = 1.0
    for number in range(1, limit + 1):
        blocked = load * blocked / (number + load * blocked)
    workload = random(1.0, 20_000)
    for shape in (Shape.EXPONENTIAL, Shape.FIXED):
        lasting = workload.with_durations(Lengths(shape, load), Random(2))
        result = simulate(lasting, under({}, concurrency=limit), assumed())
        assert result.refused / result.events == pytest.approx(blocked, rel=0.1)
        assert result.peak_environments == limit


def test_sessions_of_zombies_pile_up_to_rate_times_hold() -> None:
    """Every event leaves one behind, and each stays for as long as the server holds it."""
    result = run(random(2.0, 20_000), {"name": "always-cold"}, wait_timeout=500.0, max_connections=900)
    steady = result.over_time.zombies[30:]
    assert sum(steady) / len(steady) == pytest.approx(1000, rel=0.02)
    assert result.share_above > 0.9
    # The server with the limit gives 900 in every 500 seconds, and refuses the rest.
    assert result.events - result.refused_connects == pytest.approx(20_000 / 500 * 900, rel=0.02)
    assert result.refused_connect_events == result.refused_connects


# -- a naive program -------------------------------------------------------------------------------------------


class Naive:
    """The same question answered by looking at every environment for every event. Idle timeout, silent ends."""

    def __init__(self, events: Sequence[tuple[float, float]], timeout: float, init: float, hold: float) -> None:
        uses: list[list[tuple[float, float]]] = []
        for at, duration in events:
            idle = [one for one in uses if one[-1][1] <= at < one[-1][1] + timeout]
            if idle:
                max(idle, key=lambda one: one[-1][1]).append((at, at + duration))
            else:
                uses.append([(at + init, at + init + duration)])
        self.cold = len(uses)
        self.recycled_by = [one[-1][1] + timeout for one in uses]
        self.sessions: list[tuple[float, float]] = []
        for one in uses:
            spans = [(begin, end + hold) for begin, end in one]
            merged = [spans[0]]
            for begin, end in spans[1:]:
                if begin < merged[-1][1]:
                    merged[-1] = (merged[-1][0], end)
                else:
                    merged.append((begin, end))
            self.sessions += merged

    def most_sessions(self, end: float, *, opened_first: bool) -> int:
        """Where one is dropped at the very moment at which another is opened, either may come first."""
        changes = [(begin, 1) for begin, _ in self.sessions] + [(drop, -1) for _, drop in self.sessions]
        changes.sort(key=lambda change: (change[0], -change[1] if opened_first else change[1]))
        return max(itertools.accumulate(change for at, change in changes if at <= end))

    def mean_sessions(self, end: float) -> float:
        return sum(max(0.0, min(drop, end) - begin) for begin, drop in self.sessions) / end


tenths = st.integers(0, 400).map(lambda number: number / 8)  # exact in binary, so that moments do meet
durations = st.integers(0, 80).map(lambda number: number / 8)


@given(
    events=st.lists(st.tuples(tenths, durations), min_size=1, max_size=25),
    timeout=st.integers(1, 80).map(lambda number: number / 8),
    init=st.sampled_from([0.0, 0.5, 3.0]),
    hold=st.sampled_from([0.25, 2.0, 7.5, 1e6]),
)
def test_it_agrees_with_a_naive_program(
    events: list[tuple[float, float]], timeout: float, init: float, hold: float
) -> None:
    """Cold starts, ends, the most sessions and their average, also where several things happen at one moment."""
    events.sort(key=lambda event: event[0])
    naive = Naive(events, timeout, init, hold)
    result = run(of(events, span=100.0), {"idle_timeout": timeout}, init_time=fixed(init), wait_timeout=hold)
    assert result.cold_starts == naive.cold
    assert result.recycled == sum(end <= result.seconds for end in naive.recycled_by)
    fewest, most = (naive.most_sessions(result.seconds, opened_first=first) for first in (False, True))
    assert fewest <= result.peak_connections <= most
    assert result.mean_connections == pytest.approx(naive.mean_sessions(result.seconds), rel=1e-6, abs=1e-9)
    assert result.seconds >= 100.0
    over = result.over_time
    assert max(over.most) == result.peak_connections
    averages = zip(over.in_use, over.resting, over.zombies, over.most, strict=True)
    assert all(in_use + resting + zombies <= most + 1e-6 for in_use, resting, zombies, most in averages)


# -- what must hold ---------------------------------------------------------------------------------------------


class Checked(Ledger):
    """A ledger that looks at itself whenever time has passed."""

    each = 1
    limit_of_places = 1
    exact = True

    def _add(self, seconds: float) -> None:
        assert min(self.busy, self.idle, self.in_use, self.resting, self.zombies, self.granted) >= 0
        assert self.busy <= self.limit_of_places
        assert self.in_use <= self.busy * self.each
        assert self.resting <= self.idle * self.each
        assert self.zombies % max(1, self.each) == 0
        assert self.granted <= min(self.limit, self.sessions)
        if self.exact:  # connections are those of the environments, and the zombies
            assert self.sessions == self.environments * self.each + self.zombies
        super()._add(seconds)


POLICIES = st.fixed_dictionaries(
    {},
    optional={
        "idle_timeout": st.sampled_from(["2s", "5s..10s", "off"]),
        "max_lifetime": st.sampled_from(["8s", "3s..1m"]),
        "max_invocations": st.integers(1, 4),
        "half_of_idle": st.just("4s"),
        "histogram": st.just("3s"),
        "chance": st.sampled_from([0.0, 0.3, 1.0]),
        "after_error": st.just(True),
        "memory_limit": st.sampled_from([128, 400]),
        "eviction": st.sampled_from(["lru", "greedy-dual"]),
        "select": st.sampled_from(["most-recent", "least-recent", "oldest", "random"]),
        "reclaim": st.sampled_from(["silent", "fin", "rst", "graceful"]),
    },
)
EVENTS = st.lists(
    st.tuples(st.floats(0, 60), st.sampled_from(["a", "b"]), st.one_of(st.just(0.0), st.floats(0, 20))),
    min_size=1,
    max_size=40,
)


@given(
    events=EVENTS,
    policy=POLICIES,
    places=st.integers(1, 6),
    each=st.integers(0, 3),
    limit=st.integers(1, 8),
    hold=st.sampled_from([1.0, 15.0, 1e9]),
    init=st.sampled_from([0.0, 1.5]),
    seed=st.integers(0, 5),
)
def test_whatever_comes_every_event_is_served_or_refused_and_the_counts_agree(
    events: list[tuple[float, str, float]],
    policy: dict[str, Any],
    places: int,
    each: int,
    limit: int,
    hold: float,
    init: float,
    seed: int,
) -> None:
    """Nothing is lost, served twice, or beyond a limit; and the same seed gives the same answer again."""
    builder = WorkloadBuilder("a test")
    for at, function, duration in events:
        builder.add(at, function, duration)
    workload = builder.build(begin=0.0)
    Checked.each, Checked.limit_of_places = each, places
    Checked.exact = init == 0 and hold > 1e8

    def tried() -> Result:
        return simulate(
            workload,
            under(policy, concurrency=places, seed=seed),
            assumed(connections_per_environment=each, max_connections=limit, wait_timeout=hold, init_time=fixed(init)),
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "Ledger", Checked)
        result, again = tried(), tried()
    assert result.served + result.refused == result.events == len(events)
    assert result.cold_starts - result.recycled >= 0
    assert result.peak_busy <= places
    assert result.notes == ()
    assert {**result.as_dict(), "took": 0} == {**again.as_dict(), "took": 0}


def test_the_same_events_for_every_policy() -> None:
    """What is drawn for events does not depend on how many environments a policy starts."""
    workload = random(2.0, 500)
    assumptions = assumed(service_time=Lengths(Shape.EXPONENTIAL, 1.0), init_time=Lengths(Shape.EXPONENTIAL, 2.0))
    warm, cold = (simulate(workload, under({"name": name}), assumptions) for name in ("keep-warm", "always-cold"))
    drawn = workload.with_durations(assumptions.service_time, Random("0/durations"))
    assert cold.cold_starts == len(workload)
    for result in (warm, cold):
        assert result.mean_busy * result.seconds > sum(drawn.durations)
    assert warm.mean_busy * warm.seconds - sum(drawn.durations) < 2.0 * 10 * warm.cold_starts


# -- policies ------------------------------------------------------------------------------------------------


def test_functions_share_the_limit_and_have_policies_of_their_own() -> None:
    """What the configuration says of one is kept; one that it does not know is as it comes."""
    builder = WorkloadBuilder("a test")
    for at in (0.0, 10.0, 20.0):
        builder.add(at, "known", 1.0)
        builder.add(at, "unknown", 1.0)
    chosen = under({"idle_timeout": "5s"})
    known = {"known": {"code": ".", "policy": {"idle_timeout": "1h"}}}
    table = {"policy": {"name": "keep-warm", "idle_timeout": "5s"}, "functions": known, "emulator": {"seed": 0}}
    chosen = type(chosen)("tried", type(chosen.settings).model_validate(table))
    result = simulate(builder.build(), chosen, assumed())
    assert result.cold_starts == 1 + 3
    narrow = type(chosen.settings).model_validate({**table, "emulator": {"seed": 0, "concurrency": 1}})
    assert simulate(builder.build(), type(chosen)("tried", narrow), assumed()).refused == 3


def test_what_limits_one_function_holds_and_what_is_not_simulated_is_told() -> None:
    """Reserved places and the scaling rate refuse events; provisioned concurrency is told to be left out."""
    workload = of([(0.0, 1.0), (0.0, 1.0), (0.0, 1.0)])
    (name,) = workload.functions

    def found(function: dict[str, int], **emulator: int) -> tuple[int, tuple[str, ...]]:
        chosen = under({})
        table = {"functions": {name: {"code": ".", **function}}, "emulator": {"seed": 0, **emulator}}
        settings = type(chosen.settings).model_validate(table)
        result = simulate(workload, type(chosen)("tried", settings), assumed())
        return result.refused, result.notes

    assert found({}) == (0, ())
    assert found({"reserved_concurrency": 2}) == (1, ())
    assert found({}, scaling=1) == (2, ())
    refused, notes = found({"provisioned_concurrency": 1})
    assert refused == 0
    assert notes == (f"{name}: provisioned concurrency is not simulated: all its environments are made on demand",)


def test_reclaim_can_be_said_for_all() -> None:
    """The server hears of the end, and no zombie is left."""
    workload = of([(0.0, 1.0), (10.0, 1.0)])
    for reclaim, zombies in ((None, 1), (Reclaim.FIN, 0), (Reclaim.RST, 0), (Reclaim.GRACEFUL, 0)):
        result = simulate(workload, under({"name": "always-cold"}, reclaim=reclaim), assumed())
        assert result.peak_zombies == (zombies and 2)
        assert result.reclaim == (reclaim or Reclaim.SILENT)


def test_what_the_server_drops_of_an_idle_environment_is_opened_anew() -> None:
    """It rests for longer than wait_timeout: no zombie, and a second session at its next event."""
    result = run(of([(0.0, 1.0), (100.0, 1.0)], span=200.0), wait_timeout=20.0)
    assert (result.cold_starts, result.peak_connections, result.peak_zombies) == (1, 1, 0)
    assert result.mean_connections == pytest.approx((21 + 21) / 200)


@pytest.mark.parametrize(
    ("wish", "rules"),
    [
        (None, ("idle timeout 3 min",)),
        ("aws", ("idle timeout 7 min", "lifetime 2 h")),
        ("aws,idle_timeout=20m,max_lifetime=off", ("idle timeout 20 min",)),
        ("name=fn,max_invocations=3,chance=0.5", ("idle timeout 30 s", "3 invocations", "chance 0.5 per invocation")),
        ("keep-warm,after_error=true", ("after an error",)),
        ("keep-warm,memory_limit=512", ("512 MiB for all idle ones, lru",)),
    ],
)
def test_policies_as_a_command_line_has_them(wish: str | None, rules: tuple[str, ...]) -> None:
    """A name and keys take the place of the configuration's; nothing leaves that in force."""
    configured = under({"idle_timeout": "3m"}).settings
    builder = WorkloadBuilder("two functions")
    builder.add(0.0, "a", 0.0)
    builder.add(1.0, "b", 0.0)
    chosen = candidate(configured, wish, seed=1)
    result = simulate(builder.build(), chosen, assumed())
    assert result.policy == (wish or "keep-warm")
    assert result.rules == rules


@pytest.mark.parametrize(
    "wish", ["", "warm", "aws,idle_timeout", "aws,idle=3", "aws,idle_timeout=soon", "aws,chance=2"]
)
def test_a_wrong_policy_is_refused(wish: str) -> None:
    """With the option that it came from."""
    with pytest.raises(ConfigurationError, match="--policy") as caught:
        candidate(under({}).settings, wish)
    assert caught.value.cure


def test_a_rule_of_the_user_s_sees_outcomes_and_its_mistake_is_told(tmp_path: Any) -> None:
    """It is left out, as in the emulator, and the answer says so."""
    (tmp_path / "picky.py").write_text(
        "class Picky:\n"
        "    def after_invocation(self, environment, outcome):\n"
        "        if outcome.report.duration_ms > 2000:\n"
        "            raise ValueError('too slow')\n"
        "        return 'cold' if outcome.report.cold_start and outcome.answer.payload == b'null' else None\n"
    )
    chosen = candidate(under({}).settings, "picky:Picky")
    result = simulate(of([(0, 1.0), (5, 1.0), (10, 3.0), (20, 1.0)]), chosen, assumed(), base=tmp_path)
    assert (result.cold_starts, result.recycled) == (3, 2)
    (note,) = result.notes
    assert "raised ValueError: too slow" in note


def test_progress_is_told() -> None:
    """Up to the number of events."""
    told: list[int] = []
    simulate(random(10.0, 2000), under({}), assumed(), on_progress=told.append)
    assert told == sorted(told)
    assert told[0] == 0
    assert len(told) > 2
    assert told[-1] == len(random(10.0, 2000))


def calls_for_an_event(duration: float) -> float:
    """How many calls a simulation of so many seconds takes for each of its events; that is the same every time."""
    calls = 0

    def count(_frame: object, what: str, _about: object) -> None:
        nonlocal calls
        calls += what in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        workload = random(10.0, duration)
        result = run(workload, {"name": "aws"}, service_time=Lengths(Shape.LOGNORMAL, 0.2, 0.6))
    finally:
        sys.setprofile(before)
    assert result.served == len(workload)
    return calls / len(workload)


def test_an_event_takes_few_calls_however_many_there_are() -> None:
    """A million of them take less than a minute: it is counted, for time depends on who else is at work."""
    few, many = calls_for_an_event(100), calls_for_an_event(1_000)
    assert many < 130  # of 85, today
    assert many < 1.2 * few
