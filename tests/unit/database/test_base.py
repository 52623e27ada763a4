"""What all kinds of servers share."""

from __future__ import annotations

import asyncio
import threading

import pymysql
import pytest

from emulator.database.accounts import check_name, describe, refuse_system_database, server_limit
from emulator.database.base import Account, Endpoint, in_thread
from emulator.errors import ConfigurationError
from tests.support import in_loop


def test_password_is_in_no_text() -> None:
    """Records end up in logs."""
    assert "s3cret" not in repr(Account("me", "s3cret"))


def test_endpoint_is_an_address_or_a_path() -> None:
    """As the client library wants it."""
    assert Endpoint("h", 3306).options() == {"host": "h", "port": 3306}
    assert Endpoint(unix_socket="/s").options() == {"unix_socket": "/s"}


@pytest.mark.parametrize(("asked", "limit"), [(None, 152), (1, 2), (66, 67)])
def test_limit_leaves_room_for_the_observer(asked: int | None, limit: int) -> None:
    """Functions get as many as was asked for."""
    assert server_limit(asked) == limit


@pytest.mark.parametrize("name", ["shop", "shop_1", "Ünïcode", "with blank", "back`tick", "x" * 64])
def test_name_that_a_database_can_have(name: str) -> None:
    """Quoting is our matter."""
    check_name(name)


@pytest.mark.parametrize("name", ["", " ", "a.b", "a/b", "a\\b", "a ", "x" * 65, "nul\0"])
def test_name_that_is_refused(name: str) -> None:
    """No database can have it."""
    with pytest.raises(ConfigurationError) as caught:
        check_name(name)
    assert caught.value.cure


@pytest.mark.parametrize("name", ["mysql", "SYS", "performance_schema"])
def test_database_of_the_server_itself(name: str) -> None:
    """It has a name like any other, but functions get no rights on it."""
    check_name(name)
    with pytest.raises(ConfigurationError, match="belongs to the server"):
        refuse_system_database(name)


def test_describe() -> None:
    """Number and text, whichever of them there is."""
    assert describe(pymysql.err.OperationalError(1040, "Too many connections")) == "Too many connections (1040)"
    assert describe(pymysql.err.InterfaceError("closed")) == "closed"
    assert describe(pymysql.err.MySQLError()) == "0"


@in_loop
async def test_cancelled_thread_is_waited_for() -> None:
    """What it makes is made when the caller goes on to clean up."""
    begun, go_on, made = threading.Event(), threading.Event(), threading.Event()

    def make() -> None:
        begun.set()
        go_on.wait(timeout=10)
        made.set()

    task = asyncio.create_task(in_thread(make))
    await asyncio.to_thread(begun.wait, 10)
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert made.is_set()


@in_loop
async def test_thread_that_fails_after_the_cancellation_is_not_reported_twice() -> None:
    """The cancellation is what the caller hears of."""
    begun, go_on = threading.Event(), threading.Event()

    def fail() -> None:
        begun.set()
        go_on.wait(timeout=10)
        raise ValueError("too late")

    task = asyncio.create_task(in_thread(fail))
    await asyncio.to_thread(begun.wait, 10)
    task.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
