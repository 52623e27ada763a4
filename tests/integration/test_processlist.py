"""The question to a real server: as its administrator, and as an account without privileges."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Iterator

import pymysql
import pytest
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from emulator.database.base import DATABASE, DatabaseServer
from emulator.database.local import LocalServer
from emulator.database.processlist import ProcessList
from emulator.database.program import find_program
from emulator.database.server import start_server
from emulator.database.sessions import ProcessRow
from emulator.errors import DatabaseError
from emulator.sandbox.instance import Instance
from tests.needs import need_database
from tests.support import eventually, in_loop

pytestmark = pytest.mark.database

GONE_AWAY = (2006, 2013)


@contextlib.asynccontextmanager
async def servers() -> AsyncIterator[tuple[DatabaseServer, DatabaseServer]]:
    """One server twice: as its administrator has it, and as the functions' user, who is nobody there."""
    need_database()
    program = find_program()
    assert program is not None
    with Instance() as instance:
        async with LocalServer(program, instance=instance) as own:
            told = own.variables(from_container=False)
            url = "mysql://{DB_USER}:{DB_PASSWORD}@{DB_HOST}:{DB_PORT}/{DB_NAME}".format_map(told)
            async with start_server(url, instance=instance, engine=None) as seen_by_nobody:
                yield own, seen_by_nobody


@contextlib.contextmanager
def asking(server: DatabaseServer) -> Iterator[ProcessList]:
    process_list = ProcessList(server)
    try:
        yield process_list
    finally:
        process_list.close()


def thread_of(connection: Connection[Cursor]) -> int:
    return int(connection.thread_id())  # type: ignore[no-untyped-call]


def row_of(process_list: ProcessList, connection: Connection[Cursor]) -> ProcessRow | None:
    return next((row for row in process_list.look().rows if row.id == thread_of(connection)), None)


def locks_of(process_list: ProcessList, connection: Connection[Cursor]) -> int | None:
    time.sleep(0.15)  # InnoDB makes its list of transactions anew only if nobody has read it for a tenth of a second
    row = row_of(process_list, connection)
    assert row is not None
    return row.locked_rows


@contextlib.contextmanager
def client_of(server: DatabaseServer) -> Iterator[Connection[Cursor]]:
    """A function's connection, to the functions' database."""
    connection = server.connect(as_function=True, database=DATABASE)
    try:
        yield connection
    finally:
        if connection.open:
            connection.close()


def is_over(connection: Connection[Cursor]) -> bool:
    try:
        connection.query("SELECT 1")
    except pymysql.err.OperationalError as error:
        if error.args[0] not in GONE_AWAY:
            raise
        return True
    return False


def begin_and_lock(connection: Connection[Cursor]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS stock (id INT PRIMARY KEY, pieces INT) ENGINE=InnoDB")
        cursor.execute("REPLACE INTO stock VALUES (1, 10), (2, 20)")
        cursor.execute("BEGIN")
        cursor.execute("UPDATE stock SET pieces = 0 WHERE id IN (1, 2)")


@in_loop
async def test_an_open_transaction_tells_how_many_rows_it_locks() -> None:
    """None before it, the rows during it, none after it; a transaction without locks has 0."""
    async with servers() as (own, _nobody):
        with asking(own) as process_list, client_of(own) as client:
            assert locks_of(process_list, client) is None
            begin_and_lock(client)
            assert locks_of(process_list, client) == 2
            client.query("COMMIT")
            assert locks_of(process_list, client) is None
            client.query("START TRANSACTION WITH CONSISTENT SNAPSHOT")
            assert locks_of(process_list, client) == 0


@in_loop
async def test_an_account_without_privileges_sees_its_own_sessions_and_no_locks() -> None:
    """Everything else is as ever: limits, commands, and which session is the emulator's own."""
    async with servers() as (own, nobody):
        with (
            asking(nobody) as process_list,
            client_of(nobody) as client,
            own.connect() as administrator,
        ):
            begin_and_lock(client)
            assert locks_of(process_list, client) is None
            row = row_of(process_list, client)
            assert row is not None
            assert (row.user, row.command, row.database) == ("lambda", "Sleep", "lambda")
            look = process_list.look()
            assert thread_of(administrator) not in {one.id for one in look.rows}
            assert {one.user for one in look.rows} == {"lambda"}
            assert (look.max_connections, look.wait_timeout) == (152, 28800)
            assert set(look.own) & {one.id for one in look.rows}
            assert thread_of(client) not in look.own


@in_loop
async def test_sessions_can_be_ended() -> None:
    """Whatever they do, several at once; one that has ended by itself, or twice, is fine."""
    async with servers() as (own, _nobody):
        with asking(own) as process_list, contextlib.ExitStack() as stack:
            clients = [stack.enter_context(client_of(own)) for _ in range(3)]
            begin_and_lock(clients[0])
            threads = [thread_of(client) for client in clients]
            clients[2].close()
            eventually(lambda: row_gone(process_list, threads[2]), "the server forgets a session that was closed")
            process_list.kill(threads)
            process_list.kill(threads[:1])
            for client in clients[:2]:
                assert is_over(client)
            eventually(lambda: all(row_gone(process_list, thread) for thread in threads), "the end of all of them")
            with client_of(own) as client:
                client.query("SET SESSION innodb_lock_wait_timeout = 5")
                client.query("UPDATE stock SET pieces = 1 WHERE id = 1")  # the locks of the dead are free


def row_gone(process_list: ProcessList, thread: int) -> bool:
    return thread not in {row.id for row in process_list.look().rows}


@in_loop
async def test_an_account_without_privileges_ends_its_own_sessions_only() -> None:
    """Somebody else's is an error that names the session and what the server said; both live on."""
    async with servers() as (own, nobody):
        with (
            asking(nobody) as process_list,
            client_of(nobody) as client,
            own.connect() as administrator,
        ):
            process_list.look()
            with pytest.raises(DatabaseError, match=rf"session {thread_of(administrator)} cannot be ended: .*\(1095\)"):
                process_list.kill([thread_of(administrator)])
            assert not is_over(administrator)
            process_list.kill([thread_of(client)])
            assert is_over(client)


@in_loop
async def test_sessions_can_be_ended_on_a_connection_that_was_lost() -> None:
    """The user may have ended the emulator's own session; it comes back for this as for every look."""
    async with servers() as (own, _nobody):
        with asking(own) as process_list, own.connect() as administrator, client_of(own) as client:
            look = process_list.look()
            (lost,) = [row.id for row in look.rows if row.id in look.own and row.command == "Query"]
            with administrator.cursor() as cursor:
                cursor.execute(f"KILL {lost}")
            process_list.kill([thread_of(client)])
            assert is_over(client)
