"""A debugger of Node.js for tests: as little of its inspector's protocol as it takes to stop at a line."""

from __future__ import annotations

import itertools
import json
import os
import socket
import struct
import urllib.request
from types import TracebackType
from typing import Any, Self

__all__ = ["Inspector"]

_TEXT, _LONG, _MASKED = 0x81, 126, 0x80


class Inspector:
    """A debugger that is connected to a port; leaving it disconnects."""

    def __init__(self, port: int, *, patience: float = 20.0) -> None:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=patience) as answer:
            (found,) = json.load(answer)
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=patience)
        self._file = self._socket.makefile("rb")
        self._numbers = itertools.count(1)
        self._heard: list[dict[str, Any]] = []
        self._socket.sendall(
            f"GET /{found['id']} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
        while self._file.readline().strip():
            pass
        self.ask("Debugger.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()
        self._socket.close()

    def stopped(self) -> str:
        """Wait until it stops; answers the innermost frame."""
        return str(self._wait("method", "Debugger.paused")["params"]["callFrames"][0]["callFrameId"])

    def value(self, frame: str, expression: str) -> Any:
        """What an expression is there."""
        found = self.ask("Debugger.evaluateOnCallFrame", callFrameId=frame, expression=expression, returnByValue=True)
        return found["result"]["value"]

    def go_on(self) -> None:
        self.ask("Debugger.resume")

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        text = json.dumps({"id": number, "method": method, "params": parameters}).encode()
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(text))
        self._socket.sendall(struct.pack("!BBH", _TEXT, _MASKED | _LONG, len(text)) + mask + masked)
        return dict(self._wait("id", number)["result"])

    def _wait(self, member: str, value: object) -> dict[str, Any]:
        while (message := next((found for found in self._heard if found.get(member) == value), None)) is None:
            self._heard.append(self._read())
        self._heard.remove(message)
        return message

    def _read(self) -> dict[str, Any]:
        _, size = self._file.read(2)
        if size == _LONG:
            (size,) = struct.unpack("!H", self._file.read(2))
        elif size > _LONG:
            (size,) = struct.unpack("!Q", self._file.read(8))
        return dict(json.loads(self._file.read(size)))
