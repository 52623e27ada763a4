"""The events that are not done, in memory and in a file."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from emulator.errors import StateError
from emulator.model import RequestId
from emulator.state import EventJournal, KeptEvent, KeptRecord, journal


def event(name: str, payload: bytes = b"{}") -> KeptEvent:
    return KeptEvent(RequestId(name), "orders:3", payload, "arn:orders:live", "Root=1", 1_700_000_000.25, hops=2)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


@contextlib.contextmanager
def opened(path: Path) -> Iterator[EventJournal]:
    with closing(EventJournal(path)) as one:
        yield one


def test_what_is_not_done_is_there_again(path: Path) -> None:
    """In its order, with what has changed of it; what is done is not."""
    with opened(path) as before:
        for name in ("a", "b", "c"):
            before.keep(event(name))
        changes = {"attempts": 1, "due": 1_700_000_060.5, "delay": 60.0, "reason": "attempt 1 failed"}
        before.change(RequestId("c"), result=(200, b'{"no":1}', "Unhandled", ""), **changes)
        before.drop(RequestId("b"))
        known = before.pending
    assert known[1] == replace(event("c"), result=(200, b'{"no":1}', "Unhandled", ""), **changes)  # type: ignore[arg-type]
    for _ in range(2):
        with opened(path) as after:
            assert after.pending == known == [event("a"), known[1]]


def test_a_record_is_kept_until_it_is_where_it_belongs(path: Path) -> None:
    """Whatever bytes it has; numbers do not come twice while one of them is needed."""
    record = KeptRecord("orders", RequestId("a"), "file:x", b"\xff\n", 2)
    with opened(path) as before:
        assert [before.keep_record(record), before.keep_record(record)] == [1, 2]
        before.drop_record(1)
        before.drop_record(1)
    for _ in range(2):
        with opened(path) as after:
            assert (after.records, after.pending) == ({2: record}, [])
    with opened(path) as last:
        assert last.keep_record(record) == 3


@pytest.mark.parametrize("payload", [b"", b"\xff\x00\n", "ä\u2028".encode(), b'{"a":"\\ud800"}'])
def test_a_payload_stays_as_it_is(path: Path, payload: bytes) -> None:
    """Byte for byte, whatever it is; so does what a function has answered."""
    kept = replace(event("a", payload), result=(200, payload, None, ""))
    with opened(path) as before:
        before.keep(kept)
    with opened(path) as after:
        assert after.pending == [kept]


def test_a_line_without_an_end_was_promised_to_nobody(path: Path) -> None:
    """A kill in the middle of a write takes that event, and no other."""
    with opened(path) as before:
        before.keep(event("a"))
        before.keep(event("b"))
    whole = path.read_bytes()
    for cut in (1, 20):
        path.write_bytes(whole[:-cut])
        with opened(path) as after:
            assert after.pending == [event("a")]


@pytest.mark.parametrize("line", ["{", '{"event": {}}', '{"event": 3}', "3", "[]", '{"other": 1}', ""])
def test_a_damaged_line_is_refused(path: Path, line: str) -> None:
    """With its number and a cure; the file stays as it is."""
    with opened(path) as before:
        before.keep(event("a"))
    damaged = path.read_bytes() + f"{line}\n".encode()
    path.write_bytes(damaged)
    with pytest.raises(StateError, match="line 3 cannot be read") as caught:
        EventJournal(path)
    assert "Remove that line" in caught.value.cure
    assert path.read_bytes() == damaged


def test_another_version_is_refused(path: Path) -> None:
    """The first line says which one it is."""
    path.write_text('{"version": 2}\n')
    with pytest.raises(StateError, match="another version"):
        EventJournal(path)


def test_the_file_does_not_grow_for_ever(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is written anew when it has become several times what is pending, which is in it then."""
    monkeypatch.setattr(journal, "_ROOM", 10_000)
    with opened(path) as one:
        one.keep(event("stays"))
        for number in range(200):
            one.keep(event(f"r{number}"))
            one.drop(RequestId(f"r{number}"))
        assert path.stat().st_size < 12_000
    with opened(path) as after:
        assert after.pending == [event("stays")]


def test_an_event_that_cannot_be_written_is_not_kept(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a line is taken back, so that what comes after it can be read; what is lost of others is told."""
    troubles: list[str] = []
    with closing(EventJournal(path, troubles.append)) as one:
        one.keep(event("a"))
        write = os.write

        def run_full(file: int, data: bytes) -> int:
            if len(data) > 10:
                return write(file, data[:10])
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patched:
            patched.setattr(os, "write", run_full)
            with pytest.raises(OSError, match="No space"):
                one.keep(event("b"))
            one.change(RequestId("a"), attempts=1)
        assert troubles == [f"the pending events cannot be written to {path}: No space left on device"]
        one.keep(event("c"))
        assert one.pending == [replace(event("a"), attempts=1), event("c")]
    with opened(path) as after:
        assert after.pending == [event("a"), event("c")]
