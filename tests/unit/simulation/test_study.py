"""What the command line asks for, and what it is told where that cannot be."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from emulator import cli
from emulator.config import Settings
from emulator.simulation.study import Study, Wish

CONFIG = """
[emulator]
seed = 5
concurrency = 1
[database]
max_connections = 7
keepalive = "10m"
[policy]
name = "keep-warm"
[functions.orders]
code = "."
policy = { max_invocations = 2 }
"""


@pytest.fixture
def simulate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs ``lambda-freezer simulate`` in a folder of its own; answers exit status, output and errors."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["lambda-freezer", "simulate", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return run


def test_json_has_everything(simulate: Any) -> None:
    """Figures, assumptions, and columns over time of one length; the same call gives the same answer."""
    asked = ("--poisson", "30/m", "--duration", "1h", "--policy", "aws", "--policy", "always-cold", "--json")
    status, output, errors = simulate(*asked)
    assert (status, errors) == (0, "")
    found = json.loads(output)
    assert found["source"] == "Poisson, 30/m, 1 h"
    assert found["seed"] == 0
    assert any("wait_timeout 8 h" in sentence for sentence in found["assumptions"])
    aws, cold = found["results"]
    assert (aws["policy"], cold["policy"]) == ("aws", "always-cold")
    assert aws["events"] == cold["events"] == cold["cold_starts"] == cold["served"]
    assert (cold["cold_start_rate"], aws["max_connections"]) == (1.0, 151)
    assert aws["share_above"] == 0
    assert len({len(column) for name, column in aws["over_time"].items() if name != "width"}) == 1
    again = json.loads(simulate(*asked)[1])
    for result in (*found["results"], *again["results"]):
        del result["took"]
    assert again == found
    assert json.loads(simulate(*asked, "--seed", "1")[1])["results"][0]["events"] != aws["events"]


def test_the_table_and_the_plot(simulate: Any, tmp_path: Path) -> None:
    """Both at once; the picture is where it was asked for."""
    status, output, errors = simulate("--poisson", "1", "--duration", "10m", "--plot", "plot.svg")
    assert status == 0
    assert "cold-start rate" in output
    assert "It assumes:" in output
    assert "drawn: plot.svg" in errors
    assert (tmp_path / "plot.svg").read_text().startswith("<?xml")


def test_a_trace_and_a_configuration(simulate: Any, tmp_path: Path) -> None:
    """Seed, limits, policies and what the function has of its own are the configuration's."""
    (tmp_path / "lambda-freezer.toml").write_text(CONFIG)
    rows = [f"{at},orders,{ms}" for at, ms in ((0, 500), (0.1, 500), (2, 10), (3, 10), (900, 10))]
    (tmp_path / "trace.csv").write_text("timestamp,function,duration_ms\n" + "\n".join(rows))
    status, output, _ = simulate("--trace", "trace.csv", "--init-time", "0", "--json")
    found = json.loads(output)
    (result,) = found["results"]
    assert (status, found["seed"]) == (0, 5)
    assert (result["policy"], result["rules"]) == ("keep-warm", ["2 invocations"])
    assert (result["events"], result["refused"], result["cold_starts"]) == (5, 1, 2)
    assert (result["max_connections"], result["peak_zombies"]) == (7, 1)
    assert any("as the trace says" in sentence for sentence in found["assumptions"])
    assert any("keepalive 10 min" in sentence for sentence in found["assumptions"])
    cut = json.loads(simulate("--trace", "trace.csv", "--duration", "1m", "--json")[1])["results"][0]
    assert (cut["events"], cut["seconds"]) == (4, 60)


def test_the_configuration_s_function_gets_the_rate() -> None:
    """The first one, unless others are named; without any there is still one."""
    table = {"a": {"code": "."}, "b": {"code": "."}}
    settings = Settings.model_validate({"functions": table})
    wish: dict[str, Any] = {"poisson": "1", "duration": "1m"}
    assert Study(Wish(**wish), settings, Path()).workload.functions == ("a",)
    assert Study(Wish(**wish, functions=["b", "c"]), settings, Path()).workload.functions == ("b", "c")
    assert Study(Wish(**wish), Settings(), Path()).workload.functions == ("function",)
    bursts = Study(Wish(**wish, burst=4), Settings(), Path())
    assert len(bursts.workload) == 4 * len(Study(Wish(**wish), Settings(), Path()).workload)
    assert bursts.workload.source == "Poisson, 1/s in bursts of 4, 1 min"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "there is no workload"),
        (["--poisson", "1", "--trace", "x"], "there are two workloads"),
        (["--trace", "x"], "x cannot be read: No such file"),
        (["--trace", "x", "--burst", "2"], "a trace has its own bursts"),
        (["--poisson", "often"], "'often' is no rate"),
        (["--poisson", "1", "--duration", "soon"], "'soon' is no span of time"),
        (["--poisson", "1", "--duration", "0"], "there is no time to simulate"),
        (["--poisson", "100000"], "more than 10,000,000 events"),
        (["--poisson", "1", "--policy", "warm"], "--policy warm: [policy] name is 'warm'"),
        (["--poisson", "1", "--policy", "mine:Rule"], "there is no module mine"),
        (["--poisson", "1", "--service-time", "long"], "'long' is no length of time"),
        (["--poisson", "1", "--init-time", "exp"], "'exp' is no length of time"),
        (["--poisson", "1", "--wait-timeout", "x"], "'x' is no span of time"),
        (["--poisson", "1", "--reclaim", "loud"], "--reclaim is 'loud'"),
        (["--poisson", "1", "--function", "a b"], "'a b' is not a function name"),
        (["--poisson", "1", "--config", "none.toml"], "none.toml cannot be read"),
        (["--poisson", "1", "--plot", "plot.gif"], "plot.gif is neither .svg nor .png"),
    ],
)
def test_bad_input_is_one_message_with_a_cure(simulate: Any, arguments: list[str], complaint: str) -> None:
    """Status 2, no traceback, nothing on standard output."""
    status, output, errors = simulate(*arguments)
    assert (status, output) == (2, "")
    assert errors.startswith("✗ ")
    assert complaint in errors
    assert "  → " in errors


@pytest.mark.parametrize(
    "arguments", [["--max-connections", "0"], ["--burst", "0"], ["--seed", "x"], ["--poission", "1"]]
)
def test_what_the_option_itself_forbids_is_refused(simulate: Any, arguments: list[str]) -> None:
    """By the parser of the command line, with status 2."""
    status, output, errors = simulate("--poisson", "1", *arguments)
    assert (status, output) == (2, "")
    assert arguments[0] in errors
