"""A function's code: whether it can be used, and when it changed."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Callable
from pathlib import Path

import watchfiles

from emulator.errors import CodeError
from emulator.model import Function

__all__ = ["CodeWatcher", "check_code"]

_OTHERS = stat.S_IROTH | stat.S_IXOTH


def check_code(function: Function, *, other_user: bool) -> None:
    """Refuse a folder that a sandbox could not use.

    Arguments:
        other_user: the code is read by a user who is not us, as in a container.

    Raises:
        CodeError: it is missing, no folder, unreadable or empty, with the cure.
    """
    folder = function.code
    where = f"function {function.name}: its code {folder}"
    if not folder.exists():
        raise CodeError(f"{where} does not exist", cure="code names the folder that holds the handler's file.")
    if not folder.is_dir():
        raise CodeError(f"{where} is not a folder", cure="code names a folder, not a file or an archive.")
    if not os.access(folder, os.R_OK | os.X_OK):
        raise CodeError(f"{where} cannot be read", cure=f"chmod u+rx {folder}")
    if not any(folder.iterdir()):
        raise CodeError(f"{where} is empty", cure="code names the folder that holds the handler's file.")
    if other_user and folder.stat().st_mode & _OTHERS != _OTHERS:
        raise CodeError(
            f"{where} can be read by its owner only, and Lambda runs code as another user",
            cure=f"chmod -R o+rX {folder}",
        )


class CodeWatcher:
    """Watches the code of all functions at once; ``on_change`` gets the name of a function."""

    def __init__(self, on_change: Callable[[str], None]) -> None:
        self._on_change = on_change
        self._folders: dict[str, Path] = {}
        self._changed = asyncio.Event()  # the set of folders
        self._closed = False

    def watch(self, name: str, folder: Path) -> None:
        self._folders[name] = folder
        self._changed.set()

    def close(self) -> None:
        self._closed = True
        self._changed.set()

    async def run(self) -> None:
        """Until :meth:`close`. Bytecode, editors' temporary files and version control do not count."""
        while not self._closed:
            self._changed.clear()
            folders = {folder for folder in self._folders.values() if folder.is_dir()}  # one may be gone by now
            if not folders:
                await self._changed.wait()
                continue
            async for changes in watchfiles.awatch(
                *folders, stop_event=self._changed, debounce=200, step=20, recursive=True
            ):
                for name in self._touched({Path(path) for _, path in changes}):
                    self._on_change(name)

    def _touched(self, paths: set[Path]) -> list[str]:
        return [name for name, folder in self._folders.items() if any(path.is_relative_to(folder) for path in paths)]
