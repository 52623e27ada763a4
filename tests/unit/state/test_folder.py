"""The folder of an emulator's state."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from emulator.errors import StateError
from emulator.model import RequestId
from emulator.state import KeptEvent, StateFolder
from emulator.state.folder import VERSION


def refused(path: Path) -> StateError:
    """Why the folder cannot be had; what is in it has not changed by that."""
    before = {file.name: file.read_bytes() for file in path.iterdir() if file.is_file() and file.name != "lock"}
    with pytest.raises(StateError) as caught, StateFolder(path):
        pass
    after = {file.name: file.read_bytes() for file in path.iterdir() if file.is_file() and file.name != "lock"}
    assert after == before
    assert caught.value.cure
    return caught.value


def test_what_was_written_is_read_by_the_next(tmp_path: Path) -> None:
    """The folder is made, with all that leads to it; nobody had it before, and then somebody had."""
    path = tmp_path / "some" / "where"
    with StateFolder(path) as folder:
        assert folder.kept is None
        folder.write(folder.say({"registry": {"functions": "ä"}}))
    with StateFolder(path) as folder:
        assert folder.kept == {"version": VERSION, "folder": str(path), "registry": {"functions": "ä"}}


def test_nobody_else_reads_it(tmp_path: Path) -> None:
    """Files are their owner's, for they hold variables and payloads; functions have to get at their code."""
    path = tmp_path / "state"
    with StateFolder(path):
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.iterdir()}
    assert modes == {"state.json": 0o600, "events.jsonl": 0o600, "lock": 0o600}
    assert stat.S_IMODE(path.stat().st_mode) & 0o500 == 0o500


def test_two_do_not_share_it(tmp_path: Path) -> None:
    """The second is told whose it is, and gets it when the first is done."""
    with StateFolder(tmp_path):
        with (
            pytest.raises(StateError, match=f"in use by another emulator, process {os.getpid()}"),
            StateFolder(tmp_path),
        ):
            pass
        with pytest.raises(StateError, match="in use"), StateFolder(tmp_path):
            pass
    with StateFolder(tmp_path):
        pass


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the disk is full in the middle of it, the next start reads what was written before."""
    with StateFolder(tmp_path) as folder:
        folder.write(folder.say({"registry": "old"}))

        def fail(number: int) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", fail)
            with pytest.raises(OSError, match="No space"):
                folder.write(folder.say({"registry": "new"}))
    with StateFolder(tmp_path) as folder:
        assert folder.kept is not None
        assert folder.kept["registry"] == "old"


@pytest.mark.parametrize("said", ["", "{", "[]", "{}", "\x00", '{"version": 1'])
def test_a_damaged_file_is_refused(tmp_path: Path, said: str) -> None:
    """With what is wrong and how to start afresh; it stays as it is."""
    with StateFolder(tmp_path):
        pass
    (tmp_path / "state.json").write_text(said)
    error = refused(tmp_path)
    assert "is damaged: state.json" in error.message
    assert "move the folder away, to start afresh" in error.cure


def test_another_version_is_refused(tmp_path: Path) -> None:
    """With both versions."""
    with StateFolder(tmp_path):
        pass
    (tmp_path / "state.json").write_text(json.dumps({"version": 2}))
    assert "is of version 2, and this emulator has version 1" in refused(tmp_path).message


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """Nothing is written between files that are not the emulator's; nor is state.json missed without a word."""
    (tmp_path / "code").mkdir()
    assert "holds something else than an emulator's state: code" in refused(tmp_path).message


def test_a_missing_file_is_missed(tmp_path: Path) -> None:
    """Pending events without the functions that they are for are not begun with."""
    with StateFolder(tmp_path) as folder:
        folder.journal.keep(KeptEvent(RequestId("a"), "orders", b"{}", "arn", "trace", 1.0))
    (tmp_path / "state.json").unlink()
    assert "events.jsonl" in refused(tmp_path).message


def test_a_first_start_that_was_killed_is_begun_again(tmp_path: Path) -> None:
    """What it has left is known."""
    for name in ("lock", "state.json.new"):
        (tmp_path / name).write_text("12")
    with StateFolder(tmp_path) as folder:
        assert folder.kept is None


def test_a_folder_that_cannot_be_is_refused(tmp_path: Path) -> None:
    """Where a file has its name, that is said."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="cannot be kept in") as caught, StateFolder(tmp_path / "file"):
        pass
    assert "--state" in caught.value.cure
