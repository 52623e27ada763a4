"""Responses in pieces for Python programs and at the command line."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator

import pytest

from emulator import Emulator, Function
from emulator.api.event_stream import payload_chunk
from emulator.client import Client
from emulator.embedded import DeployedFunction
from emulator.errors import EmulatorError, FunctionNotFoundError, NotRunningError
from tests.integration.conftest import FUNCTIONS
from tests.integration.running import command


@pytest.fixture(scope="module")
def function() -> Iterator[DeployedFunction]:
    """A function that does what the event says, as a process and without a database."""
    with Emulator({"emulator": {"sandbox": "process"}, "database": {"server": "none"}}) as emulator:
        yield emulator.add(Function(name="anything", code=FUNCTIONS / "anything", timeout=5))


# -- Python ----------------------------------------------------------------------------------------------------


def test_a_response_that_is_not_streamed_is_one_piece(function: DeployedFunction) -> None:
    """And the environment is at rest when the last has come."""
    assert list(function.invoke_stream({"do": "echo", "n": 1})) == [b'{"do": "echo", "n": 1}']
    assert [environment.state for environment in function.environments()] == ["frozen"]


def test_a_function_that_fails_raises(function: DeployedFunction) -> None:
    """With what it says; there is no response then."""
    pieces: list[bytes] = []
    with pytest.raises(EmulatorError, match=r"failed with Unhandled: .*not today"):
        pieces.extend(function.invoke_stream({"do": "fail", "message": "not today"}))
    assert pieces == []


def test_an_unknown_function_raises(function: DeployedFunction) -> None:
    """When the first piece is asked for."""
    pieces = function.emulator.invoke_stream("nobody")
    with pytest.raises(FunctionNotFoundError):
        next(pieces)


def test_who_stops_reading_does_not_disturb_the_function(function: DeployedFunction) -> None:
    """It is there for the next."""
    pieces = function.invoke_stream({"do": "echo"})
    next(pieces)
    del pieces
    assert function.invoke({"do": "echo"}).payload == {"do": "echo"}


# -- command line ----------------------------------------------------------------------------------------------


def test_invoke_stream_prints_the_bytes(function: DeployedFunction) -> None:
    """As they are, without a line's end; the log goes to standard error."""
    endpoint = function.emulator.endpoint_url
    say = '{"do": "say", "lines": ["hello there"]}'
    done = command("invoke", "anything", "--stream", "--log", "--payload", say, "--endpoint", endpoint)
    assert (done.returncode, done.stdout) == (0, "null")
    assert "hello there" in done.stderr
    assert "REPORT RequestId" in done.stderr


def test_invoke_stream_of_a_failing_function(function: DeployedFunction) -> None:
    """Exit status 1, and the error's type."""
    endpoint = function.emulator.endpoint_url
    done = command("invoke", "anything", "--stream", "-p", '{"do": "fail", "message": "no"}', "--endpoint", endpoint)
    assert done.returncode == 1
    assert json.loads(done.stdout)["errorMessage"] == "no"
    assert done.stderr.startswith("Unhandled: ")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [(["nobody", "--stream"], "Function not found"), (["anything", "--stream", "--event"], "Leave --event or")],
)
def test_wrong_use_of_invoke_stream(function: DeployedFunction, arguments: list[str], complaint: str) -> None:
    """Exit status 2 and one message."""
    done = command("invoke", *arguments, "--endpoint", function.emulator.endpoint_url)
    assert done.returncode == 2
    assert complaint in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (b"40\r\n" + payload_chunk(b"abc")[:64], NotRunningError),
        (b"4\r\nabcd\r\n0\r\n\r\n", EmulatorError),
    ],
    ids=["breaks off", "no event stream"],
)
def test_a_response_that_breaks_off_is_an_error(sent: bytes, error: type[EmulatorError]) -> None:
    """An emulator that ends in the middle, and something that is none, are not taken for the end of a response."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + sent)

        thread = threading.Thread(target=serve)
        thread.start()
        client = Client(f"http://127.0.0.1:{listener.getsockname()[1]}")
        with pytest.raises(error):
            list(client.invoke_stream("anything", b"{}", tail=False))
        thread.join()
