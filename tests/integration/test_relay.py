"""The relay between a real client and a real server: what a developer sees of freeze, death and time."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pymysql
import pytest
import uvloop
from pymysql.connections import Connection
from pymysql.cursors import Cursor, SSCursor

from emulator.clock import SystemClock
from emulator.database.base import DatabaseServer
from emulator.database.relay import Relay
from emulator.database.relay_records import (
    DIRECT,
    FIREWALL,
    NAT,
    ConnectionState,
    EventKind,
    PathProfile,
    RelayedConnection,
    RelayEvent,
)
from emulator.database.relays import Relays
from emulator.database.server import start_server
from emulator.model import KEEPALIVE, EnvironmentId, Reclaim
from emulator.sandbox.instance import Instance
from tests.needs import need_database
from tests.support import eventually, require

pytestmark = pytest.mark.database

DEADLINE = 30.0
LOST_DURING_QUERY = 2013
LOCK_WAIT_TIMEOUT = 1205
TOO_MANY_CONNECTIONS = 1040

T = TypeVar("T")


class Background:
    """An event loop in a thread of its own, as the emulator has one; failures in callbacks fail the test."""

    def __init__(self) -> None:
        self.failures: list[str] = []
        self._loop = uvloop.new_event_loop()
        self._loop.set_exception_handler(lambda _loop, context: self.failures.append(str(context)))
        self._thread = threading.Thread(target=self._loop.run_forever, name="background loop")

    def __enter__(self) -> Background:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(DEADLINE)
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()
        assert self.failures == []

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(6 * DEADLINE)

    def do(self, work: Callable[..., T], *arguments: Any) -> T:
        """Call something in the loop's thread."""

        async def call() -> T:
            return work(*arguments)

        return self.run(call())


@contextlib.contextmanager
def running_server(
    background: Background, *options: str, max_connections: int | None = None
) -> Iterator[DatabaseServer]:
    """A private server."""
    need_database()
    with Instance() as instance:
        server = start_server("local", instance=instance, max_connections=max_connections, options=options)
        background.run(server.__aenter__())
        try:
            yield server
        finally:
            background.run(server.__aexit__(None, None, None))


@pytest.fixture(scope="module")
def background() -> Iterator[Background]:
    with Background() as loop:
        yield loop


@pytest.fixture(scope="module")
def shared_server(background: Background, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DatabaseServer]:
    """The server of most tests. It knows TLS and gives up waiting for a lock after a second."""
    require(shutil.which("openssl"), "There is no openssl to make certificates with.", "Install openssl.")
    certificates = make_certificates(tmp_path_factory.mktemp("certificates"))
    options = ("--innodb-lock-wait-timeout=1", *(f"--ssl-{name}={path}" for name, path in certificates.items()))
    with running_server(background, *options) as server:
        yield server


def make_certificates(folder: Path) -> dict[str, Path]:
    """An authority, and a certificate of its for a server on 127.0.0.1."""
    made = {"ca": folder / "ca.pem", "cert": folder / "cert.pem", "key": folder / "key.pem"}
    request = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    request += ["-noenc", "-days", "2"]
    authority = folder / "authority-key.pem"
    for command in (
        [*request, "-subj", "/CN=authority", "-keyout", authority, "-out", made["ca"]],
        [
            *(*request, "-subj", "/CN=server", "-keyout", made["key"], "-out", made["cert"]),
            *("-CA", made["ca"], "-CAkey", authority, "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-addext", "basicConstraints=critical,CA:FALSE"),
        ],
    ):
        subprocess.run([str(word) for word in command], check=True, capture_output=True, timeout=DEADLINE)
    return made


class Stage:
    """A server, relays to it, and the administrator's view of its sessions."""

    def __init__(self, background: Background, server: DatabaseServer, relays: Relays) -> None:
        self._background = background
        self.server = server
        self.relays = relays
        self.clock = SystemClock()
        self.events: list[RelayEvent] = []
        self._administrator = server.connect()
        self.exits = contextlib.ExitStack()
        self.exits.callback(self._administrator.close)
        self._numbers = iter(range(1, 1000))

    def environment(self, **settings: Any) -> Environment:
        """A new environment with its relay."""

        async def enter() -> Relay:
            return await self.relays.make(EnvironmentId(f"environment-{next(self._numbers)}"), **settings).__aenter__()

        environment = Environment(self, self._background, self._background.run(enter()))
        self.exits.callback(environment.tidy_up)
        return environment

    def ask(self, query: str, *values: object) -> tuple[tuple[Any, ...], ...]:
        """What the administrator is answered, past every relay."""
        with self._administrator.cursor() as cursor:
            cursor.execute(query, values)
            return tuple(cursor.fetchall())

    def command(self, thread: int) -> str | None:
        """What the server says a session is doing; ``None`` when it holds no such session."""
        rows = self.ask("SELECT command FROM information_schema.processlist WHERE id = %s", thread)
        return str(rows[0][0]) if rows else None

    def source(self, thread: int) -> tuple[str, int]:
        """The client's address as the process list has it."""
        ((host,),) = self.ask("SELECT host FROM information_schema.processlist WHERE id = %s", thread)
        address, _, port = str(host).rpartition(":")
        return address, int(port)

    def session_ends(self, thread: int) -> None:
        eventually(lambda: self.command(thread) is None, "the end of the session", DEADLINE)


class Client:
    """A connection of a function, and the server's number for its session."""

    def __init__(self, connection: Connection[Cursor]) -> None:
        self.connection = connection
        self.thread: int = connection.server_thread_id[0]  # type: ignore[attr-defined]


class Environment:
    """An execution environment as the database sees it: clients behind a relay."""

    def __init__(self, stage: Stage, background: Background, relay: Relay) -> None:
        self._stage = stage
        self._background = background
        self.relay = relay
        self._clients: list[Client] = []

    def connect(self, **options: Any) -> Client:
        """As a function would."""
        host, port = self.relay.address
        settings: dict[str, Any] = {"autocommit": True, "connect_timeout": 5, "read_timeout": 10, **options}
        client = Client(self._stage.server.connect(as_function=True, host=host, port=port, **settings))
        self._clients.append(client)
        return client

    def freeze(self) -> None:
        self._background.do(self.relay.freeze)

    def thaw(self) -> None:
        self._background.do(self.relay.thaw)

    def reclaim(self, how: Reclaim) -> None:
        self._background.do(self.relay.reclaim, how)

    def reset(self) -> None:
        """Time out or crash: the processes are killed and the environment lives on."""
        self._background.do(self.relay.reset)
        self.tidy_up()

    def die(self, how: Reclaim) -> None:
        """Freeze, be reclaimed and be killed: the clients' sockets close without a word of the protocol."""
        self.freeze()
        self.reclaim(how)
        self.tidy_up()

    def tidy_up(self) -> None:
        for client in self._clients:
            client.connection._force_close()  # type: ignore[attr-defined]
        self._clients.clear()

    def skip(self, seconds: float) -> None:
        self._background.do(self._stage.clock.fast_forward, seconds)

    def skip_as_server(self, wait_timeout: float) -> int:
        return self._background.do(self.relay.close_idle_as_server, wait_timeout)

    def connections(self) -> tuple[RelayedConnection, ...]:
        return self._background.do(self.relay.connections)

    def states(self) -> list[ConnectionState]:
        return [connection.state for connection in self.connections()]


def answer(client: Client | Connection[Cursor], query: str, *values: object) -> Any:
    """The first value of an answer."""
    connection = client.connection if isinstance(client, Client) else client
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return (cursor.fetchone() or (None,))[0]


def error_of(client: Client, query: str = "SELECT 1") -> int:
    """The number of the error that a query ends with."""
    with pytest.raises(pymysql.err.OperationalError) as caught:
        answer(client, query)
    return int(caught.value.args[0])


@contextlib.contextmanager
def set_up(background: Background, server: DatabaseServer, profile: PathProfile = DIRECT) -> Iterator[Stage]:
    """Relays to a server, on a clock that can be forwarded."""

    async def make() -> Stage:
        stage: Stage
        clock = SystemClock()
        relays = Relays(
            ("127.0.0.1", int(server.variables(from_container=False)["DB_PORT"])),
            clock=clock,
            on_event=lambda event: stage.events.append(event),
            profile=profile,
        )
        stage = Stage(background, server, relays)
        stage.clock = clock
        return stage

    stage = background.run(make())
    try:
        with stage.exits:
            yield stage
    finally:
        background.run(stage.relays.__aexit__(None, None, None))
        background.do(stage.clock.close)


@pytest.fixture
def stage(background: Background, shared_server: DatabaseServer, request: pytest.FixtureRequest) -> Iterator[Stage]:
    """What every test plays on; the path's profile may be its parameter."""
    with set_up(background, shared_server, getattr(request, "param", DIRECT)) as made:
        yield made


# -- freeze and thaw -------------------------------------------------------------------------------------


def test_queries_pass_and_sessions_are_attributed(stage: Stage) -> None:
    """The address in the server's process list leads to the environment, each to its own."""
    first, second = stage.environment(), stage.environment()
    for environment in (first, second):
        client = environment.connect()
        assert answer(client, "SELECT 6 * 7") == 42
        assert stage.relays.owner_of(stage.source(client.thread)) == environment.relay.environment
    assert first.states() == [ConnectionState.OPEN]


def test_attribution_outlives_the_environment(stage: Stage) -> None:
    """A zombie's row, and the memory of it after the server has dropped it, still name the environment."""
    environment = stage.environment()
    client = environment.connect()
    thread = client.thread
    source = stage.source(thread)
    environment.die(Reclaim.SILENT)
    assert stage.source(thread) == source
    assert environment.states() == [ConnectionState.ZOMBIE]
    assert stage.relays.owner_of(source) == environment.relay.environment
    stage.ask("KILL %s", thread)
    eventually(lambda: not environment.states(), "the end of the zombie", DEADLINE)
    assert stage.relays.owner_of(source) == environment.relay.environment


def test_query_in_flight_is_answered_after_the_thaw(stage: Stage) -> None:
    """The server answers into the freeze; the client gets the answer when it is thawed, and goes on."""
    environment = stage.environment()
    client = environment.connect()
    thread = client.thread
    with ThreadPoolExecutor(1) as pool:
        future: Future[Any] = pool.submit(answer, client, "SELECT 'late' FROM (SELECT SLEEP(0.3)) nap")
        eventually(lambda: stage.command(thread) == "Query", "the start of the query", DEADLINE)
        environment.freeze()
        eventually(lambda: stage.command(thread) == "Sleep", "the end of the query", DEADLINE)
        assert not future.done()
        environment.thaw()
        assert future.result(DEADLINE) == "late"
    assert answer(client, "SELECT 1") == 1


def test_frozen_for_longer_than_wait_timeout(stage: Stage) -> None:
    """Error 2013 and not 2006: the query leaves, and the server's kernel answers it by a reset."""
    environment = stage.environment()
    client = environment.connect()
    answer(client, "SET SESSION wait_timeout = 1")
    environment.freeze()
    stage.session_ends(client.thread)
    eventually(lambda: environment.states() == [ConnectionState.STALE], "noticing it", DEADLINE)
    environment.thaw()
    assert error_of(client) == LOST_DURING_QUERY


def test_killed_while_frozen(stage: Stage) -> None:
    """The same when the server closes with a FIN instead of a reset."""
    environment = stage.environment()
    client = environment.connect()
    environment.freeze()
    stage.ask("KILL %s", client.thread)
    stage.session_ends(client.thread)
    eventually(lambda: environment.states() == [ConnectionState.STALE], "noticing it", DEADLINE)
    environment.thaw()
    assert error_of(client) == LOST_DURING_QUERY


def test_closed_by_the_server_while_running(stage: Stage) -> None:
    """Not frozen, the client hears of it at once, as it would directly."""
    environment = stage.environment()
    client = environment.connect()
    stage.ask("KILL %s", client.thread)
    eventually(lambda: environment.states() == [ConnectionState.STALE], "noticing it", DEADLINE)
    assert error_of(client) == LOST_DURING_QUERY


# -- death -----------------------------------------------------------------------------------------------


def test_silent_death_keeps_the_session_until_wait_timeout(stage: Stage) -> None:
    """The row stays asleep although its client is gone, and leaves when the server has waited long enough."""
    environment = stage.environment()
    client = environment.connect()
    thread = client.thread
    begin = time.monotonic()
    answer(client, "SET SESSION wait_timeout = 2")
    environment.die(Reclaim.SILENT)
    assert stage.command(thread) == "Sleep"
    assert environment.states() == [ConnectionState.ZOMBIE]
    stage.session_ends(thread)
    assert time.monotonic() - begin > 1.9
    eventually(lambda: not environment.states(), "noticing it", DEADLINE)
    assert "server" in stage.events[-1].reason


@pytest.mark.parametrize("how", [Reclaim.FIN, Reclaim.RST])
def test_death_that_the_server_hears_of(stage: Stage, how: Reclaim) -> None:
    """By FIN or by reset, the row leaves at once."""
    environment = stage.environment()
    thread = environment.connect().thread
    environment.die(how)
    stage.session_ends(thread)


def test_graceful_death(stage: Stage) -> None:
    """The function closes its connection itself; what it forgets, its kernel closes."""
    environment = stage.environment()
    closed, forgotten = environment.connect(), environment.connect()
    environment.freeze()
    threads = [closed.thread, forgotten.thread]
    environment.reclaim(Reclaim.GRACEFUL)
    closed.connection.close()
    stage.session_ends(threads[0])
    assert stage.command(threads[1]) == "Sleep"
    environment.die(Reclaim.FIN)
    stage.session_ends(threads[1])


def test_reset_after_a_timeout_closes_the_session(stage: Stage) -> None:
    """The environment lives on and its next connection goes the same way."""
    environment = stage.environment()
    thread = environment.connect().thread
    environment.reset()
    stage.session_ends(thread)
    assert answer(environment.connect(), "SELECT 1") == 1


@pytest.mark.parametrize(("how", "waits"), [(Reclaim.SILENT, True), (Reclaim.FIN, False)])
def test_death_inside_a_transaction(stage: Stage, how: Reclaim, waits: bool) -> None:
    """Silently reclaimed, it keeps its locks and the next writer runs into 1205; else they are free at once."""
    with stage.server.connect() as administrator:
        answer(administrator, "CREATE OR REPLACE TABLE `lambda`.stock (item INT PRIMARY KEY, amount INT)")
        answer(administrator, "INSERT INTO `lambda`.stock VALUES (1, 10)")
    environment, other = stage.environment(), stage.environment()
    client = environment.connect(database="lambda", autocommit=False)
    answer(client, "UPDATE stock SET amount = amount - 1 WHERE item = 1")
    thread = client.thread
    environment.die(how)
    writer = other.connect(database="lambda")
    update = "UPDATE stock SET amount = amount - 2 WHERE item = 1"
    if waits:
        assert error_of(writer, update) == LOCK_WAIT_TIMEOUT
        stage.ask("KILL %s", thread)
        stage.session_ends(thread)
    answer(writer, update)
    assert answer(writer, "SELECT amount FROM stock WHERE item = 1") == 8


def test_zombies_use_up_max_connections(background: Background) -> None:
    """Three environments die silently, and the fourth cannot connect: error 1040."""
    with running_server(background, max_connections=3) as server, set_up(background, server) as stage:
        for _ in range(3):
            environment = stage.environment()
            environment.connect()
            environment.die(Reclaim.SILENT)
        with pytest.raises(pymysql.err.OperationalError) as caught:
            stage.environment().connect()
        assert caught.value.args[0] == TOO_MANY_CONNECTIONS
        states = [connection.state for connection in background.do(stage.relays.connections)]
        assert states.count(ConnectionState.ZOMBIE) == 3


def test_server_that_vanishes(background: Background) -> None:
    """A killed server is lost to a client that waits for it, and new clients are turned away."""
    with running_server(background) as server, set_up(background, server) as stage:
        environment = stage.environment()
        client = environment.connect()
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(error_of, client, "SELECT SLEEP(60)")
            eventually(lambda: stage.command(client.thread) == "Query", "the start of the query", DEADLINE)
            background.run(server.__aexit__(None, None, None))
            assert future.result(DEADLINE) == LOST_DURING_QUERY
        host, port = environment.relay.address
        with pytest.raises(pymysql.err.OperationalError):
            pymysql.connect(host=host, port=port, user="lambda", connect_timeout=5, read_timeout=5)
        assert stage.events[-1].kind is EventKind.FAILED


# -- time ------------------------------------------------------------------------------------------------


def test_keepalive_ends_a_zombie(stage: Stage) -> None:
    """Two hours and eleven minutes on, the server's kernel gives the silent client up."""
    environment = stage.environment()
    thread = environment.connect().thread
    environment.die(Reclaim.SILENT)
    environment.skip(KEEPALIVE - 60)
    assert stage.command(thread) == "Sleep"
    environment.skip(60)
    stage.session_ends(thread)


@pytest.mark.parametrize("stage", [NAT], indirect=True)
def test_nat_gateway_forgets(stage: Stage) -> None:
    """After 350 idle seconds the client is reset, and the server keeps a session that nobody uses."""
    environment = stage.environment()
    client = environment.connect()
    thread = client.thread
    environment.freeze()
    environment.skip(351)
    environment.thaw()
    assert error_of(client) == LOST_DURING_QUERY
    # The server may still be about to say that the client's last statement before the freeze is done.
    eventually(lambda: stage.command(thread) == "Sleep", "the rest of the session", DEADLINE)
    assert environment.states() == [ConnectionState.STALE]


@pytest.mark.parametrize("stage", [FIREWALL], indirect=True)
def test_firewall_is_silent(stage: Stage) -> None:
    """After 350 idle seconds nothing comes back: without a read_timeout the function would hang."""
    environment = stage.environment()
    client = environment.connect(read_timeout=2)
    environment.freeze()
    environment.skip(351)
    environment.thaw()
    with pytest.raises(pymysql.err.OperationalError, match="timed out") as caught:
        answer(client, "SELECT 1")
    assert caught.value.args[0] == LOST_DURING_QUERY


def test_skipped_time_ends_idle_sessions(stage: Stage) -> None:
    """Eight hours are skipped: the server drops the session, and the thawed client gets 2013."""
    environment = stage.environment()
    client = environment.connect()
    environment.freeze()
    environment.skip(3600)
    assert environment.skip_as_server(3600) == 1
    stage.session_ends(client.thread)
    environment.thaw()
    assert error_of(client) == LOST_DURING_QUERY


# -- what passes -----------------------------------------------------------------------------------------


def test_tls_passes_untouched(stage: Stage, tmp_path: Path) -> None:
    """A user that must use TLS logs in with every check of the certificate, and stays encrypted over a freeze."""
    with stage.server.connect() as administrator:
        answer(administrator, "CREATE OR REPLACE USER careful@'%%' IDENTIFIED BY 'secret' REQUIRE SSL")
        authority = Path(answer(administrator, "SELECT @@ssl_ca"))
    environment = stage.environment()
    with pytest.raises(pymysql.err.OperationalError, match="Access denied"):
        environment.connect(user="careful", password="secret")
    client = environment.connect(
        user="careful",
        password="secret",
        ssl_disabled=False,
        ssl_ca=str(authority),
        ssl_verify_cert=True,
        ssl_verify_identity=True,
    )
    with client.connection.cursor() as cursor:
        cursor.execute("SHOW SESSION STATUS LIKE 'Ssl_version'")
        assert (cursor.fetchone() or ("", ""))[1].startswith("TLSv1")
    environment.freeze()
    environment.thaw()
    assert answer(client, "SELECT 1") == 1


def test_large_result_needs_no_memory(stage: Stage) -> None:
    """A result of 100 MiB passes while its reader dawdles, and this process does not grow by a third of it."""
    environment = stage.environment()
    client = environment.connect(cursorclass=SSCursor)
    assert answer(client, "SELECT REPEAT('x', 1048576)") is not None  # what one row needs is there already
    process = psutil.Process()
    before = process.memory_info().rss
    most, received = 0, 0
    with client.connection.cursor() as cursor:
        cursor.execute(
            "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 100) "
            "SELECT REPEAT('x', 1048576) FROM n"
        )
        while (found := cursor.fetchone()) is not None:
            received += len(found[0])
            most = max(most, process.memory_info().rss)
    assert received == 100 * 2**20
    assert most - before < 32 * 2**20
    (connection,) = environment.connections()
    assert connection.bytes_down > received


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have 127.0.0.1 only")
def test_process_list_shows_an_address_for_each_environment(stage: Stage) -> None:
    """With a source of its own, an environment can be told from others by the address alone."""
    environment = stage.environment(source="127.77.0.9")
    client = environment.connect()
    assert stage.source(client.thread)[0] == "127.77.0.9"
    assert stage.relays.owner_of(stage.source(client.thread)) == environment.relay.environment
