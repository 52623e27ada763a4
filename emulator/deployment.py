"""A function's code and its layers: whether they can be used, and when they changed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

import watchfiles

from emulator.errors import CodeError
from emulator.model import Function

__all__ = ["CodeWatcher", "check_code"]

_LOOK_AGAIN = 0.5  # seconds
_OTHERS = stat.S_IROTH | stat.S_IXOTH


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
        raise CodeError(f"{where} does not exist", cure="code names the folder that holds the handler's file.")
    if not folder.is_dir():
        raise CodeError(f"{where} is not a folder", cure="code names a folder, not a file or an archive.")
    _check_folder(where, folder, other_user=other_user)
    if not any(folder.iterdir()):
        raise CodeError(f"{where} is empty", cure="code names the folder that holds the handler's file.")


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


class CodeWatcher:
    """Watches the code and the layers of all functions at once; ``on_change`` gets the name of a function."""

    def __init__(self, on_change: Callable[[str], None]) -> None:
        self._on_change = on_change
        self._paths: dict[str, tuple[Path, ...]] = {}
        self._changed = asyncio.Event()  # the set of paths
        self._closed = False

    def watch(self, name: str, *paths: Path) -> None:
        """Watch these folders, with all below them, and these files for a function, instead of what was before."""
        self._paths[name] = paths
        self._changed.set()

    def close(self) -> None:
        self._closed = True
        self._changed.set()

    async def run(self) -> None:
        """Until :meth:`close`. Bytecode, editors' temporary files and version control do not count."""
        while not self._closed:
            self._changed.clear()
            paths = {path for paths in self._paths.values() for path in paths}
            folders = {path for path in paths if path.is_dir()}  # one may be gone by now
            # An archive is often replaced as a whole, and a watch goes with what was there: so its folder is watched.
            files = paths - folders
            parents = {path.parent for path in files if path.parent.is_dir()}
            if not folders and not parents:
                await self._changed.wait()
                continue
            async with asyncio.TaskGroup() as tasks:
                if folders:
                    tasks.create_task(self._follow(folders, watchfiles.DefaultFilter(), recursive=True))
                if parents:
                    tasks.create_task(self._follow(parents, _OnlyThese(files), recursive=False))

    async def _follow(
        self, folders: set[Path], wanted: Callable[[watchfiles.Change, str], bool], *, recursive: bool
    ) -> None:
        found = watchfiles.awatch(
            *folders, watch_filter=wanted, stop_event=self._changed, debounce=200, step=20, recursive=recursive
        )
        while True:
            try:
                changes = await anext(found)
            except StopAsyncIteration:
                return
            except (OSError, RuntimeError):  # a folder has just gone, or there was no free descriptor
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_AGAIN):
                        await self._changed.wait()
                self._changed.set()
                return
            for name in self._touched({Path(path) for _, path in changes}):
                self._on_change(name)

    def _touched(self, changed: set[Path]) -> list[str]:
        return [
            name
            for name, paths in self._paths.items()
            if any(path.is_relative_to(watched) for watched in paths for path in changed)
        ]


class _OnlyThese(watchfiles.BaseFilter):
    """Lets changes of some files through."""

    def __init__(self, files: set[Path]) -> None:
        super().__init__()
        self._files = files

    def __call__(self, change: watchfiles.Change, path: str) -> bool:
        return Path(path) in self._files
