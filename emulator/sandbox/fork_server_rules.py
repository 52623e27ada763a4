"""Which runtimes can be forked from a prepared process, and what such a process has to be told."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from emulator.sandbox.process_settings import LOCALE
from emulator.sandbox.runtime_main import search_path

__all__ = ["Prepared", "obstacle", "path_of"]

# Read by the interpreter, by the C library or by the loader when a program starts, and never again.
_READ_AT_START = ("PYTHON", "LD_", "LC_", "MALLOC_", "GLIBC_", "GCONV_PATH", "LOCPATH")
_SEARCH_PATH, _LIBRARIES = "PYTHONPATH", "LD_LIBRARY_PATH"
# Python imports them at its start from wherever it finds them.
_CUSTOM = frozenset({"sitecustomize", "usercustomize"})


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a prepared process has told of itself.

    Attributes:
        path: its module search path.
        modules: what it has imported from files, top-level names.
        home: whether its search path depends on the home folder.
    """

    path: tuple[str, ...]
    modules: frozenset[str]
    home: bool


def obstacle(prepared: Prepared, variables: Mapping[str, str]) -> str | None:
    """Why a runtime with these variables cannot be forked: an ordinary start would not come to the same."""
    for name, value in variables.items():
        if name == _SEARCH_PATH:
            if not all(map(os.path.isabs, value.split(os.pathsep))):
                return f"{name} is not made of absolute paths"
        elif name == _LIBRARIES:
            if any(Path(folder or ".").is_dir() for folder in value.split(os.pathsep)):
                return f"{name} names folders that exist"
        elif name.startswith(_READ_AT_START):
            return f"{name} is read at the start of a program"
    if variables.get("LANG") != LOCALE:
        return "LANG is read at the start of a program"
    if prepared.home and "HOME" in variables:
        return "HOME has a say in what can be imported"
    return _shadow(prepared, _before(variables))


def path_of(prepared: Prepared, variables: Mapping[str, str]) -> list[str]:
    """The module search path that an ordinary start would come to."""
    before = _before(variables)
    return before + [entry for entry in prepared.path if entry not in before]


def _before(variables: Mapping[str, str]) -> list[str]:
    """What comes before the interpreter's own folders."""
    own = [os.path.normpath(entry) for entry in variables.get(_SEARCH_PATH, "").split(os.pathsep) if entry]
    return search_path(variables["LAMBDA_TASK_ROOT"], variables.get("LAMBDA_FREEZER_OPT", ""), list(dict.fromkeys(own)))


def _shadow(prepared: Prepared, folders: Iterable[str]) -> str | None:
    """What a function brings in place of a module comes first, as on AWS: so it must not have been imported already."""
    for folder in folders:
        try:
            names = os.listdir(folder)
        except FileNotFoundError:
            continue
        except OSError:
            return f"{folder} is no folder that could be looked into"
        found = {name.partition(".")[0] for name in names}
        if shadows := (prepared.modules | _CUSTOM) & found - set(sys.builtin_module_names):
            return f"it brings {min(shadows)} of its own"
    return None
