"""One emulator for each kind of sandbox, shared by the tests of a session; functions are each test's own."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from emulator import Emulator, Function
from emulator.embedded import DeployedFunction
from tests.needs import need_database, need_engine

FUNCTIONS = Path(__file__).parent.parent / "functions"
SAMPLES = Path(__file__).parent.parent.parent / "sample_functions"
_numbers = itertools.count(1)

Deploy = Callable[..., DeployedFunction]


@pytest.fixture(scope="session", params=["process", pytest.param("container", marks=pytest.mark.container)])
def emulator(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    """A running emulator with a real database server, once for each kind of sandbox."""
    if request.param == "container":
        need_engine()
    need_database()
    with Emulator({"emulator": {"sandbox": request.param}}) as running:
        yield running


@pytest.fixture
def deploy(emulator: Emulator) -> Iterator[Deploy]:
    """Deploy one of the tests' functions, or a sample, under a name of its own; recycled afterwards."""
    made: list[DeployedFunction] = []

    def deploy(folder: str = "anything", **settings: Any) -> DeployedFunction:
        code = FUNCTIONS / folder if (FUNCTIONS / folder).exists() else SAMPLES / folder
        chosen: dict[str, Any] = {"memory": 512, "timeout": 10, "code": code} | settings
        function = emulator.add(Function(name=f"{code.name}-{next(_numbers)}", **chosen))
        made.append(function)
        return function

    yield deploy
    for function in made:
        function.recycle()
