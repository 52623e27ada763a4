"""Addresses of the user's own server."""

from __future__ import annotations

import socket
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.database.base import Account, Endpoint
from emulator.database.url import Address, UrlServer, parse_url
from emulator.errors import ConfigurationError, DatabaseError
from tests.support import in_loop

SECRET = "s3cret-of-all"


@pytest.mark.parametrize(
    ("text", "host", "port", "user", "password", "database"),
    [
        ("mysql://me:pw@db.example:3307/shop", "db.example", 3307, "me", "pw", "shop"),
        ("mysql://me:pw@db.example/shop", "db.example", 3306, "me", "pw", "shop"),
        ("mysql://me:pw@127.0.0.1", "127.0.0.1", 3306, "me", "pw", "lambda"),
        ("mysql://me:pw@127.0.0.1/", "127.0.0.1", 3306, "me", "pw", "lambda"),
        ("mysql://me@localhost", "localhost", 3306, "me", "", "lambda"),
        ("mysql://a%40b:p%2Fw%3A%25@h/d%C3%A4ta", "h", 3306, "a@b", "p/w:%", "däta"),
        ("mysql://me:pw@[::1]:3307/shop", "::1", 3307, "me", "pw", "shop"),
    ],
)
def test_parts_of_an_address(text: str, host: str, port: int, user: str, password: str, database: str) -> None:
    """Decoded, and with what may be left out filled in."""
    assert parse_url(text) == Address(Endpoint(host, port), Account(user, password), database)


@given(user=st.text(min_size=1, max_size=20), password=st.text(max_size=20))
def test_encoded_user_and_password_come_back(user: str, password: str) -> None:
    """Whatever characters a password has, there is a way to write it."""
    account = parse_url(f"mysql://{quote(user, safe='')}:{quote(password, safe='')}@h/d").account
    assert account == Account(user, password)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("postgres://me:{}@h/d", "begins with postgres"),
        ("me:{}@h/d", "begins with me"),
        ("mysql://me:{}@/d", "names no host"),
        ("mysql://:{}@h/d", "names no user"),
        ("mysql://h/d", "names no user"),
        ("mysql://me:{}@h:port/d", "a port that is none"),
        ("mysql://me:{}@h:70000/d", "a port that is none"),
        ("mysql://me:{}@h:0/d", "port 0"),
        ("mysql://me:{}@[::1/d", "a host or a port"),
        ("mysql://me:{}@h/d?ssl=1", r"has a \? or a # in it"),
        ("mysql://me:{}#x@h/d", r"has a \? or a # in it"),
        ("mysql://me:{}@h/d/e", "more than a database"),
        ("mysql://me:{}@h/a.b", "not a name for a database"),
    ],
)
def test_wrong_address_is_refused_with_what_is_allowed(text: str, complaint: str) -> None:
    """The message says what is wrong and never repeats the password."""
    with pytest.raises(ConfigurationError, match=complaint) as caught:
        parse_url(text.format(SECRET))
    assert caught.value.cure
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "gateway", "seen"),
    [
        ("127.0.0.1", "10.80.0.1", "10.80.0.1"),
        ("127.8.8.8", "10.80.0.1", "10.80.0.1"),
        ("localhost", "10.80.0.1", "10.80.0.1"),
        ("[::1]", "10.80.0.1", "10.80.0.1"),
        ("localhost", None, "localhost"),
        ("192.0.2.7", "10.80.0.1", "192.0.2.7"),
        ("db.example", "10.80.0.1", "db.example"),
    ],
)
def test_host_as_containers_see_it(host: str, gateway: str | None, seen: str) -> None:
    """This machine's loopback is not a container's; every other address is the same for both."""
    server = UrlServer(parse_url(f"mysql://me:pw@{host}/shop"), host_gateway=gateway)
    inside, outside = server.variables(from_container=True), server.variables(from_container=False)
    assert inside["DB_HOST"] == seen
    assert outside == inside | {"DB_HOST": host.strip("[]")}
    assert outside == {"DB_HOST": host.strip("[]"), "DB_PORT": "3306", "DB_USER": "me"} | {
        "DB_PASSWORD": "pw",
        "DB_NAME": "shop",
    }


@in_loop
async def test_server_that_is_not_there() -> None:
    """Host, port and user are named, the password is not."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    server = UrlServer(parse_url(f"mysql://me:{SECRET}@127.0.0.1:{port}/shop"))
    with pytest.raises(DatabaseError, match=rf"127\.0\.0\.1:{port} cannot be used as me: .*\(2003\)") as caught:
        async with server:
            pass
    assert "Start that server" in caught.value.cure
    for text in (str(caught.value), repr(server.description), repr(parse_url(f"mysql://me:{SECRET}@h"))):
        assert SECRET not in text
