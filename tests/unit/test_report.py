"""A report: where its run comes from, and what gets into the page."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from emulator.errors import ConfigurationError, EmulatorError
from emulator.report import Run, make_report, read_run, write_report

EVENT = {
    "seq": 1,
    "at": 1000.5,
    "kind": "environment.starting",
    "function": "orders",
    "environment": "a",
    "request_id": None,
    "reason": "cold start",
    "detail": None,
}


def data_of(page: str) -> Any:
    (told,) = re.findall(r'<script type="application/json" id="run">(.*?)</script>', page, re.DOTALL)
    return json.loads(told)


def test_a_file_of_events(tmp_path: Path) -> None:
    """A line each, in any order; empty lines and the one that is just being written are none."""
    file = tmp_path / "run.jsonl"
    later = EVENT | {"seq": 2, "at": 1001.0, "kind": "environment.init", "more": "is left out"}
    file.write_text(f"{json.dumps(later)}\n\n{json.dumps(EVENT)}\n" + '{"seq": 3, "at"')
    run = read_run(file)
    assert [event["seq"] for event in run.events] == [1, 2]
    assert (run.until, run.functions) == (1001.0, ["orders"])
    assert "more" not in run.events[1]


@pytest.mark.parametrize(
    "text", ["", "{", '{"seq": 1}\n', "[]\n", "no\n", json.dumps(EVENT | {"reason": 7}) + "\n", '{"seq": "1"}\n']
)
def test_files_that_are_no_timeline(tmp_path: Path, text: str) -> None:
    """Each is refused in a sentence that names it."""
    file = tmp_path / "run.jsonl"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=r"run\.jsonl"):
        read_run(file)


def test_no_such_file(tmp_path: Path) -> None:
    """Likewise."""
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_run(tmp_path / "none.jsonl")


def test_the_page_has_every_event_and_each_word_once() -> None:
    """Words are numbered; the page puts them back."""
    events = [EVENT, EVENT | {"seq": 2, "detail": {"session": 3}}]
    data = data_of(make_report(Run(events, 1002.0)))
    assert data["strings"] == ["environment.starting", "orders", "a", "cold start"]
    assert data["events"] == [[1, 1000.5, 0, 1, 2, None, 3, None], [2, 1000.5, 0, 1, 2, None, 3, {"session": 3}]]
    assert data["until"] == 1002.0
    assert data["title"].endswith("2 events")


def test_a_run_without_an_event() -> None:
    """An emulator that has just started can be reported on, too."""
    assert data_of(make_report(Run([], 1000.0)))["verdicts"] == []


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    """One sentence, no traceback."""
    with pytest.raises(EmulatorError, match="cannot be written"):
        write_report(Run([EVENT], 1000.0), tmp_path / "missing" / "report.html")
