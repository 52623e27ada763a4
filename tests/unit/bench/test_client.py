"""The client of the bench, against what peers do: whole answers, pieces, and a connection for each."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator, Sequence

import pytest

from tests.bench.client import Door, RawClient

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"
BODY = b'{"k":"v"}'


@contextlib.contextmanager
def peer(*connections: Sequence[Sequence[bytes]]) -> Iterator[Door]:
    """Answers requests with these pieces: connections, of answers, of pieces; then it closes each connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for answers in connections:
                connection, _ = listener.accept()
                with connection:
                    connection.settimeout(5)
                    for pieces in answers:
                        if not connection.recv(65536):
                            return
                        for piece in pieces:
                            connection.sendall(piece)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield Door("127.0.0.1", listener.getsockname()[1], "/f")
        finally:
            thread.join(5)


def test_one_connection_serves_many_invocations() -> None:
    """Head and body may come together or apart."""
    with peer([[PLAIN + BODY], [PLAIN, BODY]]) as door, RawClient(door) as client:
        assert client.ask() == BODY
        assert client.ask() == BODY
        assert client.invocations == 2


def test_an_answer_in_chunks_is_read_to_its_end() -> None:
    """RIE sends large ones like that; the next answer begins where the chunks end."""
    chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n", BODY + b"\r\n0\r\n", b"\r\n"
    with peer([chunks, [PLAIN + BODY]]) as door, RawClient(door) as client:
        assert BODY in client.ask()
        assert client.ask() == BODY


def test_a_peer_that_closes_after_each_answer_is_dialled_again() -> None:
    """SAM does that, and says so."""
    closing = [[b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 9\r\n\r\n" + BODY]]
    with peer(closing, closing) as door, RawClient(door) as client:
        assert client.invoke() > 0
        assert client.invoke() > 0


def test_an_error_is_not_taken_for_a_fast_answer() -> None:
    """What was answered is in the complaint."""
    with (
        peer([[b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"]]) as door,
        RawClient(door) as client,
        pytest.raises(AssertionError, match="500"),
    ):
        client.invoke()


def test_a_connection_that_ends_in_the_middle_is_an_error() -> None:
    """Half an answer is none."""
    with peer([[PLAIN]]) as door, RawClient(door) as client, pytest.raises(ConnectionResetError):
        client.ask()
