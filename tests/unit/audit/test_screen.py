"""The verdict on a screen, in JSON and in JUnit's words."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console

from emulator.audit.facts import Facts
from emulator.audit.run import Verdict
from emulator.audit.verdict import findings_of
from emulator.errors import ConfigurationError
from tests.unit.audit.found import course, facts

LONG = "Lost connection to MySQL server during query " * 4
SICK = facts(
    at_rest=(5, 5, 5),
    opened=(5, 0, 0),
    most=5,
    left_by_recycle=5,
    concurrency=30,
    storm=50,
    courses=(
        course("warm", "++"),
        dataclasses.replace(
            course("nat", "---"), steps=(dataclasses.replace(course("nat", "-").steps[0], words=LONG),)
        ),
        dataclasses.replace(course("failover-read-only", ""), not_run="the server is your own"),
    ),
)


def verdict(found: Facts) -> Verdict:
    return Verdict(found, findings_of(found))


def shown(found: Facts, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(verdict(found).screen())
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [80, 120])
def test_the_screen_fits(width: int) -> None:
    """Every figure, condition and cure is there whole; only an error's words are cut."""
    text = shown(SICK, width)
    assert max(map(len, text.splitlines())) <= width
    for part in ("✗ 4 findings", "·✗", "✗ poisoned for ever", "– not run", "Pool of one", "docs/audit.md#peak", "150"):
        assert part in text
    assert "…" in text


def test_nothing_to_do() -> None:
    """Is said as clearly."""
    text = shown(facts(left_by_recycle=1, courses=(course("nat", "+++"),)), 80)
    assert "✓ nothing to do" in text
    assert "✓ recovered" in text
    assert "Good to know" in text


def test_sessions_without_end() -> None:
    """A leak needs no number of connections, for no number is enough."""
    assert "∞" in shown(facts(at_rest=(1, 2, 3, 4), still_growing=True), 80)


def test_json_has_all_of_it() -> None:
    """Facts, what follows from them, and the findings, in plain types."""
    found = json.loads(json.dumps(verdict(SICK).as_dict()))
    assert found["verdict"] == "findings"
    assert found["facts"]["needed"] == 150
    assert [course["verdict"] for course in found["facts"]["courses"]] == ["fine", "poisoned for ever", "not run"]
    assert found["findings"][0]["severity"] == "finding"
    assert verdict(facts()).as_dict()["verdict"] == "fine"


def test_junit_has_a_case_for_each_check(tmp_path: Path) -> None:
    """What failed has its cure, what was not run is skipped, what is fine passes."""
    verdict(SICK).write_junit(tmp_path / "audit.xml")
    suite = ElementTree.parse(tmp_path / "audit.xml").getroot()[0]
    cases = {case.get("name"): [child.tag for child in case] for case in suite}
    assert cases["condition:warm"] == []
    assert cases["condition:nat"] == cases["peak"] == ["failure"]
    assert cases["condition:failover-read-only"] == ["skipped"]
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("10", "4", "1")
    (failure,) = suite.findall("testcase[@name='condition:nat']/failure")
    assert "ping(reconnect=True)" in (failure.text or "")


def test_a_junit_file_that_cannot_be_written(tmp_path: Path) -> None:
    """Is an error of ours, with a cure."""
    with pytest.raises(ConfigurationError, match="cannot be written"):
        verdict(SICK).write_junit(tmp_path / "nowhere" / "audit.xml")
