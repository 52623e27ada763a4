"""The asynchronous events that are not done, in a file that is only ever longer: a line for each thing that happens.

With them what is told of those that are done, until it is where it belongs.

A line is written before the client hears that its event is accepted. It is with the kernel then, which a kill of the
emulator does not change; the disk is not waited for. So a last line without an end is of an event that nobody was
promised. When the file has grown to several times what is pending it is written anew.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from emulator.errors import StateError
from emulator.model import RequestId
from emulator.state.writing import replace_file

__all__ = ["EventJournal", "KeptEvent", "KeptRecord"]

_HEAD = {"version": 1}
_ROOM = 4 * 1024 * 1024  # bytes that the file may have, whatever is pending

_Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class KeptEvent:
    """An asynchronous event that is not done. Moments are seconds since the epoch, on the emulator's clock.

    Attributes:
        key: the function that serves it, or ``name:version``.
        hops: how many functions have sent it on.
        attempts: how often the function has run for it.
        refusals: how often it was not served for reasons that are not the function's.
        due: when it is tried again; ``None``: as soon as there is a place.
        delay: how many seconds that was away when it was written.
        result: of the last attempt: its status, what the function answered, its error, the message of a refusal.
    """

    request_id: RequestId
    key: str
    payload: bytes
    function_arn: str
    trace_id: str
    accepted: float
    hops: int = 0
    attempts: int = 0
    refusals: int = 0
    due: float | None = None
    delay: float = 0.0
    reason: str = ""
    result: tuple[int, bytes | None, str | None, str] | None = None


@dataclass(frozen=True, slots=True)
class KeptRecord:
    """What is to be told of an event, and is not at its destination yet.

    Attributes:
        function: whose event it was.
        destination: as a configuration names it.
        hops: how many functions have sent the event on.
    """

    function: str
    request_id: RequestId
    destination: str
    record: bytes
    hops: int


class EventJournal:
    """What is pending, in memory and in a file.

    Arguments:
        path: of the file; what is in it is read.
        on_trouble: hears of what cannot be written.

    Raises:
        StateError: the file is damaged, or of another version.
        OSError: it cannot be read or written.
    """

    def __init__(self, path: Path, on_trouble: Callable[[str], None] = lambda trouble: None) -> None:
        self._path, self._on_trouble = path, on_trouble
        self._pending: dict[RequestId, KeptEvent] = {}
        self._sizes: dict[RequestId, int] = {}  # of their lines
        self._records: dict[int, KeptRecord] = {}
        self._record_sizes: dict[int, int] = {}
        self._next_record = 1
        self._needed = 0  # bytes of all these
        self._file = -1
        self._size = 0
        with contextlib.suppress(FileNotFoundError):
            self._read(path.read_bytes())
        self._rewrite()

    @property
    def pending(self) -> list[KeptEvent]:
        """All that are not done, in the order in which they were accepted."""
        return list(self._pending.values())

    @property
    def records(self) -> dict[int, KeptRecord]:
        """All that are not where they belong, by the numbers that :meth:`drop_record` takes."""
        return dict(self._records)

    def keep(self, event: KeptEvent) -> None:
        """From now on it is not lost.

        Raises:
            OSError: it cannot be written, and is not kept.
        """
        line = _line({"event": _said(event)})
        self._append(line)
        self._pending[event.request_id] = event
        self._sizes[event.request_id] = len(line)
        self._needed += len(line)

    def change(self, request_id: RequestId, **changes: Any) -> None:
        """An attempt has failed: what is otherwise from now on, by the names of :class:`KeptEvent`."""
        if (event := self._pending.get(request_id)) is not None:
            event = self._pending[request_id] = replace(event, **changes)
            said = _said(event)
            self._try_to_append({"change": {"request_id": request_id} | {key: said[key] for key in changes}})

    def drop(self, request_id: RequestId) -> None:
        """It is done."""
        if self._pending.pop(request_id, None) is not None:
            self._needed -= self._sizes.pop(request_id)
            self._end({"done": request_id})

    def keep_record(self, record: KeptRecord) -> int:
        """From now on it is not lost, if it can be written; answers its number."""
        number, self._next_record = self._next_record, self._next_record + 1
        line = _line(_said_of_record(number, record))
        self._records[number], self._record_sizes[number] = record, len(line)
        self._needed += len(line)
        self._try(lambda: self._append(line))
        return number

    def drop_record(self, number: int) -> None:
        """It is where it belongs, or will never be."""
        if self._records.pop(number, None) is not None:
            self._needed -= self._record_sizes.pop(number)
            self._end({"told": number})

    def _end(self, said: Mapping[str, Any]) -> None:
        self._try_to_append(said)
        if self._size > max(_ROOM, 4 * self._needed):
            self._try(self._rewrite)

    def close(self) -> None:
        """Write no more. Idempotent."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _append(self, line: bytes) -> None:
        before, left = self._size, line
        try:
            while left:
                left = left[os.write(self._file, left) :]
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, before)  # or the next one would be in the middle of a line
            raise
        self._size = before + len(line)

    def _try_to_append(self, said: Mapping[str, Any]) -> None:
        self._try(lambda: self._append(_line(said)))

    def _try(self, write: Callable[[], None]) -> None:
        """The worst that can come of it is that an event is tried once more after the next start."""
        try:
            write()
        except OSError as error:
            self._on_trouble(f"the pending events cannot be written to {self._path}: {error.strerror or error}")

    def _rewrite(self) -> None:
        lines = [_line({"event": _said(event)}) for event in self._pending.values()]
        told = [_line(_said_of_record(number, record)) for number, record in self._records.items()]
        whole = b"".join([_line(_HEAD), *lines, *told])
        replace_file(self._path, whole)
        self.close()
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self._size = len(whole)
        self._sizes = dict(zip(self._pending, map(len, lines), strict=True))
        self._record_sizes = dict(zip(self._records, map(len, told), strict=True))
        self._needed = sum(self._sizes.values()) + sum(self._record_sizes.values())

    def _read(self, data: bytes) -> None:
        for number, line in enumerate(data.split(b"\n")[:-1], 1):  # the last one has no end
            try:
                self._understand(number, json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise StateError(
                    f"the pending events in {self._path} are damaged: line {number} cannot be read: {error!r}",
                    cure="Nothing was changed. Remove that line; or move the file away, to start without these events.",
                ) from error

    def _understand(self, number: int, said: _Json) -> None:
        if number == 1:
            if said != _HEAD:
                raise ValueError(f"{said} is another version than {_HEAD}")
        elif "event" in said:
            event = _heard(said["event"])
            self._pending[event.request_id] = event
        elif "change" in said:
            request_id = RequestId(said["change"]["request_id"])
            if (known := self._pending.get(request_id)) is not None:
                self._pending[request_id] = _heard({**_said(known), **said["change"]})
        elif "record" in said:
            kept = said["record"]
            self._records[kept["number"]] = _heard_of_record(kept)
            self._next_record = max(self._next_record, kept["number"] + 1)
        elif "told" in said:
            self._records.pop(said["told"], None)
        else:
            self._pending.pop(RequestId(said["done"]), None)


def _line(said: Mapping[str, Any]) -> bytes:
    return json.dumps(said).encode() + b"\n"


def _said(event: KeptEvent) -> _Json:
    """Bytes as text, such that whatever they are comes back."""
    said = {name: getattr(event, name) for name in KeptEvent.__slots__}
    said["payload"] = _text(event.payload)
    if event.result is not None:
        status, payload, error, message = event.result
        said["result"] = [status, _text(payload) if payload is not None else None, error, message]
    return said


def _heard(said: _Json) -> KeptEvent:
    said = dict(said)
    if said["result"] is not None:
        status, payload, error, message = said["result"]
        said["result"] = (status, _bytes(payload) if payload is not None else None, error, message)
    return KeptEvent(**{**said, "payload": _bytes(said["payload"])})


def _said_of_record(number: int, record: KeptRecord) -> _Json:
    members = {name: getattr(record, name) for name in KeptRecord.__slots__}
    return {"record": {"number": number, **members, "record": _text(record.record)}}


def _heard_of_record(said: _Json) -> KeptRecord:
    members = {name: said[name] for name in KeptRecord.__slots__}
    return KeptRecord(**{**members, "record": _bytes(said["record"])})


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _bytes(said: str) -> bytes:
    return said.encode("utf-8", "surrogateescape")
