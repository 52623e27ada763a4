"""One set of scenarios, played against every means of silencing a network that this machine has.

The outcome is the same for all of them; where a means reaches less far, the table below says so, and why.

================  ========================================================================================
relay             processes, which reach their database through the emulator's relay
held              processes that go around the relay: their sockets are held when they end, nothing more
container relay   containers, through the relay
netlink, helper,  containers that go around the relay to a server on their own network, which is cut by
disconnect        each of these means
================  ========================================================================================
"""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql
import pytest
from pymysql.connections import Connection

import docker
from emulator import Emulator, Function
from emulator.embedded import DeployedFunction
from tests.integration.conftest import FUNCTIONS, SAMPLES
from tests.needs import need_database, need_engine
from tests.support import eventually, require

WAIT_TIMEOUT = 600  # seconds, of the server; what a test waits for it sets for its own session
MEANS = ["relay", "held", "container relay", "netlink", "helper", "disconnect"]
SILENT_WHILE_FROZEN = [means for means in MEANS if means != "held"]
SERVER_IMAGE = "lambda-freezer/mysql:mariadb"


@dataclass
class Scene:
    """An emulator with one means in force, its server, and an administrator who looks on."""

    emulator: Emulator
    admin: Connection[Any]
    around: dict[str, str]
    count: int = 0

    def deploy(self, **settings: Any) -> DeployedFunction:
        self.count += 1
        chosen: dict[str, Any] = {"timeout": 10, "memory": 1769, "policy": {"name": "keep-warm"}} | settings
        return self.emulator.add(
            Function(name=f"sql-{self.count}", code=_deployment_package(), environment=self.around, **chosen)
        )

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        with self.admin.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())

    def holds(self, connection_id: int) -> bool:
        return bool(self.ask(f"SELECT 1 FROM information_schema.processlist WHERE id = {connection_id}"))

    def wait_until_dropped(self, connection_id: int, deadline: float = 30) -> None:
        eventually(lambda: not self.holds(connection_id), "the server drops the session", deadline)


@functools.cache
def _deployment_package() -> Path:
    """The function with its driver beside it, for containers have nothing but what is deployed."""
    folder = Path(tempfile.mkdtemp(prefix="freezer-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    shutil.copytree(FUNCTIONS / "sql", folder, dirs_exist_ok=True)
    shutil.copytree(SAMPLES / "connect_once" / "pymysql", folder / "pymysql")
    folder.chmod(0o755)
    return folder


def start(means: str, database: dict[str, Any] | None = None) -> Iterator[Scene]:
    """An emulator in which this means is in force."""
    kind = "process" if means in ("relay", "held") else "container"
    direct = means in ("netlink", "helper", "disconnect")
    settings: dict[str, dict[str, Any]] = {"emulator": {"sandbox": kind}, "database": dict(database or {})}
    if kind == "container":
        need_engine()
    if direct:
        settings["emulator"]["network"] = means
        settings["database"]["server"] = "docker"
        _need_server_image()
    else:
        need_database()
    with Emulator(settings) as emulator:
        admin = emulator.connect()
        try:
            with admin.cursor() as cursor:
                cursor.execute("SET SESSION wait_timeout = 28800")
                cursor.execute("SET SESSION innodb_lock_wait_timeout = 1")
                cursor.execute(f"SET GLOBAL wait_timeout = {WAIT_TIMEOUT}")
                cursor.execute("CREATE TABLE lambda.stock (id INT PRIMARY KEY, pieces INT) ENGINE=InnoDB")
                cursor.execute("INSERT INTO lambda.stock VALUES (1, 10)")
            yield Scene(emulator, admin, _way_around(means, emulator))
        finally:
            admin.close()


def _need_server_image() -> None:
    client = docker.from_env()
    found = client.images.list(SERVER_IMAGE)
    client.close()
    require(found, f"There is no image {SERVER_IMAGE}.", "Run docker/build-images.")


def _way_around(means: str, emulator: Emulator) -> dict[str, str]:
    """Variables that lead a function to the server itself instead of the relay."""
    if means == "held":
        with emulator.connect(as_function=True) as direct:
            return {"DB_HOST": "127.0.0.1", "DB_PORT": str(direct.port)}
    if means in ("netlink", "helper", "disconnect"):
        client = docker.from_env()
        instance = emulator.instance_id
        (server,) = client.containers.list(
            ignore_removed=True, filters={"label": f"lambda-freezer.instance={instance}", "ancestor": SERVER_IMAGE}
        )
        (network,) = server.attrs["NetworkSettings"]["Networks"].values()
        client.close()
        return {"DB_HOST": network["IPAddress"], "DB_PORT": "3306"}
    return {}


@pytest.fixture(scope="module", params=MEANS)
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    """One emulator for each means."""
    yield from start(request.param)


@pytest.fixture
def means(request: pytest.FixtureRequest) -> str:
    """Which means the scene is played with."""
    return str(request.node.callspec.params["scene"])


def test_frozen_past_wait_timeout(scene: Scene, means: str) -> None:
    """The server closed while nobody could hear it: the client learns when it speaks, by error 2013.

    A process around the relay has this machine's living kernel, which heard the close: its error is 2006, or with
    MySQL 4031, the word of farewell that MySQL sends before it closes and that a frozen machine never gets.
    """
    function = scene.deploy()
    first = function.invoke({"statements": ["SET SESSION wait_timeout = 1"]}).payload
    scene.wait_until_dropped(first["connection_id"])
    second = function.invoke({"statements": ["SELECT 1"]}).payload
    heard = 2006 if "mariadb" in (scene.emulator.status().database_version or "").lower() else 4031
    assert second["error"] == (heard if means == "held" else 2013), second


def test_connection_survives_a_short_freeze(scene: Scene) -> None:
    """Cut and restored, the same connection goes on: the way to the Runtime API was never cut."""
    function = scene.deploy()
    ids = []
    for _ in range(3):
        ids.append(function.invoke({"statements": ["SELECT 1"]}).payload["connection_id"])
        time.sleep(0.15)  # longer than the quiet before the cut
    assert len(set(ids)) == 1


def test_silent_death(scene: Scene) -> None:
    """Nothing is heard of the end: the session sleeps on as a zombie."""
    function = scene.deploy()
    answer = function.invoke({"statements": ["SELECT 1"]})
    connection_id = answer.payload["connection_id"]
    function.recycle("silent")
    assert scene.holds(connection_id)
    (zombie,) = [session for session in scene.emulator.connections() if session.id == connection_id]
    assert zombie.zombie
    assert zombie.environment == answer.environment_id
    assert zombie.function == function.name
    assert zombie.drops_in is not None
    assert 0 <= zombie.drops_in <= WAIT_TIMEOUT


def test_zombie_ends_with_wait_timeout(scene: Scene) -> None:
    """The server gives a zombie up as it does any session that sleeps for too long, and not before."""
    function = scene.deploy()
    begin = time.monotonic()
    connection_id = function.invoke({"statements": ["SET SESSION wait_timeout = 3"]}).payload["connection_id"]
    function.recycle("silent")
    scene.wait_until_dropped(connection_id)
    assert time.monotonic() - begin > 2.9


@pytest.mark.parametrize("reclaim", ["fin", "graceful"])
def test_death_that_is_heard(scene: Scene, reclaim: str) -> None:
    """With a living kernel to the end the server drops the session at once."""
    function = scene.deploy()
    connection_id = function.invoke({"statements": ["SELECT 1"]}).payload["connection_id"]
    function.recycle(reclaim)
    scene.wait_until_dropped(connection_id)


def test_death_inside_a_transaction(scene: Scene) -> None:
    """Locks of the dead: the next writer waits in vain until the server gives the zombie up."""
    function = scene.deploy()
    update = "UPDATE lambda.stock SET pieces = pieces - 1 WHERE id = 1"
    dead = function.invoke({"statements": ["BEGIN", update]}).payload["connection_id"]
    function.recycle("silent")
    time.sleep(0.3)  # InnoDB makes its list of transactions anew only if nobody has read it for a tenth of a second
    (zombie,) = [session for session in scene.emulator.connections() if session.id == dead]
    assert zombie.zombie
    assert zombie.locked_rows == 1
    with pytest.raises(pymysql.err.OperationalError) as caught:
        scene.ask(update)
    assert caught.value.args[0] == 1205
    scene.emulator.kill_zombies()
    scene.wait_until_dropped(dead)
    scene.ask(update)


def test_timeout_of_a_function_closes_at_once(scene: Scene) -> None:
    """A timeout kills processes, not the machine: its kernel closes the session, transaction and all."""
    function = scene.deploy(timeout=1)
    update = "UPDATE lambda.stock SET pieces = pieces - 1 WHERE id = 1"
    failed = function.invoke({"statements": ["BEGIN", update], "seconds": 30})
    assert failed.report.status == "timeout"
    scene.ask("SET SESSION innodb_lock_wait_timeout = 20")  # for a server that is slow to hear of it
    try:
        scene.ask(update)
    finally:
        scene.ask("SET SESSION innodb_lock_wait_timeout = 1")


def test_query_in_flight_at_the_freeze(scene: Scene) -> None:
    """What the server answers to a frozen client arrives after the thaw."""
    function = scene.deploy()
    connection_id = function.invoke({"in_background": "SELECT SLEEP(0.6)"}).payload
    eventually(
        lambda: (
            scene.ask(f"SELECT command FROM information_schema.processlist WHERE id = {connection_id}") == [("Sleep",)]
        ),
        "the server has answered",
    )
    assert function.invoke({"join": True}).payload == [[0]]


def test_new_environment_leaves_an_old_zombie_alone(scene: Scene) -> None:
    """Whoever comes next has another address: nobody answers for the dead, which would end the zombie."""
    function = scene.deploy()
    zombie = function.invoke({"statements": ["SELECT 1"]}).payload["connection_id"]
    function.recycle("silent")
    fresh = function.invoke({"statements": ["SELECT 1"]}).payload["connection_id"]
    assert fresh != zombie
    assert scene.holds(zombie)


def test_zombies_can_be_ended(scene: Scene) -> None:
    """A user may have the server end them."""
    function = scene.deploy()
    connection_id = function.invoke({"statements": ["SELECT 1"]}).payload["connection_id"]
    function.recycle("silent")
    assert connection_id in {session.id for session in scene.emulator.kill_zombies()}
    scene.wait_until_dropped(connection_id)


@pytest.mark.parametrize("means", SILENT_WHILE_FROZEN)
def test_keepalive_is_not_answered_while_frozen(means: str) -> None:
    """A frozen machine's kernel answers no probe: the server gives the session up, long before wait_timeout."""
    for scene in start(means, {"keepalive": 3}):
        for variable, value in {"time": 1, "interval": 1, "probes": 2}.items():
            scene.ask(f"SET GLOBAL tcp_keepalive_{variable} = {value}")
        function = scene.deploy()
        connection_id = function.invoke({"statements": ["SELECT 1"]}).payload["connection_id"]
        scene.wait_until_dropped(connection_id)


@pytest.mark.parametrize("means", MEANS)
def test_zombies_fill_the_server(means: str) -> None:
    """N cold starts and N silent ends leave no room: the next one gets error 1040."""
    for scene in start(means, {"max_connections": 10}):
        function = scene.deploy(policy={"name": "always-cold", "reclaim": "silent"})
        for _ in range(9):  # the administrator who looks on takes the tenth place
            result = function.invoke({"statements": ["SELECT 1"]})
            assert result.function_error is None, result.payload
        refused = function.invoke({"statements": ["SELECT 1"]})
        assert refused.payload["errorType"] == "OperationalError"
        assert refused.payload["errorMessage"].startswith("(1040,")
        assert scene.emulator.connections_summary().zombies == 9
