"""Functions that are found again, and those that are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from emulator.embedded import DeployedFunction, Emulator
from emulator.errors import CodeError, FunctionNotFoundError
from emulator.model import Function, Reclaim
from emulator.testing.deploying import Deployments


class Played:
    """As much of an emulator as deploying asks for."""

    def __init__(self) -> None:
        self.added: list[Function] = []
        self.recycled: list[tuple[str, object]] = []

    def add(self, function: Function) -> DeployedFunction:
        self.added.append(function)
        return DeployedFunction(cast(Emulator, self), function.name)

    def function(self, name: str) -> DeployedFunction:
        if name != "of_the_settings":
            raise FunctionNotFoundError(f"Function not found: {name}")
        return DeployedFunction(cast(Emulator, self), name)

    def recycle(self, name: str, reclaim: object = None) -> None:
        self.recycled.append((name, reclaim))

    def invoke(self, name: str, payload: Any = None) -> str:
        return f"{name} {payload}"


@pytest.fixture
def played() -> Played:
    return Played()


@pytest.fixture
def deployments(played: Played) -> Deployments:
    return Deployments(cast(Emulator, played))


@pytest.fixture
def code(tmp_path: Path) -> Path:
    for name in ("orders", "or.ders"):
        (tmp_path / name).mkdir()
    return tmp_path


def test_the_same_again_is_the_same_function(deployments: Deployments, played: Played, code: Path) -> None:
    """However its folder is written, and whatever the order of its variables."""
    first = deployments.deploy(code / "orders", environment={"AA": "1", "BB": "2"})
    second = deployments.deploy("orders", folders=[code], environment={"BB": "2", "AA": "1"})
    assert first is second
    assert first.name == "orders"
    assert len(played.added) == 1
    assert first.invoke(7) == "orders 7"  # type: ignore[comparison-overlap]


def test_other_settings_are_another_function(deployments: Deployments, played: Played, code: Path) -> None:
    """With a name of its own; fresh ones are others each time."""
    names = [
        deployments.deploy(code / "orders").name,
        deployments.deploy(code / "orders", timeout=3).name,
        deployments.deploy(code / "orders", fresh=True).name,
        deployments.deploy(code / "orders", fresh=True).name,
        deployments.deploy(code / "or.ders").name,
    ]
    assert names == ["orders", "orders-2", "orders-3", "orders-4", "or-ders"]
    assert [function.timeout for function in played.added] == [10, 3, 10, 10, 10]


def test_a_name_that_is_used_again_replaces_the_function(deployments: Deployments, code: Path) -> None:
    """Who wanted the first one gets it deployed anew, not the other one's code."""
    first = deployments.deploy(code / "orders", name="mine")
    deployments.deploy(code / "or.ders", name="mine")
    assert deployments.deploy(code / "orders", name="mine") is not first


def test_code_is_looked_for_beside_the_test_first(deployments: Deployments, played: Played, code: Path) -> None:
    """Then below the project."""
    (code / "tests" / "orders").mkdir(parents=True)
    deployments.deploy("orders", folders=[code / "tests", code])
    deployments.deploy("or.ders", folders=[code / "tests", code])
    assert [function.code for function in played.added] == [code / "tests" / "orders", code / "or.ders"]


def test_functions_of_the_settings_are_found_by_name(deployments: Deployments, played: Played) -> None:
    """What is neither a folder nor one of these is refused, with where was looked."""
    assert deployments.deploy("of_the_settings").name == "of_the_settings"
    assert played.added == []
    with pytest.raises(CodeError, match="no folder nothing, and no function"):
        deployments.deploy("nothing")


def test_begin_anew(deployments: Deployments, played: Played, code: Path) -> None:
    """Fresh ones end with their test; the others when they are not what they were."""
    deployments.deploy(code / "orders")
    deployments.deploy(code / "orders", fresh=True)
    deployments.deploy("of_the_settings")
    deployments.begin_anew()
    assert played.recycled == [("orders-2", Reclaim.FIN)]
    deployments.begin_anew(everything=True)
    assert played.recycled[1:] == [("orders", Reclaim.FIN), ("of_the_settings", Reclaim.FIN)]


def test_forgotten(deployments: Deployments, code: Path) -> None:
    """Nobody gets a function whose policy a test has changed."""
    first = deployments.deploy(code / "orders")
    deployments.forget(first.name)
    assert deployments.deploy(code / "orders").name == "orders-2"
