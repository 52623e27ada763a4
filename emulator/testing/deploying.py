"""The functions of a run of tests: each is deployed once, and found again by whoever wants the very same."""

from __future__ import annotations

import dataclasses
import itertools
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from emulator.embedded import DeployedFunction, Emulator, InvocationResult
from emulator.errors import CodeError, FunctionNotFoundError
from emulator.model import Function, Reclaim

__all__ = ["Deployments", "FunctionUnderTest"]

_LONGEST_NAME = 64
_WARM_CODE = {"memory": 512, "timeout": 10}
"""A test is not about the defaults of Lambda, which are scarce: 128 MiB and 3 s."""


class FunctionUnderTest(DeployedFunction):
    """A function of a test. If the test runs under a condition, an invocation is whatever that makes of it."""

    __slots__ = ()

    def invoke(self, payload: Any = None) -> InvocationResult:
        """As :meth:`Emulator.invoke`, under the condition of the test, where it has one."""
        plain = DeployedFunction(self.emulator, self.name)
        conditions = sys.modules.get("emulator.testing.conditions")  # it is there as soon as one can be asked for
        result: InvocationResult = (
            conditions.invoke(plain, payload) if conditions is not None else plain.invoke(payload)
        )
        return result


class Deployments:
    """What a run of tests has deployed on one emulator.

    A function that was deployed with the same code and the same settings before is the same one again, with whatever
    environments it has: so a warm one costs nothing. What a test has done to it beyond that (time that was skipped, a
    policy) is for :meth:`begin_anew`.
    """

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._known: dict[str, FunctionUnderTest] = {}
        self._names: set[str] = set()
        self._alone: list[FunctionUnderTest] = []

    def deploy(
        self,
        code: str | Path,
        *,
        name: str | None = None,
        fresh: bool = False,
        folders: Sequence[Path] = (),
        **settings: Any,
    ) -> FunctionUnderTest:
        """Deploy a function, or find the one that was deployed so.

        Arguments:
            code: its folder; or the name of a function that the emulator's settings deploy.
            name: by default after the folder, with a number where that is taken.
            fresh: one of its own, which nobody else gets; :meth:`begin_anew` ends it.
            folders: relative folders of code are looked for below these, in this order.
            settings: as :class:`emulator.model.Function` takes them; 512 MiB and 10 s by default.

        Raises:
            CodeError: there is no such folder, and no such function.
            EmulatorError: it cannot be deployed.
        """
        folder = _find(code, folders)
        if folder is None:
            return self._of_settings(str(code))
        function = Function(name=name or "unnamed", code=folder, **(_WARM_CODE | settings))
        key = "fresh" if fresh else _key(function, named=name is not None)
        if not fresh and key in self._known:
            return self._known[key]
        function = dataclasses.replace(function, name=name or self._free_name(folder.name))
        self.forget(function.name)  # one of that name is replaced
        deployed = FunctionUnderTest(self._emulator, self._emulator.add(function).name)
        self._names.add(function.name)
        if fresh:
            self._alone.append(deployed)
        else:
            self._known[key] = deployed
        return deployed

    def forget(self, name: str) -> None:
        """Whoever wants the same function next gets one of its own: this one is not what it was."""
        self._known = {key: function for key, function in self._known.items() if function.name != name}

    def begin_anew(self, *, everything: bool = False) -> None:
        """End the environments of functions that were made fresh; or, with ``everything``, those of all.

        Their connections are closed: what one test leaves is nothing for the next to find.
        """
        ended, self._alone = self._alone, []
        for function in [*ended, *(self._known.values() if everything else ())]:
            function.recycle(Reclaim.FIN)

    def _of_settings(self, name: str) -> FunctionUnderTest:
        try:
            found = FunctionUnderTest(self._emulator, self._emulator.function(name).name)
        except FunctionNotFoundError as error:
            raise CodeError(
                f"there is no folder {name}, and no function of that name in the settings",
                cure="A relative folder is looked for beside the test's file, then below the project's root.",
            ) from error
        return self._known.setdefault(f"of the settings: {name}", found)

    def _free_name(self, folder: str) -> str:
        base = re.sub(r"[^a-zA-Z0-9_-]", "-", folder)[: _LONGEST_NAME - 8] or "function"
        numbered = (f"{base}-{number}" for number in itertools.count(2))
        return next(name for name in itertools.chain([base], numbered) if name not in self._names)


def _find(code: str | Path, folders: Sequence[Path]) -> Path | None:
    candidates = [folder / code for folder in folders] or [Path(code)]
    return next((path.resolve() for path in candidates if path.is_dir()), None)


def _key(function: Function, *, named: bool) -> str:
    """What two functions have in common that are the same."""
    values: Mapping[str, Any] = {field.name: getattr(function, field.name) for field in dataclasses.fields(function)}
    told = {key: sorted(value.items()) if isinstance(value, Mapping) else value for key, value in values.items()}
    return repr({**told, "name": function.name if named else None})
