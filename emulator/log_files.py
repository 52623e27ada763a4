"""Log streams as files, and the way back: all streams of a function, merged in the order in which their lines came.

A stream is ``<folder>/<log group>/<stream name>.log``, written at once and only ever longer. Which block of lines
came when is in an index of 24 bytes a block, so that reading costs neither memory nor the one who writes: a slow
reader has its own place in files that do not go away. Everything here belongs to the loop's thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import struct
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

from emulator.errors import ConfigurationError
from emulator.logs import LogFile
from emulator.model import Function

__all__ = ["LogFiles", "LogPiece"]

_ENTRY = struct.Struct("<dIIQ")  # seconds since the epoch, number of the stream, length, offset
_RECENT = 2730  # entries of an index that are kept in memory before they go to its file
_WRITERS, _READERS = 128, 16  # open files; there may be thousands of environments
_CURE = "log_folder in [emulator] is a folder that may be written to."
_BATCH, _ENTRIES = 1 << 16, 512  # bytes and entries that a reader gets at a time: the loop has others to serve


@dataclass(frozen=True, slots=True)
class LogPiece:
    """Some whole lines of one environment. ``time`` is seconds since the epoch, when they came."""

    time: float
    environment: str
    stream: str
    lines: bytes


@dataclass(slots=True)
class _Stream:
    environment: str
    name: str
    path: str
    size: int = 0


class _Handles:
    """Open files, the one used last kept longest."""

    def __init__(self, flags: int, limit: int) -> None:
        self._flags, self._limit = flags | os.O_CLOEXEC, limit
        self._open: OrderedDict[str, int] = OrderedDict()  # paths as text: another one takes its time to be looked up

    def get(self, path: str) -> tuple[int, bool]:
        """The file, and whether it was opened just now."""
        if (known := self._open.get(path)) is not None:
            self._open.move_to_end(path)
            return known, False
        while len(self._open) >= self._limit:
            os.close(self._open.popitem(last=False)[1])
        descriptor = self._open[path] = os.open(path, self._flags, 0o644)
        return descriptor, True

    def close(self) -> None:
        while self._open:
            os.close(self._open.popitem()[1])


class _Index:
    """In which order the blocks of a function's streams came. The newest entries are in memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._recent = bytearray()
        self._stored = 0

    def __len__(self) -> int:
        return self._stored + len(self._recent) // _ENTRY.size

    def append(self, moment: float, number: int, length: int, offset: int) -> None:
        self._recent += _ENTRY.pack(moment, number, length, offset)
        if not len(self._recent) % (_RECENT * _ENTRY.size):
            with contextlib.suppress(OSError):  # on a full disk they stay in memory
                self._store()

    def entries(self, first: int, count: int) -> list[tuple[float, int, int, int]]:
        """Up to ``count`` entries, from number ``first`` on."""
        found = b""
        if first < self._stored:
            with self._path.open("rb") as file:
                file.seek(first * _ENTRY.size)
                found = file.read(min(count, self._stored - first) * _ENTRY.size)
        begin = max(0, first - self._stored) * _ENTRY.size
        found += self._recent[begin : begin + count * _ENTRY.size - len(found)]
        return list(_ENTRY.iter_unpack(found))

    def _store(self) -> None:
        with self._path.open("ab") as file:
            file.truncate(self._stored * _ENTRY.size)  # what an earlier failure has left
            file.write(self._recent)
        self._stored += len(self._recent) // _ENTRY.size
        self._recent.clear()


@dataclass(slots=True)
class _FunctionLog:
    index: _Index
    streams: list[_Stream] = field(default_factory=list)
    waiting: list[asyncio.Future[None]] = field(default_factory=list)

    def wake(self) -> None:
        waiting, self.waiting = self.waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)


class LogFiles:
    """The files of all log streams of an emulator.

    Arguments:
        folder: the log groups are below it.
        own_folder: for the indexes; it goes with the emulator.
        on_trouble: told once, in words, when something cannot be written.
        now: seconds since the epoch.

    Raises:
        ConfigurationError: the folder cannot be made, or not be written to.
    """

    def __init__(
        self,
        folder: Path,
        own_folder: Path,
        *,
        on_trouble: Callable[[str], None],
        now: Callable[[], float] = time.time,
    ) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"the log folder {folder} cannot be made: {error.strerror}",
                cure=_CURE,
            ) from error
        if not os.access(folder, os.W_OK | os.X_OK):
            raise ConfigurationError(f"the log folder {folder} cannot be written to", cure=_CURE)
        self.folder = folder
        self._own_folder = own_folder
        self._on_trouble = on_trouble
        self._now = now
        self._logs: dict[str, _FunctionLog] = {}
        self._handles = _Handles(os.O_RDWR | os.O_APPEND | os.O_CREAT, _WRITERS)
        self._lost = 0
        self._reason = ""
        self._closed = False

    @property
    def trouble(self) -> str | None:
        """What could not be written, if anything."""
        if not self._lost:
            return None
        return f"{self._lost:,} bytes of logs could not be written below {self.folder}: {self._reason}"

    def open(self, function: Function, environment: str, stream: str) -> LogFile:
        """A new stream of an environment; the file comes with its first line."""
        log = self._log(function.name)
        path = self.folder.joinpath(*_parts(function.log_group), *_parts(f"{stream}.log"))
        opened = _Stream(environment, stream, str(path))
        number = len(log.streams)
        log.streams.append(opened)

        def write(block: bytes) -> None:
            offset = self._append(opened, block)
            if offset is not None:
                log.index.append(self._now(), number, len(block), offset)
                if log.waiting:
                    log.wake()

        return write

    def environments(self, function: str) -> set[str]:
        """The ids of all environments that ever had a stream, those that are gone included."""
        log = self._logs.get(function)
        return {stream.environment for stream in log.streams} if log is not None else set()

    async def read(
        self, function: str, *, environment: str | None = None, tail: int | None = None, follow: bool = False
    ) -> AsyncIterator[list[LogPiece]]:
        """What a function's environments have written, in the order in which it came, some at a time.

        Arguments:
            environment: only this one's.
            tail: only so many lines of what there is already.
            follow: go on with what comes, until :meth:`end_followers`.
        """
        log = self._log(function)
        handles = _Handles(os.O_RDONLY, _READERS)
        try:
            position = 0
            if tail is not None:
                position, pieces = await _last_lines(log, handles, environment, tail)
                if pieces:
                    yield pieces
            while True:
                position, pieces = _next(log, handles, environment, position)
                if pieces:
                    yield pieces
                await asyncio.sleep(0)  # a client that takes all there is must not hold the loop
                if position < len(log.index):
                    continue
                if not follow or self._closed:
                    return
                more: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                log.waiting.append(more)
                await more
        finally:
            handles.close()

    def end_followers(self) -> None:
        """No more will come: whoever follows gets the rest, and then the end."""
        self._closed = True
        for log in self._logs.values():
            log.wake()

    def close(self) -> None:
        self.end_followers()
        self._handles.close()

    def _log(self, function: str) -> _FunctionLog:
        if function not in self._logs:
            self._logs[function] = _FunctionLog(_Index(self._own_folder / f"{function}.index"))
        return self._logs[function]

    def _append(self, stream: _Stream, block: bytes) -> int | None:
        """Where it stands in the file; ``None`` if it could not be written, whole."""
        descriptor = -1
        try:
            descriptor = self._writer(stream)
            left = block
            while left:
                left = left[os.write(descriptor, left) :]
        except OSError as error:
            if descriptor >= 0:
                with contextlib.suppress(OSError):  # half a line would run into the next one
                    os.ftruncate(descriptor, stream.size)
            self._failed(len(block), error)
            return None
        offset = stream.size
        stream.size += len(block)
        return offset

    def _writer(self, stream: _Stream) -> int:
        try:
            descriptor, is_new = self._handles.get(stream.path)
        except FileNotFoundError:
            Path(stream.path).parent.mkdir(parents=True, exist_ok=True)
            descriptor, is_new = self._handles.get(stream.path)
        if is_new:
            stream.size = os.fstat(descriptor).st_size
        return descriptor

    def _failed(self, size: int, error: OSError) -> None:
        first = not self._lost
        self._lost += size
        self._reason = error.strerror or str(error)
        if first:
            self._on_trouble(f"logs cannot be written below {self.folder}: {self._reason}")


def _parts(name: str) -> list[str]:
    """Folders of a name with ``/``. A log group may be called ``..``, and must not lead elsewhere."""
    return [part.replace(".", "%2E") if part in (".", "..") else part for part in name.split("/") if part]


def _next(log: _FunctionLog, handles: _Handles, environment: str | None, position: int) -> tuple[int, list[LogPiece]]:
    """Some pieces from ``position`` on, and the position behind them."""
    pieces: list[LogPiece] = []
    size = 0
    for entry in log.index.entries(position, _ENTRIES):
        position += 1
        if (piece := _piece(log, handles, environment, entry)) is not None:
            pieces.append(piece)
            size += len(piece.lines)
            if size >= _BATCH:
                break
    return position, pieces


async def _last_lines(
    log: _FunctionLog, handles: _Handles, environment: str | None, wanted: int
) -> tuple[int, list[LogPiece]]:
    """The first piece of the last lines, without what is before them, and the position behind it."""
    end = position = len(log.index)
    size = 0
    while wanted and position:
        first = max(0, position - _ENTRIES)
        for entry in reversed(log.index.entries(first, position - first)):
            position -= 1
            if (piece := _piece(log, handles, environment, entry)) is None:
                continue
            lines = piece.lines.count(b"\n")
            if lines >= wanted:
                rest = piece.lines.split(b"\n", lines - wanted)[-1]
                return position + 1, [LogPiece(piece.time, piece.environment, piece.stream, rest)]
            wanted -= lines
            size += len(piece.lines)
            if size >= _BATCH:
                size = 0
                await asyncio.sleep(0)
    return (0, []) if wanted else (end, [])


def _piece(
    log: _FunctionLog, handles: _Handles, environment: str | None, entry: tuple[float, int, int, int]
) -> LogPiece | None:
    """What an entry stands for; ``None`` if it is not wanted, or somebody has taken the file away."""
    moment, number, length, offset = entry
    stream = log.streams[number]
    if environment not in (None, stream.environment):
        return None
    try:
        lines = os.pread(handles.get(stream.path)[0], length, offset)
    except OSError:
        return None
    return LogPiece(moment, stream.environment, stream.name, lines) if lines else None
