"""What tests of both kinds of sandbox share: an emulator, functions with extensions, and a look at what still runs."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from emulator import Emulator, Function
from emulator.embedded import DeployedFunction
from tests.conformance.aws import lambda_client
from tests.integration.conftest import FUNCTIONS
from tests.needs import need_engine
from tests.support import eventually

__all__ = ["KINDS", "LAYERS", "Bench", "layer_of", "lines_of", "open_gate", "still_running"]

KINDS = ["process", pytest.param("container", marks=pytest.mark.container)]
LAYERS = Path(__file__).parent.parent / "layers"
_PLATFORM = ("INIT_START", "INIT_REPORT", "START", "END", "REPORT", "EXTENSION", "TELEMETRY", "LOGS")
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Bench:
    """A running emulator without a database, and what one does with it."""

    emulator: Emulator
    kind: str

    @classmethod
    @contextmanager
    def set_up(cls, kind: str, **settings: Any) -> Iterator[Bench]:
        """``settings`` go into the table ``[emulator]``."""
        if kind == "container":
            need_engine()
        with Emulator({"emulator": {"sandbox": kind, **settings}, "database": {"server": "none"}}) as emulator:
            yield cls(emulator, kind)

    def deploy(self, code: Path | str = "anything", **settings: Any) -> DeployedFunction:
        """A function of the tests, or of a folder; each under a name of its own."""
        folder = FUNCTIONS / code if isinstance(code, str) else code
        chosen: dict[str, Any] = {"memory": 512, "timeout": 10, "code": folder} | settings
        return self.emulator.add(Function(name=f"bench-{next(_numbers)}", **chosen))

    def act(self, plan: dict[str, list[str]], layer: Path | None = None, **settings: Any) -> DeployedFunction:
        """A function with an extension beside it that acts by this plan."""
        layers = [layer or LAYERS / "actor"]
        return self.deploy(layers=layers, environment={"PLAN": json.dumps(plan)}, **settings)

    def client(self) -> AbstractContextManager[Any]:
        """AWS's own client."""
        return lambda_client(self.emulator)


def layer_of(folder: Path, *, mode: int = 0o755, **extensions: str) -> Path:
    """A layer with extensions: ``actor`` is the tests' own under another name, everything else is a file's text."""
    place = folder / "layer" / "extensions"
    place.mkdir(parents=True)
    for name, content in extensions.items():
        if content == "actor":
            shutil.copy(LAYERS / "actor" / "extensions" / "actor", place / name)
        else:
            (place / name).write_text(content)
        (place / name).chmod(mode)
    for each in (place.parent, place):
        each.chmod(0o755)
    return place.parent


def open_gate(function: DeployedFunction, port: int) -> None:
    """Connect to whoever waits for that in the function's one busy environment."""
    (environment,) = [found for found in function.environments() if found.state == "invoking"]

    def knock() -> bool:
        try:
            socket.create_connection((environment.sandbox.address, port), timeout=5).close()
        except ConnectionRefusedError:
            return False
        return True

    eventually(knock, "a listener at the gate")


def lines_of(log: str) -> list[str]:
    """Lambda's own lines by their first word, all others as they are, but for numbers of milliseconds."""
    lines = [line.split()[0] if line.startswith(_PLATFORM) else line for line in log.splitlines()]
    return [re.sub(r"\d+ ms ahead|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "…", line) for line in lines]


def still_running(function: DeployedFunction) -> list[int]:
    """The processes of a function's environments, but for the shells by which containers live."""
    shells = {view.sandbox.pid for view in function.environments() if view.sandbox.kind == "container"}
    shell_lines = [psutil.Process(pid).cmdline() for pid in shells]
    return [
        process.pid
        for process in psutil.process_iter()
        if _belongs_to(process, function.name) and process.cmdline() not in shell_lines
    ]


def _belongs_to(process: psutil.Process, name: str) -> bool:
    try:
        return process.environ().get("AWS_LAMBDA_FUNCTION_NAME") == name
    except psutil.Error:
        return False
