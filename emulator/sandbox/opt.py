"""The merged layers of functions, and who still uses which version of them."""

from __future__ import annotations

import asyncio
import itertools
import shutil
from dataclasses import dataclass
from pathlib import Path

from emulator.layers import extension_names, merge_layers
from emulator.model import Function
from emulator.sandbox.instance import Instance

__all__ = ["Opt", "OptFolders"]


@dataclass(slots=True, eq=False)
class Opt:
    """One merged folder: what a function has in ``/opt``.

    Attributes:
        extensions: the names of the external extensions in it.
        users: how many sandboxes have it.
        is_current: whether the next sandbox gets it, too.
    """

    folder: Path
    extensions: tuple[str, ...]
    users: int = 0
    is_current: bool = True


class OptFolders:
    """One folder for each function that has layers, and the older ones for as long as a sandbox has them."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._current: dict[str, Opt] = {}
        self._numbers = itertools.count(1)

    async def prepare(self, function: Function) -> None:
        """Merge the layers of a function anew; sandboxes that are made from now on get the result.

        Raises:
            CodeError: a layer cannot be used; what there was stays in force.
        """
        fresh = await self._merge(function) if function.layers else None
        before = self._current.pop(function.key, None)
        if fresh is not None:
            self._current[function.key] = fresh
        if before is not None:
            before.is_current = False
            await self._remove_unused(before)

    def take(self, function: Function) -> Opt | None:
        """For one sandbox, to be given back; ``None`` for a function without layers."""
        opt = self._current.get(function.key)
        assert opt is not None or not function.layers, "a function with layers is prepared before its first sandbox"
        if opt is not None:
            opt.users += 1
        return opt

    def folder_of(self, function: Function) -> Path | None:
        """The merged layers that its next sandbox gets."""
        opt = self._current.get(function.key)
        return opt.folder if opt is not None else None

    async def give_back(self, opt: Opt) -> None:
        opt.users -= 1
        await self._remove_unused(opt)

    async def _merge(self, function: Function) -> Opt:
        folder = self._instance.make_folder(f"layers-{next(self._numbers)}", mode=0o755)
        try:
            await asyncio.to_thread(merge_layers, function, folder)
        except BaseException:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            raise
        return Opt(folder, extension_names(folder))

    async def _remove_unused(self, opt: Opt) -> None:
        if opt.users == 0 and not opt.is_current:
            await asyncio.to_thread(shutil.rmtree, opt.folder, ignore_errors=True)
