"""Which server a setting stands for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.database import server
from emulator.database.hosted import DockerServer
from emulator.database.local import LocalServer
from emulator.database.server import start_server
from emulator.database.url import UrlServer
from emulator.errors import ConfigurationError, DatabaseError
from emulator.sandbox.instance import Instance
from tests.unit.database.test_hosted import FakeEngine


@pytest.fixture
def instance() -> Iterator[Instance]:
    with Instance() as made:
        yield made


@pytest.fixture(params=[True, False], ids=["program", "no program"])
def program(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether this machine has a server program; it is not started."""
    monkeypatch.setattr(server, "find_program", lambda: Path("/opt/mysqld") if request.param else None)
    return bool(request.param)


@pytest.mark.parametrize("with_engine", [True, False], ids=["engine", "no engine"])
@pytest.mark.parametrize("setting", ["auto", "local", "docker"])
def test_choice(instance: Instance, program: bool, setting: str, with_engine: bool) -> None:
    """A program of this machine before an engine; what is wanted and missing is an error with a cure."""
    engine = FakeEngine() if with_engine else None
    if setting != "docker" and program:
        assert isinstance(start_server(setting, instance=instance, engine=engine), LocalServer)
    elif setting != "local" and with_engine:
        assert isinstance(start_server(setting, instance=instance, engine=engine), DockerServer)
    else:
        with pytest.raises(DatabaseError) as caught:
            start_server(setting, instance=instance, engine=engine)
        assert "mariadb-server" in caught.value.cure
        assert 'server = "none"' in caught.value.cure or '"none"' in caught.value.cure


def test_address(instance: Instance) -> None:
    """An address is the user's own server, whatever else there is."""
    assert isinstance(start_server("mysql://me:pw@h/d", instance=instance), UrlServer)


def test_limit_of_somebody_else_s_server(instance: Instance) -> None:
    """It is not ours to change."""
    with pytest.raises(ConfigurationError, match="max_connections"):
        start_server("mysql://me:pw@h/d", instance=instance, max_connections=10)


@pytest.mark.parametrize("setting", ["sqlite", "postgres://me:s3cret@h/d", "none", ""])
def test_unknown_setting(instance: Instance, setting: str) -> None:
    """Refused with what is allowed, and without what may be a password."""
    with pytest.raises(ConfigurationError) as caught:
        start_server(setting, instance=instance)
    assert "mysql://user:password@host:port/database" in caught.value.cure
    assert "s3cret" not in str(caught.value)
