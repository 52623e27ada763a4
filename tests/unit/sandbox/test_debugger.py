"""What a runtime needs to be debugged, and what it is told."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from emulator.errors import ConfigurationError
from emulator.model import Function
from emulator.runtimes import RuntimeKind
from emulator.sandbox.debugger import (
    container_debugger,
    container_inspector,
    debugger_variables,
    find_debugpy,
    free_port,
    require_debugger,
)

PYTHON = RuntimeKind.PYTHON


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> None:
    """An emulator whose Python has no debugpy."""
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "debugpy" else find_spec(name))


def function(code: Path, runtime: str = "python3.12", port: int | None = 5678) -> Function:
    return Function(name="orders", code=code, runtime=runtime, debug_port=port)


@pytest.mark.usefixtures("without")
def test_a_missing_debugpy_is_told_with_the_cure(tmp_path: Path) -> None:
    """In one sentence; a function that nobody wants to debug needs none."""
    with pytest.raises(ConfigurationError, match="there is no debugpy") as caught:
        require_debugger(function(tmp_path), None, PYTHON)
    assert "pip install debugpy" in caught.value.cure
    require_debugger(function(tmp_path, port=None), None, PYTHON)


@pytest.mark.usefixtures("without")
@pytest.mark.parametrize("place", ["code", "opt/python"])
def test_the_functions_own_debugpy_will_do(tmp_path: Path, place: str) -> None:
    """In its package or in a layer."""
    folder = tmp_path / place / "debugpy"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (tmp_path / "code").mkdir(exist_ok=True)
    made = function(tmp_path / "code")
    require_debugger(made, tmp_path / "opt", PYTHON)
    assert find_debugpy(made, tmp_path / "opt") == folder


def test_a_runtime_without_a_debugger_is_refused(tmp_path: Path) -> None:
    """Rather than a port at which nobody ever answers."""
    with pytest.raises(ConfigurationError, match="no debugger is known for ruby"):
        require_debugger(function(tmp_path, "ruby3.4"), None, RuntimeKind.OTHER)


def test_the_runtime_is_told_where_to_listen() -> None:
    """And to wait only where somebody is coming; extensions do not see it, for the names begin with an underscore."""
    assert debugger_variables(("127.1.2.3", 41_000), wait=False) == {"_LAMBDA_FREEZER_DEBUGGER": "127.1.2.3:41000"}
    assert "_LAMBDA_FREEZER_AWAITS_DEBUGGER" in debugger_variables(("127.1.2.3", 41_000), wait=True)


def test_a_containers_python_finds_the_debugger_before_anything_else() -> None:
    """On its search path, before what it would have there anyway."""
    told = container_debugger("/run/pipes", {"PYTHONPATH": "/own"})
    assert told["PYTHONPATH"] == "/run/pipes/debugger:/own"
    assert container_debugger("/run/pipes", {})["PYTHONPATH"] == "/run/pipes/debugger:/var/runtime"


def test_a_free_port_is_one_of_that_address() -> None:
    """Any program of this machine may have the same one at another."""
    assert 0 < free_port("127.1.2.3") < 65_536


@pytest.mark.usefixtures("without")
def test_node_brings_its_debugger(tmp_path: Path) -> None:
    """Nothing has to be installed; in a container it is an option beside the function's own."""
    require_debugger(function(tmp_path, "nodejs20.x"), None, RuntimeKind.NODEJS)
    assert container_inspector({}) == {"NODE_OPTIONS": "--inspect=0.0.0.0:5678"}
    assert container_inspector({"NODE_OPTIONS": "-r x"}) == {"NODE_OPTIONS": "-r x --inspect=0.0.0.0:5678"}
