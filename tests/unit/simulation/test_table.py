"""What a person reads of a comparison."""

from __future__ import annotations

import io
from dataclasses import replace
from random import Random

from rich.console import Console

from emulator.simulation.arrivals import Rate, poisson
from emulator.simulation.results import Result
from emulator.simulation.run import simulate
from emulator.simulation.table import comparison
from tests.unit.simulation.given import assumed, under

ASSUMPTIONS = ["Nothing fails."]


def compared(*names: str, limit: int = 50) -> list[Result]:
    workload = poisson(Rate("test", 1.0), 900.0, ["orders"], Random(1))
    assumptions = assumed(max_connections=limit)
    return [replace(simulate(workload, under({"name": name}), assumptions), policy=name) for name in names]


def shown(results: list[Result], width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(comparison("Poisson, 1/s", results, ASSUMPTIONS))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_policies_stand_side_by_side() -> None:
    """One column each; what is above the limit is marked by a sign as well as by its colour."""
    warm, cold = compared("keep-warm", "always-cold")
    lines = shown([warm, cold]).splitlines()
    assert lines[0].startswith(f"{warm.events} events · 15 min · Poisson, 1/s")
    cells = {line.strip().split("  ")[0]: line.split() for line in lines if line.startswith("  ")}
    assert cells["cold-start rate"][-4:] == [f"{100 / warm.events:.2f}", "%", "100.0", "%"]
    assert f"✗ {cold.peak_connections}" in shown([warm, cold])
    assert f"✓ {warm.peak_connections}" in shown([warm, cold])
    assert cells["refused, 1040"][-2:] == ["–", str(cold.refused_connects)]
    assert "connections, of 50" in shown([warm, cold])
    assert "· Nothing fails." in shown([warm, cold])
    assert "always-cold: 1 invocations; connections end silent" in shown([warm, cold])


def test_it_fits_a_terminal() -> None:
    """However many there are and however long their names: below each other where they do not fit."""
    results = compared("aws", "aws-2019", "openwhisk", "fn", "keep-warm")
    results.append(replace(results[0], policy="aws,idle_timeout=5m..10m,reclaim=graceful"))
    text = shown(results)
    assert max(map(len, text.splitlines())) <= 80
    for words in ("openwhisk", "idle_timeout=5m..10m", "reclaim=graceful"):
        assert any(words in line for line in text.splitlines()), words


def test_what_went_wrong_with_a_rule_is_told() -> None:
    """With the policy that has it."""
    (result,) = compared("aws")
    assert "! aws: Mine.verdict raised" in shown([replace(result, notes=("Mine.verdict raised KeyError",))])


def test_a_trend_is_as_high_as_the_highest_of_all() -> None:
    """The last bar of what piles up is full, and what needs little has low ones."""
    lines = shown(compared("keep-warm", "always-cold")).splitlines()
    (trend,) = [line for line in lines if "over time" in line]
    warm, cold = trend.split()[-2:]
    assert set(warm) == {"▁"}
    assert cold[-1] == "█"
    assert list(cold) == sorted(cold)
