"""The picture: written, whole, and asked for in a way that can work."""

from __future__ import annotations

import builtins
import sys
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from emulator.errors import ConfigurationError
from emulator.simulation.arrivals import Rate, poisson
from emulator.simulation.plot import check_plot, draw
from emulator.simulation.results import Result
from emulator.simulation.run import simulate
from tests.unit.simulation.given import assumed, of, run, under


@pytest.fixture(scope="module")
def results() -> list[Result]:
    """Two policies under one workload, one of which needs more than the limit."""
    workload = poisson(Rate("test", 1.0), 900.0, ["orders"], Random(1))
    assumptions = assumed(max_connections=50)
    found = {name: simulate(workload, under({"name": name}), assumptions) for name in ("aws", "always-cold")}
    return [replace(result, policy=name) for name, result in found.items()]


def test_an_svg_is_whole_and_says_what_it_shows(results: list[Result], tmp_path: Path) -> None:
    """A document that parses, with the areas in it; drawn again it is the same."""
    paths = [tmp_path / name for name in ("one.svg", "two.svg")]
    for path in paths:
        draw(results, "Poisson, 1/s", path)
    root = ET.parse(paths[0]).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert len(list(root.iter("{http://www.w3.org/2000/svg}path"))) > 20
    text = paths[0].read_text()
    for words in ("Poisson, 1/s", "always-cold", "max_connections, 50", "zombies", "minutes"):
        assert words in text
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_png_is_a_picture(results: list[Result], tmp_path: Path) -> None:
    """With its signature, a sensible size and an end; the ending's case does not matter."""
    path = tmp_path / "plot.PNG"
    draw(results, "Poisson, 1/s", path)
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert content[12:16] == b"IHDR"
    assert min(int.from_bytes(content[16:20]), int.from_bytes(content[20:24])) > 500
    assert content.endswith(b"IEND\xaeB`\x82")


def test_one_event_can_be_drawn(tmp_path: Path) -> None:
    """No time, and nothing to see: no reason to fail."""
    draw([run(of([(0.0, 0.0)]), connections_per_environment=0)], "one event", tmp_path / "plot.svg")
    assert (tmp_path / "plot.svg").stat().st_size > 1000


@pytest.mark.parametrize(
    ("name", "complaint"),
    [("plot.pdf", "neither .svg nor .png"), ("plot", "neither"), ("no/plot.svg", "there is no folder")],
)
def test_what_cannot_be_drawn_is_told_before(tmp_path: Path, name: str, complaint: str) -> None:
    """Not after a million events."""
    with pytest.raises(ConfigurationError, match=complaint) as caught:
        check_plot(tmp_path / name)
    assert caught.value.cure


def test_a_picture_that_cannot_be_written_is_told(results: list[Result], tmp_path: Path) -> None:
    """There is a folder of that name."""
    (tmp_path / "plot.svg").mkdir()
    with pytest.raises(ConfigurationError, match="cannot be written: Is a directory"):
        draw(results, "Poisson, 1/s", tmp_path / "plot.svg")


def test_without_matplotlib_the_cure_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only who wants a picture has to have it."""
    real = builtins.__import__

    def missing(name: str, *arguments: Any) -> Any:
        if name.partition(".")[0] == "matplotlib":
            raise ImportError(f"No module named {name!r}")
        return real(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", missing)
    for module in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, module)
    with pytest.raises(ConfigurationError, match="not installed") as caught:
        check_plot(tmp_path / "plot.svg")
    assert "pip install matplotlib" in caught.value.cure
