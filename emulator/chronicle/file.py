"""The timeline as a file: a line of JSON an event, written by the loop when it has time for it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from emulator.chronicle.lines import to_line
from emulator.errors import ConfigurationError
from emulator.timeline import Page, Timeline

__all__ = ["TimelineFile"]

_GATHER = 0.25  # seconds from one writing to the next
_MOST = 100  # events at a time: a third of a millisecond


class TimelineFile:
    """Writes every event of a timeline from entering to leaving; what the path held before is replaced.

    Arguments:
        on_trouble: told once, in words, when something cannot be written.

    Raises:
        ConfigurationError: on entering, when there can be no such file.
    """

    def __init__(self, path: Path, timeline: Timeline, on_trouble: Callable[[str], None]) -> None:
        self.path = path
        self._timeline = timeline
        self._on_trouble = on_trouble
        self._descriptor = -1
        self._size = 0  # of whole lines
        self._last = 0  # number of the last event that was read
        self._lost = 0
        self._reason = ""
        self._task: asyncio.Task[None] | None = None

    @property
    def trouble(self) -> str | None:
        """What is not in the file, if anything."""
        return f"{self._lost:,} events are not in {self.path}: {self._reason}" if self._lost else None

    async def __aenter__(self) -> Self:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Nobody waits for the reader of a pipe, neither now nor later.
            flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
            self._descriptor = os.open(self.path, flags, 0o644)
            if stat.S_ISREG(os.fstat(self._descriptor).st_mode):
                os.ftruncate(self._descriptor, 0)
        except OSError as error:
            raise ConfigurationError(
                f"the timeline cannot be written to {self.path}: {error.strerror}",
                cure="timeline_file in [emulator], or --timeline, is a file that may be written.",
            ) from error
        self._task = asyncio.create_task(self._follow(), name="timeline-file")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._task is not None, "a file is left after it was entered"
        self._task.cancel()
        await asyncio.wait([self._task])
        try:
            more = True
            while more:
                page = self._timeline.read(self._last, most=_MOST)
                self._write(page)
                more = page.more
        finally:
            os.close(self._descriptor)
        if not self._task.cancelled():
            self._task.result()

    async def _follow(self) -> None:
        async for page in self._timeline.follow(most=_MOST, gather=_GATHER):
            self._write(page)

    def _write(self, page: Page) -> None:
        self._last = page.last
        if page.lost is not None:
            first, last = page.lost
            self._failed(last - first + 1, "they came faster than they could be written")
        if not page.events:
            return
        try:
            left = block = b"".join([to_line(event) + b"\n" for event in page.events])
            while left:
                left = left[os.write(self._descriptor, left) :]
        except OSError as error:
            with contextlib.suppress(OSError):  # half a line would run into the next one
                os.ftruncate(self._descriptor, self._size)
                os.lseek(self._descriptor, self._size, os.SEEK_SET)
            self._failed(len(page.events), error.strerror or str(error))
        else:
            self._size += len(block)

    def _failed(self, events: int, reason: str) -> None:
        first = not self._lost
        self._lost += events
        self._reason = reason
        if first:
            self._on_trouble(f"the timeline cannot be written whole to {self.path}: {reason}")
