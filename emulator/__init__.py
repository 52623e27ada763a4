"""A local AWS Lambda emulator that really freezes execution environments between invocations.

The names below are the public Python API; they are imported when they are first used, so that a program that
only wants one of them does not pay for all.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emulator.config import Settings as Settings
    from emulator.embedded import Emulator as Emulator
    from emulator.embedded import InvocationResult as InvocationResult
    from emulator.errors import EmulatorError as EmulatorError
    from emulator.model import Function as Function
    from emulator.model import Logging as Logging

_HOMES = {
    "Emulator": "emulator.embedded",
    "EmulatorError": "emulator.errors",
    "Function": "emulator.model",
    "InvocationResult": "emulator.embedded",
    "Logging": "emulator.model",
    "Settings": "emulator.config",
}

__all__ = ["Emulator", "EmulatorError", "Function", "InvocationResult", "Logging", "Settings"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
