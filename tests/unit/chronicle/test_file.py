"""The timeline's file: whole lines of everything, and no trouble of a disk is anybody else's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from emulator.chronicle.file import TimelineFile
from emulator.chronicle.lines import read_recording
from emulator.clock import FakeClock
from emulator.errors import ConfigurationError
from emulator.timeline import Timeline
from tests.support import in_loop
from tests.unit.stage import settle


def nobody(trouble: str) -> None:
    raise AssertionError(trouble)


@in_loop
async def test_everything_from_the_beginning_to_the_end_is_in_the_file(tmp_path: Path) -> None:
    """What was before it was opened, what came while it was open, and the last words; what was in it is replaced."""
    path = tmp_path / "folder" / "run.jsonl"
    path.parent.mkdir()
    path.write_text("of yesterday\n" * 1000)
    timeline = Timeline(FakeClock())
    timeline.record("before")
    async with TimelineFile(path, timeline, nobody) as file:
        await settle()
        for number in range(250):
            timeline.record("test", detail={"number": number})
        timeline.end_followers()
        timeline.record("last")
    recording = read_recording(path)
    assert list(recording.events) == list(timeline.since())
    assert recording.notes == []
    assert file.trouble is None


@in_loop
async def test_a_full_disk_is_told_once_and_disturbs_nobody() -> None:
    """However many events cannot be written, they are counted."""
    timeline, told = Timeline(FakeClock()), list[str]()
    file = TimelineFile(Path("/dev/full"), timeline, told.append)
    async with file:
        for _ in range(3):
            timeline.record("test")
            await settle()
        timeline.record("test")
    assert told == ["the timeline cannot be written whole to /dev/full: No space left on device"]
    assert file.trouble == "4 events are not in /dev/full: No space left on device"


@in_loop
async def test_events_that_were_faster_than_the_file_are_counted(tmp_path: Path) -> None:
    """The record is bounded, and nobody waits for the file; the rest of it is whole."""
    timeline, told = Timeline(FakeClock(), limit=5), list[str]()
    async with TimelineFile(tmp_path / "run.jsonl", timeline, told.append) as file:
        for _ in range(12):
            timeline.record("test")
    assert told == [f"the timeline cannot be written whole to {file.path}: they came faster than they could be written"]
    recording = read_recording(file.path)
    assert [event.seq for event in recording.events] == [8, 9, 10, 11, 12]
    assert recording.missing == 7


@in_loop
async def test_a_line_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full in the middle of a line, and has room again later, leaves no half line behind."""
    timeline, told, write = Timeline(FakeClock()), list[str](), os.write
    room = [30]

    def write_some(descriptor: int, data: bytes) -> int:
        if not room:
            return write(descriptor, data)
        if (size := room.pop()) == 0:
            raise OSError(28, "No space left on device")
        room.append(0)
        return write(descriptor, data[:size])

    async with TimelineFile(tmp_path / "run.jsonl", timeline, told.append) as file:
        monkeypatch.setattr(os, "write", write_some)
        timeline.record("lost")
        await settle()
        assert len(told) == 1
        timeline.record("kept")
    assert [event.kind for event in read_recording(file.path).events] == ["kept"]
    assert file.trouble is not None


@in_loop
async def test_a_pipe_that_nobody_reads_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    """As is a folder; both in words, with the key."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(ConfigurationError, match="the timeline cannot be written to") as caught:
            await TimelineFile(path, Timeline(FakeClock()), nobody).__aenter__()
        assert "timeline_file" in caught.value.cure
