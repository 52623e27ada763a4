"""When a function's code or one of its layers has changed."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import watchfiles

__all__ = ["Change", "CodeWatcher"]

_LOOK_AGAIN = 0.5  # seconds
_MOMENT = 0.1  # seconds
# Milliseconds without a change, after which those before are told; the library's thread wakes up that often, and takes
# the interpreter, change or no change.
_CALM = 50
_LONGEST_SAVE = 1_600  # milliseconds after which they are told in any case
_LONGEST_GATHERED = (_LONGEST_SAVE + _CALM) * 1_000_000  # nanoseconds
# Written by tools, and read by no function. Dependencies are code, wherever they lie.
_PASSED_OVER = frozenset(
    {
        "__pycache__",
        ".aws-sam",
        ".cache",
        ".git",
        ".hg",
        ".hypothesis",
        ".idea",
        ".mypy_cache",
        ".pytest_cache",
        ".ruff_cache",
        ".svn",
        ".tox",
        ".venv",
        ".vscode",
    }
)
_TEMPORARY = re.compile(
    r"\.py[cod]$|~$|^#.*#$|^\.#|\.sw[a-z]$|\.kate-swp$|^4913$|^\.goutputstream-|___jb_(tmp|old)___$"
    r"|\.tmp(\.|$)|^\.DS_Store$|^\.nfs|^flycheck_"
)


@dataclass(frozen=True, slots=True)
class Change:
    """Files of a function that were saved, removed or added at once.

    Attributes:
        function: whose code or layers they belong to.
        files: their names, relative to what is watched; none where a whole folder has come back.
    """

    function: str
    files: tuple[str, ...]

    def __str__(self) -> str:
        match len(self.files):
            case 0:
                return "its folder is there anew"
            case 1:
                return f"{self.files[0]} changed"
            case 2:
                return f"{self.files[0]} and another file changed"
            case number:
                return f"{self.files[0]} and {number - 1} other files changed"


class CodeWatcher:
    """Watches the code and the layers of all functions at once; ``on_change`` gets what has changed of a function.

    One watch is over all of them, and made anew when there is another folder. What is saved while there is none is
    found afterwards, by the times of change: so nothing is lost, and nothing has to wait until a watch is armed.
    """

    def __init__(self, on_change: Callable[[Change], None]) -> None:
        self._on_change = on_change
        self._paths: dict[str, tuple[Path, ...]] = {}
        self._since: dict[str, int] = {}  # when a function's were read, ns: what was saved before is no change
        self._unwatched: dict[str, int] = {}  # since when changes of a function may have been lost, ns
        self._told: dict[Path, int] = {}  # the last that were told, each with its time of change
        self._changed = asyncio.Event()  # the set of paths, or which folders they are
        self._gone: set[Path] = set()  # folders that were removed, and may be there again
        self._closed = False

    def watch(self, name: str, *paths: Path, since: int) -> None:
        """Watch these folders, with all below them, and these files for a function, instead of what was before.

        Arguments:
            since: nanoseconds of the epoch; what was saved after it is told. Files' times come in ticks of some
                milliseconds, and of what was saved in the tick of this moment only the watch itself can tell.
        """
        if self._paths.get(name) == paths:
            return
        self._paths[name] = paths
        self._since[name] = self._unwatched[name] = since
        self._changed.set()

    def forget(self, name: str) -> None:
        """The function is gone."""
        self._unwatched.pop(name, None)
        self._since.pop(name, None)
        if self._paths.pop(name, None) is not None:
            self._changed.set()

    def close(self) -> None:
        self._closed = True
        self._changed.set()

    async def run(self) -> None:
        """Until :meth:`close`. What is saved at once is told at once.

        Bytecode, editors' temporary files and version control do not count. A folder may be removed and made anew, as
        build tools do: then it is watched again, and told of when it is.
        """
        while not self._closed:
            self._changed.clear()
            paths = {path for paths in self._paths.values() for path in paths}
            folders = {path for path in paths if path.is_dir()}
            # An archive is often replaced as a whole, and a watch goes with what was there: so its folder is watched;
            # and that of a folder which is gone, to see it come back.
            others = paths - folders
            self._gone |= others
            fresh = self._gone & folders
            self._gone -= fresh
            parents = {path.parent for path in others if path.parent.is_dir()}
            async with asyncio.TaskGroup() as tasks:
                if folders:
                    wanted = _BelowThese(folders)
                    tasks.create_task(self._follow(folders, wanted, folders, recursive=True))
                if parents:
                    tasks.create_task(self._follow(parents, _OnlyThese(others), folders, recursive=False))
                if orphans := {path.parent for path in others} - parents:
                    tasks.create_task(self._wait_for(orphans))
                tasks.create_task(self._tell_of(fresh))
                tasks.create_task(self._catch_up(folders, fresh))  # begins after the watches, which are armed by then
                await self._changed.wait()
            lost = time.time_ns() - _LONGEST_GATHERED  # with a watch goes what it has gathered, and not told yet
            for name in self._paths:
                self._unwatched.setdefault(name, max(lost, self._since[name]))

    async def _follow(
        self,
        watched: set[Path],
        wanted: Callable[[watchfiles.Change, str], bool],
        folders: set[Path],
        *,
        recursive: bool,
    ) -> None:
        found = watchfiles.awatch(
            *watched,
            watch_filter=wanted,
            stop_event=self._changed,
            debounce=_LONGEST_SAVE,
            step=_CALM,
            recursive=recursive,
        )
        while True:
            try:
                changes = await anext(found)
            except StopAsyncIteration:
                return
            except (OSError, RuntimeError):  # a folder has just gone, or there was no free descriptor
                await self._pause()
                self._changed.set()
                return
            paths = {Path(path) for _, path in changes}
            self._told = _lately(self._told) | _times(paths)
            for name in self._paths:
                self._tell(name, paths, folders)
            gone = {Path(path) for change, path in changes if change is watchfiles.Change.deleted} & folders
            back = {Path(path) for _, path in changes} & self._gone
            if gone or any(path.is_dir() for path in back):
                self._gone |= gone
                self._changed.set()

    async def _wait_for(self, missing: set[Path]) -> None:
        """Look for folders of which nobody tells when they come."""
        while not self._changed.is_set() and not any(path.is_dir() for path in missing):
            await self._pause()
        self._changed.set()

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_AGAIN):
                await self._changed.wait()

    async def _tell_of(self, fresh: set[Path]) -> None:
        """Folders that are there anew; a moment later, because what came before they were watched is not told else."""
        if fresh:
            await asyncio.sleep(_MOMENT)
            for name, paths in self._paths.items():
                if not fresh.isdisjoint(paths):
                    self._on_change(Change(name, ()))

    async def _catch_up(self, folders: set[Path], fresh: set[Path]) -> None:
        """Tell of what was saved while there was no watch; of fresh folders is told anyway."""
        watched_again = time.time_ns()
        unwatched, self._unwatched = self._unwatched, {}
        oldest = min(unwatched.values(), default=watched_again)
        paths = {path for name in unwatched for path in self._paths[name]} - fresh
        found = await asyncio.to_thread(_saved, paths, oldest, watched_again)
        untold = {path: saved for path, saved in found.items() if self._told.get(path) != saved}
        self._told |= untold
        for name, since in unwatched.items():
            self._tell(name, {path for path, saved in untold.items() if saved > since}, folders)

    def _tell(self, name: str, changed: set[Path], folders: set[Path]) -> None:
        files = set()
        for path in changed:
            for watched in self._paths.get(name, ()):
                # A folder that was not there is told of when it is watched.
                if path.is_relative_to(watched) and not (watched not in folders and path.is_dir()):
                    files.add(path.name if path == watched else str(path.relative_to(watched)))
        if files:
            _forget_bytecode(changed)
            self._on_change(Change(name, tuple(sorted(files))))


def _times(paths: Iterable[Path]) -> dict[Path, int]:
    """When each was changed, in nanoseconds of the epoch, as far as they are there."""
    times = {}
    for path in paths:
        with contextlib.suppress(OSError):
            times[path] = path.lstat().st_ctime_ns
    return times


def _lately(times: dict[Path, int]) -> dict[Path, int]:
    since = time.time_ns() - _LONGEST_GATHERED
    return {path: saved for path, saved in times.items() if saved > since}


def _saved(paths: Iterable[Path], since: int, until: int) -> dict[Path, int]:
    """Code in these folders, and those of these files, that was changed after the one time and not after the other."""
    found: dict[Path, int] = {}
    for path in paths:
        files = _code_below(path) if path.is_dir() else [path]
        found |= {file: saved for file, saved in _times(files).items() if since < saved <= until}
    return found


def _code_below(folder: Path) -> Iterator[Path]:
    for place, names, files in os.walk(folder):
        names[:] = [name for name in names if name not in _PASSED_OVER]
        yield from (Path(place, name) for name in files if _TEMPORARY.search(name) is None)


def _forget_bytecode(changed: Iterable[Path]) -> None:
    """Take away the bytecode of modules that have changed.

    Python compares sizes and whole seconds: it would take the old one for that of a file which is saved twice in a
    second and is as long as before.
    """
    for path in changed:
        if path.suffix == ".py":
            with contextlib.suppress(OSError, NotImplementedError):  # there is none, or it is not ours
                Path(importlib.util.cache_from_source(path)).unlink()


class _BelowThese(watchfiles.BaseFilter):
    """Lets changes of code through, by their place below the folders that are watched."""

    def __init__(self, folders: Iterable[Path]) -> None:
        super().__init__()
        self._folders = tuple(folders)

    def __call__(self, change: watchfiles.Change, path: str) -> bool:
        changed = Path(path)
        return any(_is_code(changed.relative_to(folder)) for folder in self._folders if changed.is_relative_to(folder))


def _is_code(path: Path) -> bool:
    return _PASSED_OVER.isdisjoint(path.parts) and _TEMPORARY.search(path.name) is None


class _OnlyThese(watchfiles.BaseFilter):
    """Lets changes of some files through."""

    def __init__(self, files: set[Path]) -> None:
        super().__init__()
        self._files = files

    def __call__(self, change: watchfiles.Change, path: str) -> bool:
        return Path(path) in self._files
