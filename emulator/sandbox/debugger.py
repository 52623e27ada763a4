"""What a runtime needs so that a debugger can attach to it, and whether that is there."""

from __future__ import annotations

import importlib.util
import socket
from collections.abc import Mapping
from pathlib import Path

from emulator.errors import ConfigurationError
from emulator.model import Function
from emulator.runtimes import RuntimeKind
from emulator.sandbox.origins import RUNTIME_FOLDER
from emulator.sandbox.runtime_main import AWAITS_DEBUGGER, DEBUGGER, search_path

__all__ = [
    "CONTAINER_FOLDER",
    "CONTAINER_PLACE",
    "CONTAINER_PORT",
    "MEMORY",
    "NODE_OPTIONS",
    "SCRIPT",
    "container_debugger",
    "container_inspector",
    "debugger_variables",
    "find_debugpy",
    "free_port",
    "require_debugger",
]

MEMORY = 256
"""MiB that a function may use for its debugger, on top of its own. DIFFERS: AWS has none."""

SCRIPT = Path(__file__).with_name("debugger_main.py")
"""What a container's Python runs first."""

CONTAINER_FOLDER = "debugger"
"""Below the folder of the pipes: where it finds that; and a file ``wait`` where it is to wait for somebody."""

CONTAINER_PLACE = "/run/lambda-freezer-debugger"
"""Where a container has the emulator's debugpy, if its image, its code and its layers have none."""

CONTAINER_PORT = 5678
"""The port inside; a container has an address of its own."""

NODE_OPTIONS = "NODE_OPTIONS"
"""The variable with options of Node.js."""

_DEBUGPY = "debugpy"


def require_debugger(function: Function, opt: Path | None, kind: RuntimeKind) -> None:
    """See that a function with a debug port can be debugged; nothing for one without.

    Raises:
        ConfigurationError: its runtime cannot, or debugpy is missing, with the cure.
    """
    if function.debug_port is None:
        return
    if kind is RuntimeKind.NODEJS:
        return  # it has a debugger of its own
    if kind is not RuntimeKind.PYTHON:
        raise ConfigurationError(
            f"function {function.name}: no debugger is known for {function.runtime}",
            cure="Take debug_port out, or have the runtime's own debugger listen (and its limits stay in force).",
        )
    if find_debugpy(function, opt) is None:
        raise ConfigurationError(
            f"function {function.name} has a debug port, and there is no debugpy to listen at it",
            cure="pip install debugpy, beside the emulator, or into the function's folder.",
        )


def find_debugpy(function: Function, opt: Path | None) -> Path | None:
    """The folder of the debugpy that a function would import: of its own, of a layer, of the emulator's Python."""
    code = str(function.code) if function.code is not None else ""
    for folder in search_path(code, str(opt) if opt is not None else "", []):
        if (Path(folder) / _DEBUGPY / "__init__.py").is_file():
            return Path(folder) / _DEBUGPY
    spec = importlib.util.find_spec(_DEBUGPY)
    return Path(spec.origin).parent if spec is not None and spec.origin is not None else None


def debugger_variables(end: tuple[str, int], *, wait: bool) -> dict[str, str]:
    """What tells a runtime to listen there, and whether to wait for somebody before anything else."""
    host, port = end
    return {DEBUGGER: f"{host}:{port}", **({AWAITS_DEBUGGER: "1"} if wait else {})}


def container_debugger(pipes: str, variables: Mapping[str, str]) -> dict[str, str]:
    """The variables by which a container's Python comes by the debugger.

    Arguments:
        pipes: the folder of the named pipes, inside.
        variables: those that it would have.
    """
    rest = variables.get("PYTHONPATH") or RUNTIME_FOLDER
    return {
        DEBUGGER: f"0.0.0.0:{CONTAINER_PORT} {CONTAINER_PLACE}",
        "PYTHONPATH": f"{pipes}/{CONTAINER_FOLDER}:{rest}",
    }


def container_inspector(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables by which a container's Node.js listens for a debugger; it waits for nobody.

    Arguments:
        variables: those that it would have.
    """
    return {NODE_OPTIONS: f"{variables.get(NODE_OPTIONS, '')} --inspect=0.0.0.0:{CONTAINER_PORT}".strip()}


def free_port(address: str) -> int:
    """A port of a loopback address that is nobody else's: nobody will take it before the runtime does."""
    with socket.socket() as candidate:
        candidate.bind((address, 0))
        return int(candidate.getsockname()[1])
