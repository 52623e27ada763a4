"""What outlives the emulator: the registry is written with every change, and a start makes of it what runs again.

A function of the configuration file, or of a template, is as that says; what clients have added to it is kept: its
versions, aliases, tags, policies, and where the file is silent its URL, its event invoke config and its reserved
concurrency. One that the file does not have any more is kept aside until it has it again.
"""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, Self

from emulator.control.aliases import apply_alias
from emulator.control.concurrency import apply_provisioned, apply_reserved
from emulator.control.control import Control
from emulator.control.deploying import activate_again
from emulator.control.event_configs import apply_event_config
from emulator.control.function_urls import apply_url
from emulator.control.recursion import apply_recursion
from emulator.control.registry import Code, FunctionRecord, Registry
from emulator.errors import EmulatorError
from emulator.model import LATEST
from emulator.service import Service
from emulator.state import StateFolder
from emulator.state.folder import damaged

__all__ = ["Keeper"]

_Json = dict[str, Any]
_OURS = re.compile(r"[a-zA-Z0-9-_]+-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(\.zip)?|tmp\w+")
"""Names that the stores of code and layers make."""


class Keeper:
    """Writes what the control plane knows whenever that changes.

    Attributes:
        control: whose changes these are.
    """

    def __init__(self, service: Service, folder: StateFolder) -> None:
        self._service, self._folder = service, folder
        self._aside: dict[str, FunctionRecord] = {}
        self._is_dirty = False
        self._writing: asyncio.Task[None] | None = None
        self.control = Control(service, on_change=self._changed, folder=folder.path)

    @classmethod
    async def restored(cls, service: Service, folder: StateFolder) -> Self:
        """A keeper, when everything is there again that was in the folder. What cannot run is ``Failed``, and told of.

        Raises:
            StateError: what is in the folder is no state; nothing in it has changed.
        """
        keeper = cls(service, folder)
        try:
            await keeper._restore(folder.kept or {})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise damaged(folder.path, f"state.json has not what belongs there: {error!r}") from error
        service.take_up_events()
        keeper._changed()
        await keeper.settled()
        await asyncio.to_thread(keeper._sweep)
        return keeper

    async def settled(self) -> None:
        """Wait until all is written that has changed by now."""
        while self._writing is not None and not self._writing.done():
            await asyncio.shield(self._writing)

    # -- writing -----------------------------------------------------------------------------------------

    def _changed(self) -> None:
        self._is_dirty = True
        if self._writing is None or self._writing.done():
            self._writing = asyncio.get_running_loop().create_task(self._write())

    async def _write(self) -> None:
        """All changes of one round of the loop are one, and so are those that come while one is written."""
        while self._is_dirty:
            self._is_dirty = False
            registry = self.control.registry
            kept = Registry({**self._aside, **registry.functions}, registry.layers, registry.account)
            said = self._folder.say({"registry": kept})  # in this round, in which nobody changes it
            try:
                await asyncio.to_thread(self._folder.write, said)
            except OSError as error:
                told = error.strerror or error
                self._service.tell_of_state(f"the state cannot be written to {self._folder.path}: {told}")

    # -- restoring ---------------------------------------------------------------------------------------

    async def _restore(self, kept: _Json) -> None:
        if "registry" not in kept:
            return  # nobody has changed anything yet
        registry = Registry.from_json(kept["registry"])
        _move(registry, kept["folder"], str(self._folder.path))
        given = {function.name for function in self._service.functions}
        for name, record in list(registry.functions.items()):
            if record.other.get("given") and name not in given:
                self._aside[name] = registry.functions.pop(name)
        self.control.take_over(registry)
        for name, record in list(registry.functions.items()):  # new ones of the file come meanwhile
            if name in given:
                record.other["given"] = True
                await self._add_to(record, self._said_of(name))
            else:
                await activate_again(self.control, record, record.latest)
                await self._add_to(record, ())

    def _said_of(self, name: str) -> Collection[str]:
        """The keys of its table in the file."""
        table = self._service.settings.functions.get(name)
        return table.model_fields_set if table is not None else ()

    async def _add_to(self, record: FunctionRecord, said: Collection[str]) -> None:
        control = self.control
        for version in record.versions.values():
            await activate_again(control, record, version)
        for alias in record.aliases.values():
            apply_alias(control, record, alias)
        if "url" in said:
            record.url_configs.pop("", None)
        if "asynchronous" in said:
            record.event_configs.pop(LATEST, None)
        if "reserved_concurrency" in said:
            record.other.pop("reserved_concurrency", None)
        apply_recursion(control, record)
        for qualifier in record.url_configs:
            self._try(record, lambda q=qualifier: apply_url(control, record, q))  # type: ignore[misc]
        for qualifier in record.event_configs:
            self._try(record, lambda q=qualifier: apply_event_config(control, record, q))  # type: ignore[misc]
        self._try(record, lambda: apply_reserved(control, record))
        self._try(record, lambda: apply_provisioned(control, record))

    def _try(self, record: FunctionRecord, step: Callable[[], None]) -> None:
        try:
            step()
        except EmulatorError as error:
            self._service.tell_of_state(f"{record.name} is not all that it was: {error}")

    def _sweep(self) -> None:
        """Remove what a kill has left: code and archives that nothing has any more."""
        registry = self.control.registry
        functions = (*registry.functions.values(), *self._aside.values())
        used = {Path(code.folder).parent for record in functions for code in _codes(record)}
        used |= {Path(version["path"]) for version in _layers(registry)}
        for store in ("code", "layers"):
            folder = self._folder.path / store
            for path in folder.iterdir() if folder.is_dir() else ():
                if path in used or not _OURS.fullmatch(path.name):
                    continue
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)


def _codes(record: FunctionRecord) -> list[Code]:
    return [code for version in (record.latest, *record.versions.values()) for code in version.codes]


def _layers(registry: Registry) -> Iterator[_Json]:
    for layer in registry.layers.values():
        yield from layer["versions"].values()
        yield from layer["deleted"].values()


def _move(registry: Registry, old: str, new: str) -> None:
    """The folder may have been moved since; what was sent lies in it."""

    def moved(path: str) -> str:
        return new + path.removeprefix(old) if path.startswith(f"{old}/") else path

    for record in registry.functions.values():
        for code in _codes(record):
            code.folder = moved(code.folder)
            code.archive = moved(code.archive) if code.archive is not None else None
    for version in _layers(registry):
        version["path"] = moved(version["path"])
