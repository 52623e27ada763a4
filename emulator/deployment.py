"""A function's code and its layers: whether they can be used, and when they changed."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import re
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import watchfiles

from emulator.errors import CodeError
from emulator.model import Function

__all__ = ["Change", "CodeWatcher", "check_code"]

_LOOK_AGAIN = 0.5  # seconds
_MOMENT = 0.1  # seconds
# Milliseconds without a change, after which those before are told; the library's thread wakes up that often, and takes
# the interpreter, change or no change.
_CALM = 50
_LONGEST_SAVE = 1_600  # milliseconds after which they are told in any case
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
_OTHERS = stat.S_IROTH | stat.S_IXOTH
_CODE = "code names the folder that holds the handler's file, or what a build makes: build it first."


def check_code(function: Function, *, other_user: bool) -> None:
    """Refuse a folder that a sandbox could not use; and layers of which that can be seen without unpacking them.

    Arguments:
        other_user: the code is read by a user who is not us, as in a container.

    Raises:
        CodeError: it is missing, no folder, unreadable or empty, with the cure.
    """
    if function.code is not None:
        _check_code_folder(function.name, function.code, other_user=other_user)
    for layer in function.layers:
        _check_layer(f"function {function.name}: its layer {layer}", layer, other_user=other_user)


def _check_code_folder(function: str, folder: Path, *, other_user: bool) -> None:
    where = f"function {function}: its code {folder}"
    if not folder.exists():
        raise CodeError(f"{where} does not exist", cure=_CODE)
    if not folder.is_dir():
        raise CodeError(f"{where} is not a folder", cure="code names a folder, not a file or an archive.")
    _check_folder(where, folder, other_user=other_user)
    if not any(folder.iterdir()):
        raise CodeError(f"{where} is empty", cure=_CODE)


def _check_layer(where: str, layer: Path, *, other_user: bool) -> None:
    if not layer.exists():
        raise CodeError(f"{where} does not exist", cure="layers names folders and zip archives.")
    if layer.is_dir():
        _check_folder(where, layer, other_user=other_user)
    elif not os.access(layer, os.R_OK):
        raise CodeError(f"{where} cannot be read", cure=f"chmod u+r {layer}")


def _check_folder(where: str, folder: Path, *, other_user: bool) -> None:
    if not os.access(folder, os.R_OK | os.X_OK):
        raise CodeError(f"{where} cannot be read", cure=f"chmod u+rx {folder}")
    if other_user and folder.stat().st_mode & _OTHERS != _OTHERS:
        raise CodeError(
            f"{where} can be read by its owner only, and Lambda runs code as another user",
            cure=f"chmod -R o+rX {folder}",
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
    """Watches the code and the layers of all functions at once; ``on_change`` gets what has changed of a function."""

    def __init__(self, on_change: Callable[[Change], None]) -> None:
        self._on_change = on_change
        self._paths: dict[str, tuple[Path, ...]] = {}
        self._changed = asyncio.Event()  # the set of paths, or which folders they are
        self._gone: set[Path] = set()  # folders that were removed, and may be there again
        self._closed = False

    def watch(self, name: str, *paths: Path) -> None:
        """Watch these folders, with all below them, and these files for a function, instead of what was before."""
        self._paths[name] = paths
        self._changed.set()

    def forget(self, name: str) -> None:
        """The function is gone."""
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
                await self._changed.wait()

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
            _forget_bytecode(path for _, path in changes)
            self._tell({Path(path) for _, path in changes}, folders)
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

    def _tell(self, changed: set[Path], folders: set[Path]) -> None:
        for name, paths in self._paths.items():
            files = set()
            for path in changed:
                for watched in paths:
                    # A folder that was not there is told of when it is watched.
                    if path.is_relative_to(watched) and not (watched not in folders and path.is_dir()):
                        files.add(path.name if path == watched else str(path.relative_to(watched)))
            if files:
                self._on_change(Change(name, tuple(sorted(files))))


def _forget_bytecode(changed: Iterable[str]) -> None:
    """Take away the bytecode of modules that have changed.

    Python compares sizes and whole seconds: it would take the old one for that of a file which is saved twice in a
    second and is as long as before.
    """
    for path in changed:
        if path.endswith(".py"):
            with contextlib.suppress(OSError, NotImplementedError):  # there is none, or it is not ours
                os.unlink(importlib.util.cache_from_source(path))  # noqa: PTH108 (its place is a text)


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
