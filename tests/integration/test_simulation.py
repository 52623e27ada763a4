"""What the simulator says, beside what real sandboxes and a real server do with the same events."""

from __future__ import annotations

from statistics import fmean
from typing import Any

import pytest

from tests.integration.side_by_side import bursts, play, print_both, same_in_simulation
from tests.needs import need_database


def near(real: float, simulated: float) -> bool:
    """Within a quarter, or three: real ones start at their own pace, and a burst of three may find two or three."""
    return abs(real - simulated) <= max(3.0, 0.25 * max(real, simulated))


KEEPS_PACE = 0.3  # seconds that a cold start may take; where they take longer, they hold each other up


@pytest.mark.timeout(170)
@pytest.mark.parametrize(
    "policy", [{"name": "keep-warm", "idle_timeout": "45s"}, {"name": "keep-warm", "max_invocations": 6}], ids=str
)
def test_the_simulator_agrees_with_real_sandboxes(policy: dict[str, Any]) -> None:
    """Some 150 events within ten minutes of a clock that runs sixty times as fast: as many cold starts, environments,
    connections and zombies, told the durations and the cold starts that the real ones had.

    A machine that is too busy for that pace is given four times as long.
    """
    need_database()
    workload = bursts(600.0, 0.2, seed=3)
    for speed in (60, 15):
        real = play(workload, policy, speed=speed)
        if fmean(real.init_times) / speed < KEEPS_PACE:
            break
    simulated = same_in_simulation(real, policy)
    print_both([(str(policy), real, simulated)])
    assert real.events == simulated.events == simulated.served == len(workload)
    assert real.cold_starts == real.environments
    assert near(real.cold_starts, simulated.cold_starts)
    assert near(real.peak_environments, simulated.peak_environments)
    assert near(real.peak_connections, simulated.peak_connections)
    assert near(real.peak_zombies, simulated.peak_zombies)
    assert real.peak_zombies > 0
    assert real.mean_connections == pytest.approx(simulated.mean_connections, rel=0.25)
