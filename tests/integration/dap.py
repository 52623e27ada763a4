"""A debugger for tests: as little of the Debug Adapter Protocol as it takes to stop at a line and to look around."""

from __future__ import annotations

import itertools
import json
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

__all__ = ["Debugger"]


class Debugger:
    """A debugger that is connected to a port; leaving it disconnects.

    Arguments:
        patience: seconds in which every answer has to come.
    """

    def __init__(self, port: int, *, patience: float = 20.0) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=patience)
        self._file = self._socket.makefile("rb")
        self._numbers = itertools.count(1)
        self._heard: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def attach(self, file: Path, lines: Sequence[int], *, container: bool = False) -> None:
        """Attach as an editor does, with breakpoints in one file; in a container its folder is another one."""
        self.ask("initialize", adapterID="test", pathFormat="path", linesStartAt1=True)
        mappings = [{"localRoot": str(file.parent), "remoteRoot": "/var/task"}] if container else []
        attached = self.send("attach", justMyCode=False, pathMappings=mappings)
        self.event("initialized")
        found = self.ask("setBreakpoints", source={"path": str(file)}, breakpoints=[{"line": line} for line in lines])
        assert len(found["breakpoints"]) == len(lines)
        self.ask("configurationDone")
        self.answer(attached)

    def stopped(self) -> int:
        """Wait until it stops; answers the thread."""
        return int(self.event("stopped")["threadId"])

    def variable(self, thread: int, name: str) -> str:
        """What a local variable of the innermost frame is."""
        frame = self.ask("stackTrace", threadId=thread)["stackFrames"][0]
        scope = self.ask("scopes", frameId=frame["id"])["scopes"][0]
        found = self.ask("variables", variablesReference=scope["variablesReference"])["variables"]
        return str(next(entry["value"] for entry in found if entry["name"] == name))

    def go_on(self, thread: int) -> None:
        self.ask("continue", threadId=thread)

    def disconnect(self) -> None:
        """Go as an editor does, which leaves what it has debugged running."""
        self.ask("disconnect", terminateDebuggee=False)
        self.close()

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    # -- the protocol ------------------------------------------------------------------------------------------

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        return self.answer(self.send(command, **arguments))

    def send(self, command: str, **arguments: Any) -> int:
        number = next(self._numbers)
        body = json.dumps({"seq": number, "type": "request", "command": command, "arguments": arguments}).encode()
        self._socket.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        return number

    def answer(self, number: int) -> dict[str, Any]:
        """What was answered to a request."""
        message = self._wait(lambda found: found["type"] == "response" and found["request_seq"] == number)
        assert message["success"], message
        return dict(message.get("body") or {})

    def event(self, name: str) -> dict[str, Any]:
        """The next event of this name."""
        return dict(self._wait(lambda found: found["type"] == "event" and found["event"] == name).get("body") or {})

    def _wait(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        while (message := next(filter(wanted, self._heard), None)) is None:
            self._heard.append(self._read())
        self._heard.remove(message)
        return message

    def _read(self) -> dict[str, Any]:
        size = 0
        while line := self._file.readline().strip():
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                size = int(value)
        assert size, "the other side has closed the connection"
        return dict(json.loads(self._file.read(size)))
