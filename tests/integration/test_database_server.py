"""Real servers: of this machine's own program, in a container, and one that is somebody else's."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pymysql
import pytest

from emulator.database.base import DatabaseServer
from emulator.database.hosted import DockerServer
from emulator.database.local import LocalServer, free_port
from emulator.database.program import find_program
from emulator.database.server import start_server
from emulator.database.template import prepare_template
from emulator.errors import ConfigurationError, DatabaseError, EngineError
from emulator.sandbox.engine import Engine
from emulator.sandbox.instance import Instance
from tests.needs import need_database, need_engine
from tests.support import eventually, in_loop, require

pytestmark = pytest.mark.database

STAND_IN = "lambda-freezer/mysql:mariadb"


@pytest.fixture
def instance() -> Iterator[Instance]:
    with Instance() as made:
        yield made


@pytest.fixture
def program() -> Path:
    need_database()
    found = find_program()
    assert found is not None
    return found


def ask(server: DatabaseServer, query: str, *, as_function: bool = False, **options: Any) -> Sequence[Any]:
    """The first row of an answer."""
    with server.connect(as_function=as_function, **options) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchone() or ()


def connect_as_functions_do(variables: Mapping[str, str]) -> pymysql.connections.Connection[Any]:
    """With nothing but the variables that a function gets."""
    return pymysql.connect(
        host=variables["DB_HOST"],
        port=int(variables["DB_PORT"]),
        user=variables["DB_USER"],
        password=variables["DB_PASSWORD"],
        database=variables["DB_NAME"],
        ssl_disabled=True,
        read_timeout=10,
    )


def refusal(server: DatabaseServer, stack: contextlib.ExitStack) -> tuple[Any, ...] | None:
    """Connect once more, as functions do; what the server says to it if it refuses."""
    try:
        stack.enter_context(connect_as_functions_do(server.variables(from_container=False)))
    except pymysql.err.OperationalError as error:
        return error.args
    return None


def fill_up(server: DatabaseServer, stack: contextlib.ExitStack) -> int:
    """Connect until the server refuses; how many connections it took."""
    answers = list(itertools.takewhile(lambda answer: answer is None, (refusal(server, stack) for _ in range(100))))
    assert refusal(server, stack) == (1040, "Too many connections")
    return len(answers)


# -- this machine's own program ----------------------------------------------------------------------------


@in_loop
async def test_functions_can_connect(instance: Instance, program: Path) -> None:
    """Under every address that it listens on, with the variables alone."""
    async with LocalServer(program, instance=instance, bind=["127.0.0.2"]) as server:
        for from_container in (False, True):
            variables = server.variables(from_container=from_container)
            assert variables["DB_HOST"] == ("127.0.0.2" if from_container else "127.0.0.1")
            with connect_as_functions_do(variables) as connection, connection.cursor() as cursor:
                cursor.execute("SELECT DATABASE(), @@character_set_server, @@time_zone")
                assert cursor.fetchone() == ("lambda", "utf8mb4", "+00:00")
        assert server.version == ask(server, "SELECT VERSION()")[0]
        assert server.variables(from_container=False)["DB_PASSWORD"] not in server.description


@in_loop
async def test_it_starts_fast(instance: Instance, program: Path) -> None:
    """With the template made it is a copy and a start: no other program runs, not even to tell its version."""
    async with LocalServer(program, instance=instance):
        pass
    pids: list[int] = []
    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(subprocess, "run", lambda *_, **__: pytest.fail("a program was run"))
        async with LocalServer(program, instance=instance, on_child=pids.append) as server:
            assert ask(server, "SELECT 1") == (1,)
    assert len(pids) == 1


@in_loop
async def test_nothing_is_left(instance: Instance, program: Path) -> None:
    """Neither the process, nor its data, nor anything that listens."""
    pids: list[int] = []
    async with LocalServer(program, instance=instance, on_child=pids.append) as server:
        variables = server.variables(from_container=False)
        assert os.getsid(pids[0]) == pids[0] != os.getsid(0)  # a Ctrl-C at our terminal is not for it
    assert not Path(f"/proc/{pids[0]}").exists()
    assert [path.name for path in instance.folder.iterdir()] == ["owner"]
    with pytest.raises(pymysql.err.OperationalError, match="2003"):
        connect_as_functions_do(variables)


@in_loop
async def test_functions_user_has_no_special_rights(instance: Instance, program: Path) -> None:
    """Only its own databases; and the administrator is not let in over TCP."""
    async with LocalServer(program, instance=instance) as server:
        with pytest.raises(pymysql.err.OperationalError, match="denied"):
            ask(server, "CREATE DATABASE other", as_function=True)
        with pytest.raises(pymysql.err.MySQLError, match="denied"):
            ask(server, "SELECT * FROM mysql.global_priv", as_function=True)
        with pytest.raises(pymysql.err.OperationalError, match="denied"):
            ask(server, "SET GLOBAL max_connections = 1000", as_function=True)
        with pytest.raises(pymysql.err.OperationalError, match="denied"):
            pymysql.connect(host="127.0.0.1", port=int(server.variables(from_container=False)["DB_PORT"]), user="root")
        ask(server, "CREATE TABLE numbers (n INT)", as_function=True, database="lambda")


@pytest.mark.parametrize("wanted", [3, 12])
def test_too_many_connections_at_exactly_the_limit(instance: Instance, program: Path, wanted: int) -> None:
    """Functions get as many as was asked for beside the observer, even below the least MariaDB takes."""

    @in_loop
    async def fill() -> None:
        async with LocalServer(program, instance=instance, max_connections=wanted) as server:
            with contextlib.ExitStack() as stack:
                stack.enter_context(server.connect())  # in the observer's place
                assert fill_up(server, stack) == wanted
                # The administrator still gets in, and can do what an emulator does.
                await server.ensure_database("late")
                limit = wanted + server.reserved_sessions
                eventually(lambda: limit_of(server) == limit, f"an administrator who is told of {limit}")

    def limit_of(server: LocalServer) -> int | None:
        """``None`` while the place that is kept for the administrator is still that of the session before."""
        try:
            (limit,) = ask(server, "SELECT @@global.max_connections")
        except pymysql.err.OperationalError as error:
            if error.args[0] != 1040:
                raise
            return None
        return int(limit)

    fill()


@in_loop
async def test_ensure_database(instance: Instance, program: Path) -> None:
    """A function may name a database of its own: made once, for its user, and no other with a like name."""
    async with LocalServer(program, instance=instance) as server:
        for _ in range(2):
            await server.ensure_database("shop_1")
        await server.ensure_database("back`tick")
        ask(server, "CREATE TABLE orders (id INT)", as_function=True, database="shop_1")
        ask(server, "CREATE DATABASE shopX1")
        with pytest.raises(pymysql.err.OperationalError, match="denied"):
            ask(server, "SELECT 1", as_function=True, database="shopX1")
        await server.ensure_database("information_schema")
        for system in ("mysql", "sys"):
            with pytest.raises(ConfigurationError):
                await server.ensure_database(system)


@in_loop
async def test_two_at_once(program: Path) -> None:
    """Two emulators on one machine know nothing of each other."""
    async with AsyncExitStack() as stack:
        servers = [
            await stack.enter_async_context(LocalServer(program, instance=stack.enter_context(Instance())))
            for _ in range(2)
        ]
        ports = {server.variables(from_container=False)["DB_PORT"] for server in servers}
        passwords = {server.variables(from_container=False)["DB_PASSWORD"] for server in servers}
        assert len(ports) == len(passwords) == 2


@in_loop
async def test_own_sessions_are_known(instance: Instance, program: Path) -> None:
    """Those that keep places taken, the administrator's, and none of the functions'."""
    async with LocalServer(program, instance=instance, max_connections=3) as server:
        with server.connect() as administration, server.connect(as_function=True) as function:
            with administration.cursor() as cursor:
                cursor.execute("SELECT id, user FROM information_schema.processlist")
                users = dict(cursor.fetchall())
            own = {thread for thread, user in users.items() if user == "root"}
            assert own <= set(server.own_sessions())
            assert len(own) == server.reserved_sessions
            assert function.thread_id() not in server.own_sessions()  # type: ignore[no-untyped-call]


@in_loop
async def test_death_at_start_shows_the_log(instance: Instance, program: Path) -> None:
    """What the server said last, and nothing left behind."""
    with pytest.raises(DatabaseError, match=r"ended with status \d+ while it started") as caught:
        async with LocalServer(program, instance=instance, options=["--no-such-option"]):
            pass
    assert "no-such-option" in caught.value.message
    assert caught.value.cure
    assert [path.name for path in instance.folder.iterdir()] == ["owner"]


@in_loop
async def test_port_that_somebody_else_took(instance: Instance, program: Path) -> None:
    """Between our look and the server's start: another one is chosen, but not for ever."""
    with socket.create_server(("127.0.0.2", 0)) as taken:
        port = taken.getsockname()[1]
        choices = [port, port, free_port(["127.0.0.1", "127.0.0.2"])]
        pids: list[int] = []
        async with LocalServer(
            program,
            instance=instance,
            bind=["127.0.0.2"],
            choose_port=lambda _: choices.pop(0),
            on_child=pids.append,
        ) as server:
            assert ask(server, "SELECT 1", as_function=True) == (1,)
            assert server.variables(from_container=False)["DB_PORT"] != str(port)
        assert len(pids) == 3
        with pytest.raises(DatabaseError, match="took the port"):
            async with LocalServer(program, instance=instance, bind=["127.0.0.2"], choose_port=lambda _: port):
                pass


@in_loop
async def test_address_that_this_machine_has_not(instance: Instance, program: Path) -> None:
    """Found before the server is started, and named."""
    with pytest.raises(DatabaseError, match=r"cannot listen on 192\.0\.2\.1"):
        async with LocalServer(program, instance=instance, bind=["192.0.2.1"]):
            pass


@in_loop
async def test_cancelled_start_leaves_nothing(instance: Instance, program: Path) -> None:
    """A Ctrl-C while it starts."""
    started = asyncio.Event()
    pids: list[int] = []

    def on_child(pid: int) -> None:
        pids.append(pid)
        started.set()

    async def enter() -> None:
        async with LocalServer(program, instance=instance, on_child=on_child):
            raise AssertionError("it was cancelled before")

    task = asyncio.create_task(enter())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not Path(f"/proc/{pids[0]}").exists()
    assert [path.name for path in instance.folder.iterdir()] == ["owner"]


def test_killed_template_building_poisons_nothing(program: Path, tmp_path: Path) -> None:
    """Killed half way, with all that it had started; the next one makes it whole."""
    cache = tmp_path / "cache"
    code = (
        "import sys; from pathlib import Path; from emulator.database.template import prepare_template;"
        "prepare_template(Path(sys.argv[1]), cache=Path(sys.argv[2]), scratch=Path(sys.argv[2]))"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(program), str(cache)], start_new_session=True) as builder:
        eventually(lambda: list(cache.glob("*.building-*/data/*")), "the builder's first file", deadline=20)
        os.killpg(builder.pid, signal.SIGKILL)
    (left,) = cache.glob("*.building-*")
    template = prepare_template(program, cache=cache, scratch=tmp_path)
    assert not left.exists()

    @in_loop
    async def start() -> None:
        with Instance() as instance:
            async with LocalServer(program, instance=instance, cache=cache) as server:
                assert ask(server, "SELECT 1", as_function=True) == (1,)

    start()
    assert (template.data / "mysql").is_dir()


# -- in a container ----------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def engine_with_stand_in(instance: Instance) -> AsyncIterator[Engine]:
    need_engine()
    async with Engine(instance) as engine:
        require(await engine.has_image(STAND_IN), f"There is no image {STAND_IN}.", "Make it: docker/build-images.")
        yield engine


@pytest.mark.container
@in_loop
async def test_server_in_a_container(instance: Instance) -> None:
    """The same user, rights and limits as with a program of this machine."""
    async with engine_with_stand_in(instance) as engine:
        async with DockerServer(engine, image=STAND_IN, max_connections=3) as server:
            assert "container" in server.description
            with contextlib.ExitStack() as stack:
                stack.enter_context(server.connect())  # in the observer's place
                assert fill_up(server, stack) == 3
                await server.ensure_database("shop_1")
            ask(server, "CREATE TABLE orders (id INT)", as_function=True, database="shop_1")
            with pytest.raises(pymysql.err.OperationalError, match="denied"):
                ask(server, "CREATE DATABASE other", as_function=True)
            assert server.variables(from_container=True)["DB_PORT"] == "3306"
            container = await engine.details(engine.new_name().rpartition("-")[0] + "-1")
            assert container.running
        with pytest.raises(EngineError):
            await engine.details(container.id)


@pytest.mark.container
@in_loop
async def test_server_in_a_container_that_does_not_start(instance: Instance) -> None:
    """Told as soon as the container has ended, not at the end of all patience."""
    async with engine_with_stand_in(instance) as engine:
        with pytest.raises(DatabaseError, match=r"ended with status \d+ while it started"):
            async with DockerServer(engine, image=STAND_IN, options=["--no-such-option"]):
                pass


# -- the user's own ----------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def users_server(program: Path, instance: Instance) -> AsyncIterator[tuple[LocalServer, str]]:
    """A server that stands for the user's own, and the address of an account on it."""
    password = secrets.token_hex(4) + "@/:é"
    async with LocalServer(program, instance=instance) as server:
        with server.connect() as administration, administration.cursor() as cursor:
            cursor.execute("CREATE USER me@'%%' IDENTIFIED BY %s", (password,))
            cursor.execute("CREATE DATABASE mine")
            cursor.execute("GRANT ALL ON mine.* TO me@'%'")
        port = server.variables(from_container=False)["DB_PORT"]
        yield server, f"mysql://me:{quote(password, safe='')}@127.0.0.1:{port}"


@in_loop
async def test_users_own_server(instance: Instance, program: Path) -> None:
    """Used as it is, and still there afterwards."""
    async with users_server(program, instance) as (behind, url):
        async with start_server(f"{url}/mine", instance=instance) as server:
            assert server.version == behind.version
            assert ask(server, "SELECT CURRENT_USER(), DATABASE()", as_function=True, database="mine") == (
                "me@%",
                "mine",
            )
            await server.ensure_database("mine")
            with pytest.raises(DatabaseError, match=r"the database other cannot be made: .*denied"):
                await server.ensure_database("other")
        assert ask(behind, "SELECT 1") == (1,)


@in_loop
async def test_users_own_server_without_the_database(instance: Instance, program: Path) -> None:
    """The address names none, and the account may not make the usual one."""
    async with users_server(program, instance) as (_, url):
        with pytest.raises(DatabaseError, match="the database lambda cannot be made"):
            async with start_server(url, instance=instance):
                pass


@in_loop
async def test_users_own_server_with_a_wrong_password(instance: Instance, program: Path) -> None:
    """The server's own words; the password in none of them."""
    async with users_server(program, instance) as (_, url):
        head, _, tail = url.rpartition("@")
        with pytest.raises(DatabaseError, match=r"Access denied .*\(1045\)") as caught:
            async with start_server(f"{head}wr0ng@{tail}/mine", instance=instance):
                pass
    assert "wr0ng" not in str(caught.value)


@pytest.mark.parametrize(("gateway", "answers"), [("127.0.0.1", True), ("127.0.0.2", False)])
def test_warned_where_containers_cannot_reach_it(
    instance: Instance, program: Path, gateway: str, answers: bool
) -> None:
    """It listens on the address in the URL; whether on the containers' gateway too is tried out."""

    @in_loop
    async def start() -> None:
        async with (
            users_server(program, instance) as (_, url),
            start_server(f"{url}/mine", instance=instance, host_gateway=gateway) as server,
        ):
            assert server.variables(from_container=True)["DB_HOST"] == gateway
            assert [gateway in warning for warning in server.warnings] == ([] if answers else [True])

    start()
