"""The folder of an emulator's state: one emulator's at a time, and read in full or refused.

``state.json`` is replaced as a whole: a new file is written, brought to the disk, and takes the old one's name. What is
in it is the control plane's. Events come and go too often for that; they are in a journal beside it.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from emulator.errors import StateError
from emulator.state.journal import EventJournal
from emulator.state.writing import replace_file

__all__ = ["VERSION", "StateFolder", "damaged"]

VERSION = 1
"""Of the files; one that has another is refused."""

_STATE, _EVENTS, _LOCK = "state.json", "events.jsonl", "lock"
_BEFORE_THE_FIRST = {f"{_STATE}.new", _LOCK}  # what a first start leaves that was ended in its middle

_Json = dict[str, Any]


class StateFolder:
    """A folder with an emulator's state. Entering it takes it; what was in it is read then.

    Arguments:
        path: whole; it is made where it is not there.
        on_trouble: hears of what cannot be written any more.

    Attributes:
        kept: what was written last, by whoever had the folder before; ``None`` where nobody had it.

    Raises:
        StateError: another emulator has it, it cannot be used, or what is in it cannot be read; nothing has changed.
    """

    def __init__(self, path: Path, on_trouble: Callable[[str], None] = lambda trouble: None) -> None:
        self.path = path
        self.kept: _Json | None = None
        self._on_trouble = on_trouble
        self._lock: int | None = None
        self._journal: EventJournal | None = None

    def __enter__(self) -> Self:
        try:
            self.path.mkdir(mode=0o755, parents=True, exist_ok=True)
            self._take()
            self.kept = self._read()
            if self.kept is None:
                self.write(self.say({}))  # so that it is known as ours
            self._journal = EventJournal(self.path / _EVENTS, self._on_trouble)
        except OSError as error:
            self.close()
            raise StateError(
                f"the state cannot be kept in {self.path}: {error.strerror or error}",
                cure="--state, or state in [emulator], names a folder that may be written.",
            ) from error
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def journal(self) -> EventJournal:
        """The events that are not done."""
        assert self._journal is not None, "the folder is entered first"
        return self._journal

    def say(self, kept: Mapping[str, Any]) -> bytes:
        """What :meth:`write` takes.

        Arguments:
            kept: what JSON can say, and dataclasses with slots.
        """
        return json.dumps({"version": VERSION, "folder": str(self.path), **kept}, default=_members).encode()

    def write(self, said: bytes) -> None:
        """Keep this in the place of what was there; with what a kill leaves, it is either the one or the other.

        It takes some milliseconds: the disk is waited for.

        Raises:
            OSError: it cannot be written; the old one is there as it was.
        """
        replace_file(self.path / _STATE, said)

    def close(self) -> None:
        """Leave it to others. Idempotent."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None
        if self._lock is not None:
            os.close(self._lock)  # and with it the lock
            self._lock = None

    def _take(self) -> None:
        self._lock = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the kernel gives it back, however we end
        except BlockingIOError:
            owner = os.read(self._lock, 32).decode("ascii", "replace").strip()
            raise StateError(
                f"the state in {self.path} is in use by another emulator" + (f", process {owner}" if owner else ""),
                cure="Stop that one, or name another folder with --state.",
            ) from None
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    def _read(self) -> _Json | None:
        path = self.path / _STATE
        try:
            read = path.read_bytes()
        except FileNotFoundError:
            if strange := {entry.name for entry in self.path.iterdir()} - _BEFORE_THE_FIRST:
                raise StateError(
                    f"{self.path} holds something else than an emulator's state: {', '.join(sorted(strange)[:3])}, "
                    f"and no {_STATE}",
                    cure="Name an empty folder with --state, or one that is not there yet.",
                ) from None
            return None
        try:
            kept = json.loads(read)
        except ValueError as error:
            raise damaged(self.path, f"{_STATE} is no JSON: {error}") from error
        if not isinstance(kept, dict) or "version" not in kept:
            raise damaged(self.path, f"{_STATE} does not say of which version it is")
        if kept["version"] != VERSION:
            raise StateError(
                f"the state in {self.path} is of version {kept['version']}, and this emulator has version {VERSION}",
                cure="Use the lambda-freezer that wrote it; or name another folder with --state, to start afresh.",
            )
        return kept


def damaged(folder: Path, what: str) -> StateError:
    """What is said of a state that cannot be read."""
    return StateError(
        f"the state in {folder} is damaged: {what}",
        cure="Nothing was changed. Put an older copy in its place; or move the folder away, to start afresh.",
    )


def _members(record: Any) -> _Json:
    """As :func:`dataclasses.asdict`, which takes ten times as long and copies what is only looked at."""
    return {name: getattr(record, name) for name in record.__slots__}
