"""The control plane: what AWS's API can make, change, show and remove. Each operation is one function."""

from __future__ import annotations

from emulator.control.control import Control, Operation
from emulator.control.registry import Alias, Code, FunctionRecord, Registry, Version

__all__ = ["Alias", "Code", "Control", "FunctionRecord", "Operation", "Registry", "Version"]
