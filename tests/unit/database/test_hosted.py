"""A server in a container, as far as that goes without an engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from emulator.database.hosted import DockerServer
from emulator.errors import DatabaseError, EngineError
from tests.support import in_loop


@dataclass
class FakeContainer:
    """A container that nothing listens in."""

    id: str = "container"
    address: str = ""
    host_port: int = 1
    running: bool = False
    exit_code: int = 7


@dataclass
class FakeEngine:
    """Runs nothing, and remembers what it should have run."""

    images: set[str] = field(default_factory=set)
    container: FakeContainer = field(default_factory=FakeContainer)
    run: dict[str, Any] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)
    pulled: list[str] = field(default_factory=list)
    fail_pull_with: EngineError | None = None

    async def has_image(self, name: str, /) -> bool:
        return name in self.images

    async def pull(self, name: str, /) -> None:
        self.pulled.append(name)
        if self.fail_pull_with is not None:
            raise self.fail_pull_with

    async def run_server(
        self, image: str, *, command: Sequence[str], environment: Mapping[str, str], alias: str, port: int
    ) -> FakeContainer:
        self.run = {"image": image, "command": command, "environment": environment, "alias": alias, "port": port}
        return self.container

    async def details(self, container: str, /) -> FakeContainer:
        return self.container

    async def remove(self, container: str, /) -> None:
        self.removed.append(container)


MYSQL, STAND_IN = "mysql:8.4", "lambda-freezer/mysql:mariadb"


@pytest.mark.parametrize(
    ("images", "wanted", "chosen", "pulled"),
    [
        ({MYSQL, STAND_IN}, None, MYSQL, []),
        ({STAND_IN}, None, STAND_IN, []),
        (set(), None, MYSQL, [MYSQL]),
        ({MYSQL, STAND_IN}, "mariadb:11", "mariadb:11", ["mariadb:11"]),
    ],
    ids=["both", "stand-in", "neither", "named"],
)
def test_image(images: set[str], wanted: str | None, chosen: str, pulled: list[str]) -> None:
    """MySQL's own, unless only the stand-in is here; what is nowhere here the engine fetches."""

    @in_loop
    async def start() -> None:
        engine = FakeEngine(images)
        with pytest.raises(DatabaseError, match="ended with status 7") as caught:
            async with DockerServer(engine, image=wanted):
                pass
        assert engine.run["image"] == chosen
        assert chosen in str(caught.value)
        assert engine.removed == ["container"]
        assert engine.pulled == pulled

    start()


@in_loop
async def test_image_that_is_nowhere() -> None:
    """What the engine says of it, and what else there is."""
    engine = FakeEngine(fail_pull_with=EngineError("the engine could not pull mysql:8.4: no route to host"))
    with pytest.raises(DatabaseError, match=r"cannot be fetched: .*no route to host") as caught:
        async with DockerServer(engine):
            pass
    assert "docker/build-images" in caught.value.cure
    assert caught.value.__cause__ is engine.fail_pull_with
    assert engine.run == {}


@in_loop
async def test_what_the_container_is_told() -> None:
    """One place more than functions get, for the observer; a password of its own; our options after it."""
    engine = FakeEngine()
    with pytest.raises(DatabaseError):
        async with DockerServer(engine, max_connections=5, options=["--wait-timeout=8"]):
            pass
    assert "--max-connections=6" in engine.run["command"]
    assert "--skip-name-resolve" in engine.run["command"]
    assert engine.run["command"][-1] == "--wait-timeout=8"
    assert engine.run["environment"]["MYSQL_DATABASE"] == "lambda"
    assert len(engine.run["environment"]["MYSQL_ROOT_PASSWORD"]) >= 20
    assert (engine.run["alias"], engine.run["port"]) == ("mysql", 3306)


def test_not_started() -> None:
    """Whoever asks too early is told so."""
    server = DockerServer(FakeEngine())
    assert "not started" in server.description
    assert (server.version, server.reserved_sessions, list(server.warnings)) == ("", 0, [])
    with pytest.raises(DatabaseError, match="not started"):
        server.connect()
    with pytest.raises(DatabaseError, match="not started"):
        server.variables(from_container=True)
