"""The command line's own way to a running emulator."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import quote, urlsplit

from emulator.api.event_stream import Event, read_event
from emulator.errors import ConfigurationError, EmulatorError, NotRunningError

__all__ = ["Client", "Message", "Response", "read_messages"]

_PATIENCE = 1000.0  # seconds; an invocation may take 900
_PIECE = 1 << 16  # bytes
_CURES = {"ResourceNotFoundException": "lambda-freezer up names its functions when it starts."}


@dataclass(frozen=True, slots=True)
class Response:
    """Status, headers (names in lower case) and body of an answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body) if self.body else None

    def check_invocation(self) -> None:
        """Nothing, where the function was invoked.

        Raises:
            EmulatorError: the API has refused that.
        """
        if self.status >= 400:
            found = self.json()
            message = found.get("Message") or found.get("message") or ""
            code = self.headers.get("x-amzn-errortype", str(self.status))
            raise EmulatorError(f"{code}: {message}", cure=_CURES.get(code, ""))


@dataclass(frozen=True, slots=True)
class Message:
    """One server-sent event; ``event`` is ``message`` where the server does not say another word."""

    event: str
    data: str
    id: str


def read_messages(pieces: Iterable[bytes]) -> Iterator[Message]:
    """The server-sent events of a stream that comes in any pieces; comments are left out.

    Only the parts of the format that the emulator writes: lines end with a line feed.
    """
    rest, members, last_id = b"", dict[str, str](), ""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if line:
                name, _, value = line.decode("utf-8", "replace").partition(":")
                members[name] = value.removeprefix(" ")
                continue
            last_id = members.get("id", last_id)
            if "data" in members:
                yield Message(members.get("event", "message"), members["data"], last_id)
            members = {}


class Client:
    """Talks to the emulator at ``endpoint``, such as ``http://127.0.0.1:3001``."""

    def __init__(self, endpoint: str) -> None:
        try:
            parts = urlsplit(endpoint)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if parts.scheme != "http" or not parts.hostname or port == 0:
            raise ConfigurationError(
                f"{endpoint!r} is not an emulator's address", cure="It looks like http://127.0.0.1:3001"
            )
        self._endpoint = endpoint
        self._host, self._port = parts.hostname, 80 if port is None else port

    def get(self, path: str) -> Any:
        """The JSON behind an inspection path.

        Raises:
            NotRunningError: nothing answers there.
            EmulatorError: the emulator's own complaint.
        """
        return self._inspect("GET", path)

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """As :meth:`get`, with a JSON body."""
        return self._inspect("POST", path, json.dumps(body or {}).encode())

    def stream(self, path: str) -> Iterator[bytes]:
        """What is behind an inspection path, in pieces as they come, for as long as it takes.

        Raises:
            NotRunningError: nothing answers there, or no longer.
            EmulatorError: the emulator's own complaint.
        """
        with self._asked("GET", path, endless=True) as answer:
            if answer.status >= 400:
                _complain(_whole(answer))
            while piece := answer.read1(_PIECE):
                yield piece

    def messages(self, path: str) -> Iterator[Message]:
        """As :meth:`stream`, for server-sent events."""
        return read_messages(self.stream(path))

    def invoke(self, function: str, payload: bytes, *, kind: str, tail: bool) -> Response:
        headers = {"X-Amz-Invocation-Type": kind, "X-Amz-Log-Type": "Tail" if tail else "None"}
        return self._send("POST", f"/2015-03-31/functions/{quote(function, safe='')}/invocations", payload, headers)

    def invoke_stream(self, function: str, payload: bytes, *, tail: bool) -> Iterator[Event]:
        """Pieces of the response as they come (``PayloadChunk``), then how it went (``InvokeComplete``, JSON).

        Raises:
            NotRunningError: nothing answers there, or not to the end.
            EmulatorError: the API's complaint.
        """
        path = f"/2021-11-15/functions/{quote(function, safe='')}/response-streaming-invocations"
        with self._asked("POST", path, payload, {"X-Amz-Log-Type": "Tail" if tail else "None"}) as answer:
            if answer.status != 200:
                _whole(answer).check_invocation()
            try:
                while (event := read_event(answer.read)) is not None:
                    yield event
            except ValueError as error:
                raise EmulatorError(f"the response cannot be read: {error}") from error

    def _inspect(self, method: str, path: str, body: bytes | None = None) -> Any:
        response = self._send(method, path, body, {"Content-Type": "application/json"} if body is not None else {})
        if response.status >= 400:
            _complain(response)
        return response.json()

    def _send(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Response:
        with self._asked(method, path, body, headers) as answer:
            return _whole(answer)

    @contextlib.contextmanager
    def _asked(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        endless: bool = False,
    ) -> Iterator[http.client.HTTPResponse]:
        """The answer, to be read inside; ``endless``: nobody knows when the next piece of it will come."""
        connection = http.client.HTTPConnection(self._host, self._port, timeout=_PATIENCE)
        try:
            connection.connect()
        except OSError as error:
            raise self._not_running(error) from error
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            if endless and connection.sock is not None:
                connection.sock.settimeout(None)
            yield answer
        except (ConnectionError, http.client.IncompleteRead) as error:
            raise NotRunningError(
                f"the emulator at {self._endpoint} has gone away", cure="What it printed last may say why."
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise self._not_running(error) from error
        finally:
            connection.close()

    def _not_running(self, error: Exception) -> NotRunningError:
        why = getattr(error, "strerror", None) or error or type(error).__name__
        return NotRunningError(
            f"no emulator answers at {self._endpoint}: {why}",
            cure="Start one with: lambda-freezer up (or name another with --endpoint).",
        )


def _complain(response: Response) -> NoReturn:
    found = response.json()
    if "detail" in found:  # the form in which the framework refuses a body
        where = "; ".join(f"{problem['loc'][-1]}: {problem['msg']}" for problem in found["detail"])
        raise EmulatorError(where)
    raise EmulatorError(found.get("error", f"status {response.status}"), cure=found.get("cure", ""))


def _whole(answer: http.client.HTTPResponse) -> Response:
    return Response(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
