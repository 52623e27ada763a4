"""Events as lines of JSON: what is written is read again, and what is no timeline is refused in words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from emulator.chronicle.lines import event_of, read_recording, recording_of, to_line
from emulator.errors import ConfigurationError
from emulator.timeline import TimelineEvent

EVENT = TimelineEvent(
    3, 1790000000.123, "connection.opened", "orders", "e" * 32, "r-1", 'a "reason"\nä', {"client": ["127.0.0.1", 1]}
)


def test_a_line_says_everything_and_is_one_line() -> None:
    """All members under their names, whatever is in them."""
    line = to_line(EVENT)
    assert b"\n" not in line
    assert json.loads(line) == EVENT._asdict()
    assert event_of(json.loads(line)) == EVENT


def test_what_no_encoding_can_say_becomes_a_question_mark() -> None:
    """A function may have said it, and the line is JSON all the same."""
    assert json.loads(to_line(EVENT._replace(reason="half \ud83d of it")))["reason"] == "half ? of it"


def lines(*numbers: int) -> bytes:
    """A file of events with these numbers."""
    return b"".join(to_line(EVENT._replace(seq=number)) + b"\n" for number in numbers)


def test_a_recording_is_read_and_what_is_missing_is_told(tmp_path: Path) -> None:
    """Gaps are counted, an empty line is nothing, and a last line that broke off is left out and told."""
    path = tmp_path / "run.jsonl"
    path.write_bytes(lines(2, 3) + b"\n" + lines(7) + to_line(EVENT)[:20])
    recording = read_recording(path)
    assert [event.seq for event in recording.events] == [2, 3, 7]
    assert recording.missing == 4
    assert recording.notes == [
        "run.jsonl misses 4 of 7 events",
        "run.jsonl breaks off in the middle of its last line",
    ]


def test_an_empty_recording_is_one() -> None:
    """Nothing happened; nothing is missing."""
    assert recording_of("live", []).notes == []


@pytest.mark.parametrize(
    "line",
    [b"{no", b"[]", b"17", b'{"seq": 1}', b'{"seq":1,"at":"x","kind":"k","reason":""}', b"\xff\xfe"],
)
def test_what_is_no_timeline_is_refused(tmp_path: Path, line: bytes) -> None:
    """With the file and the line, and how one gets a timeline."""
    path = tmp_path / "run.jsonl"
    path.write_bytes(lines(1) + line + b"\n")
    with pytest.raises(ConfigurationError, match=r"run\.jsonl, line 2 is no event") as caught:
        read_recording(path)
    assert "--timeline" in caught.value.cure


def test_a_file_that_is_not_there_is_an_error_in_words(tmp_path: Path) -> None:
    """With its name."""
    with pytest.raises(ConfigurationError, match=r"nothing\.jsonl cannot be read: No such file"):
        read_recording(tmp_path / "nothing.jsonl")
