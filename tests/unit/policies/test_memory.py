"""Memory pressure over all functions: how much may be idle, and who goes first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.errors import ConfigurationError
from emulator.model import EnvironmentId
from emulator.policies import EvictionOrder, IdleTimeout, MemoryPressure
from emulator.policies.memory import IdleMemory, pressure_of
from tests.unit.policies.known import Known


class Held:
    """A function with its idle environments."""

    def __init__(self, memory: IdleMemory, name: str) -> None:
        self.idle: list[Known] = []
        self.evicted: list[tuple[str, str]] = []
        self._memory, self._name = memory, name
        memory.add(self)

    @property
    def uses(self) -> int:
        return sum(environment.invocations for environment in self.idle)

    def rest(self, at: float, memory: int = 128, *, uses: int = 1, init_ms: float | None = 100.0) -> str:
        """One more environment is idle since then."""
        name = f"{self._name}{len(self.idle) + len(self.evicted)}"
        environment = Known(at, at, uses, EnvironmentId(name), memory, init_ms)
        self.idle.append(environment)
        self._memory.rested(environment)
        return name

    def evict(self, environment: EnvironmentId, reason: str) -> None:
        (gone,) = [known for known in self.idle if known.id == environment]
        self.idle.remove(gone)
        self._memory.gone(gone)
        self.evicted.append((environment, reason))


def test_without_a_rule_everything_stays() -> None:
    """However much it is."""
    memory = IdleMemory()
    held = Held(memory, "a")
    for number in range(100):
        held.rest(float(number), 10_240)
    assert len(held.idle) == 100


def test_lru_evicts_what_is_idle_longest_of_all_functions() -> None:
    """As many as it takes, and not one more; each reason has the figures."""
    memory = IdleMemory()
    memory.follow(MemoryPressure(512))
    first, second = Held(memory, "a"), Held(memory, "b")
    second.rest(1.0)
    first.rest(2.0)
    second.rest(3.0)
    first.rest(4.0)
    assert first.evicted == second.evicted == []
    first.rest(5.0, 256)
    assert second.evicted == [("b0", "memory: 768 MiB idle > 512 MiB, idle longest of 5")]
    assert first.evicted == [("a0", "memory: 640 MiB idle > 512 MiB, idle longest of 4")]


def test_what_is_larger_than_the_limit_does_not_stay_itself() -> None:
    """Everything else goes first; then it goes too."""
    memory = IdleMemory()
    memory.follow(MemoryPressure(512))
    held = Held(memory, "a")
    held.rest(1.0)
    held.rest(2.0, 1024)
    assert [name for name, _ in held.evicted] == ["a0", "a1"]
    assert held.idle == []


def test_greedy_dual_keeps_what_is_used_often_slow_to_start_and_small() -> None:
    """Uses times init time over size; the least of that goes, whatever the order of use."""
    memory = IdleMemory()
    memory.follow(MemoryPressure(512, EvictionOrder.GREEDY_DUAL))
    slow, often, large = Held(memory, "slow"), Held(memory, "often"), Held(memory, "large")
    slow.rest(1.0, init_ms=5000.0)
    often.rest(2.0, uses=50)
    large.rest(3.0, 256)
    Held(memory, "new").rest(4.0)
    assert [name for name, _ in large.evicted] == ["large0"]
    assert large.evicted[0][1].startswith("memory: 640 MiB idle > 512 MiB, lowest priority (0.000")
    assert slow.evicted == often.evicted == []


def test_greedy_dual_forgets_what_was_worth_something_long_ago() -> None:
    """Every eviction moves the clock; who was not used since falls behind in the end."""
    memory = IdleMemory()
    memory.follow(MemoryPressure(256, EvictionOrder.GREEDY_DUAL))
    old = Held(memory, "old")
    old.rest(0.0, init_ms=1000.0)
    new = Held(memory, "new")
    for number in range(1, 40):
        new.rest(float(number), init_ms=300.0)
        if old.evicted:
            break
    assert old.evicted
    assert len(new.evicted) >= 2


def test_an_environment_that_never_finished_its_init_is_worth_nothing() -> None:
    """What it costs to start is not known; it goes first."""
    memory = IdleMemory()
    memory.follow(MemoryPressure(128, EvictionOrder.GREEDY_DUAL))
    held = Held(memory, "a")
    held.rest(1.0)
    held.rest(2.0, init_ms=None)
    assert [name for name, _ in held.evicted] == ["a1"]


def test_a_lower_limit_holds_at_once_and_none_frees_all() -> None:
    """A change needs no new environment to be felt."""
    memory = IdleMemory()
    held = Held(memory, "a")
    for number in range(4):
        held.rest(float(number))
    memory.follow(MemoryPressure(256))
    assert [name for name, _ in held.evicted] == ["a0", "a1"]
    memory.follow(None)
    held.rest(9.0, 10_240)
    assert len(held.evicted) == 2


@given(
    limit=st.integers(1, 2000),
    order=st.sampled_from(EvictionOrder),
    rests=st.lists(st.tuples(st.integers(0, 2), st.integers(128, 1024), st.integers(1, 9)), max_size=25),
)
def test_the_limit_holds_after_every_step(limit: int, order: EvictionOrder, rests: list[tuple[int, int, int]]) -> None:
    """In either order, and nothing goes while there is room."""
    memory = IdleMemory()
    memory.follow(MemoryPressure(limit, order))
    holders = [Held(memory, name) for name in "abc"]

    def taken() -> int:
        return sum(environment.memory for holder in holders for environment in holder.idle)

    for at, (number, size, uses) in enumerate(rests):
        before, gone = taken(), sum(len(holder.evicted) for holder in holders)
        holders[number].rest(float(at), size, uses=uses)
        assert taken() <= limit
        if before + size <= limit:
            assert sum(len(holder.evicted) for holder in holders) == gone


def test_the_tightest_rule_of_a_policy_counts() -> None:
    """A policy without one limits nothing."""
    assert pressure_of(IdleTimeout("7m") | MemoryPressure(512) | MemoryPressure(256)) == MemoryPressure(256)
    assert pressure_of(IdleTimeout("7m") | IdleTimeout("8m")) is None


def test_a_limit_is_one_mebibyte_or_more() -> None:
    """Nothing would be no limit but a policy without idle environments."""
    with pytest.raises(ConfigurationError, match="memory limit is 0"):
        MemoryPressure(0)
