"""Silencing an environment's network: no packet passes, either way, while it is frozen, and none tells of its end.

On AWS a frozen machine's kernel is frozen too: it acknowledges nothing, answers no keepalive, and a close that the
other end sends is lost. A frozen container's kernel is this machine's, and lives. So a container has two networks:
``control``, over which it asks for events and which is never cut, and ``vpc`` for everything else. The means to cut
the second one, best first:

==============  ==================================================  ===========================================
``netlink``     disable its port of the bridge, directly            emulator as root on the engine's machine
``helper``      the same, by a small container in the host's        the engine's API; an image with iproute2
                network namespace
``disconnect``  the engine's disconnect and connect, which gives    the engine's API; tens of milliseconds
                the same address back
``none``        nothing: only the database relay is silent
==============  ==================================================  ===========================================

A cut answers through a callback, as a freezer does, because only the first is done inside the call.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections import deque
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Protocol

from emulator.errors import EngineError, SandboxError

__all__ = [
    "BridgePort",
    "Cut",
    "DisconnectCut",
    "FakeCut",
    "Helper",
    "HelperCut",
    "Netlink",
    "NetlinkCut",
    "NoCut",
    "OnSwitched",
    "find_bridge_port",
]

_SETLINK = 19  # RTM_SETLINK
_REQUEST_ACK = 0x01 | 0x04
_ERROR = 2  # NLMSG_ERROR; with the number 0 it is the acknowledgement
_BRIDGE_FAMILY = 7  # AF_BRIDGE
_PROTINFO_NESTED = 12 | 0x8000  # IFLA_PROTINFO
_PORT_STATE = 1  # IFLA_BRPORT_STATE
_DISABLED, _FORWARDING = 0, 3
_DEADLINE = 2.0  # seconds
_HELPER_DEADLINE = 10.0

OnSwitched = Callable[[SandboxError | None], None]


class Cut(Protocol):
    """Takes one environment off its network and puts it back, with its address and its connections."""

    name: str

    def off(self, done: OnSwitched) -> None: ...

    def on(self, done: OnSwitched) -> None: ...


class BridgePort:
    """Our end of a container's cable: the interface's number and name, and the messages that switch it."""

    def __init__(self, index: int, name: str) -> None:
        self.name = name
        self.disable = _set_port_state(index, _DISABLED)
        self.enable = _set_port_state(index, _FORWARDING)


class Netlink:
    """A conversation with this machine's network stack; switching needs CAP_NET_ADMIN where the bridge lives."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._socket.settimeout(_DEADLINE)
        self._socket.bind((0, 0))

    def ask(self, message: bytes) -> None:
        """Send one request; the kernel has its acknowledgement ready when the call returns.

        Raises:
            SandboxError: the kernel refuses.
        """
        try:
            self._socket.send(message)
            answer = self._socket.recv(4096)
        except OSError as error:
            raise SandboxError(f"the network cannot be switched: {error.strerror or error}") from error
        kind, number = struct.unpack_from("=4xH10xi", answer)
        if kind == _ERROR and number:
            raise SandboxError(f"the network cannot be switched: {os.strerror(-number)}")

    def close(self) -> None:
        self._socket.close()


class NetlinkCut:
    """Disables the bridge port: every packet is dropped, the carrier stays, and so do connections."""

    name = "netlink"

    def __init__(self, netlink: Netlink, port: BridgePort) -> None:
        self._netlink, self._port = netlink, port

    def off(self, done: OnSwitched) -> None:
        self._switch(self._port.disable, done)

    def on(self, done: OnSwitched) -> None:
        self._switch(self._port.enable, done)

    def _switch(self, message: bytes, done: OnSwitched) -> None:
        try:
            self._netlink.ask(message)
        except SandboxError as error:
            done(error)
        else:
            done(None)


class Helper:
    """The helper container's shell: it gets a command a line and answers a line with the exit status."""

    SCRIPT = 'while read -r line; do eval "$line" >/dev/null 2>&1; echo "$?"; done'

    def __init__(self, stream: socket.socket, spawn: Callable[[Coroutine[Any, Any, None]], object]) -> None:
        stream.setblocking(False)
        self._stream = stream
        self._waiting: deque[tuple[str, OnSwitched]] = deque()
        self._pending = b""
        self._text = b""
        self._asked = self._answered = 0
        self._gone = ""
        asyncio.get_running_loop().add_reader(stream, self._readable)
        self._spawn = spawn

    def run(self, command: str, done: OnSwitched) -> None:
        """Have a command run; ``done`` is called in the order of the commands."""
        if self._gone:
            done(SandboxError(self._gone))
            return
        self._waiting.append((command, done))
        self._spawn(self._send(command.encode() + b"\n"))
        self._asked += 1
        asyncio.get_running_loop().call_later(_HELPER_DEADLINE, self._expect_answer_to, self._asked)

    def _expect_answer_to(self, number: int) -> None:
        if self._answered < number and self._waiting:
            self._fail_all(f"the network helper did not answer within {_HELPER_DEADLINE:.0f} s")

    def close(self) -> None:
        with contextlib.suppress(ValueError):
            asyncio.get_running_loop().remove_reader(self._stream)
        self._stream.close()
        self._fail_all("the network helper was closed")

    async def _send(self, line: bytes) -> None:
        try:
            await asyncio.get_running_loop().sock_sendall(self._stream, line)
        except OSError as error:
            self._fail_all(f"the network helper is gone: {error.strerror}")

    def _readable(self) -> None:
        try:
            piece = self._stream.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        if not piece:
            asyncio.get_running_loop().remove_reader(self._stream)
            self._fail_all("the network helper is gone")
            return
        self._pending += piece
        # The engine frames what a container writes: one byte for the stream, three of nothing, four of length.
        while len(self._pending) >= 8 and len(self._pending) >= 8 + (length := _length(self._pending)):
            self._text += self._pending[8 : 8 + length]
            self._pending = self._pending[8 + length :]
        while b"\n" in self._text and self._waiting:  # nobody waits for what comes too late
            line, _, self._text = self._text.partition(b"\n")
            command, done = self._waiting.popleft()
            status = int(line)
            self._answered += 1
            done(SandboxError(f"the network helper failed with {status}: {command}") if status else None)

    def _fail_all(self, reason: str) -> None:
        self._gone = reason
        while self._waiting:
            self._waiting.popleft()[1](SandboxError(reason))


class HelperCut:
    """As :class:`NetlinkCut`, through the helper container."""

    name = "helper"

    def __init__(self, helper: Helper, port: str) -> None:
        self._helper, self._port = helper, port

    def off(self, done: OnSwitched) -> None:
        self._helper.run(f"bridge link set dev {self._port} state {_DISABLED}", done)

    def on(self, done: OnSwitched) -> None:
        self._helper.run(f"bridge link set dev {self._port} state {_FORWARDING}", done)


class DisconnectCut:
    """The engine's own disconnect and connect; requests run one after the other, in order."""

    name = "disconnect"

    def __init__(
        self,
        disconnect: Callable[[], Coroutine[Any, Any, None]],
        connect: Callable[[], Coroutine[Any, Any, None]],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._disconnect, self._connect, self._spawn = disconnect, connect, spawn
        self._lock = asyncio.Lock()

    def off(self, done: OnSwitched) -> None:
        self._spawn(self._run(self._disconnect, done))

    def on(self, done: OnSwitched) -> None:
        self._spawn(self._run(self._connect, done))

    async def _run(self, call: Callable[[], Coroutine[Any, Any, None]], done: OnSwitched) -> None:
        async with self._lock:
            try:
                await call()
            except EngineError as error:
                done(error)
            else:
                done(None)


class NoCut:
    """Nothing can be cut here; what the database relay does not carry goes on being answered."""

    name = "none"

    def off(self, done: OnSwitched) -> None:
        done(None)

    def on(self, done: OnSwitched) -> None:
        done(None)


class FakeCut:
    """Remembers what it was asked. With ``slow`` set, nothing is confirmed before :meth:`confirm`."""

    name = "fake"

    def __init__(self, *, slow: bool = False) -> None:
        self.slow = slow
        self.calls: list[str] = []
        self.fail_with: SandboxError | None = None
        self._waiting: list[OnSwitched] = []

    def off(self, done: OnSwitched) -> None:
        self._asked("off", done)

    def on(self, done: OnSwitched) -> None:
        self._asked("on", done)

    def confirm(self) -> None:
        """Answer everything that waits, oldest first."""
        waiting, self._waiting = self._waiting, []
        for done in waiting:
            done(self.fail_with)

    def _asked(self, what: str, done: OnSwitched) -> None:
        self.calls.append(what)
        if self.slow:
            self._waiting.append(done)
        else:
            done(self.fail_with)


def find_bridge_port(pid: int, mac: str) -> BridgePort | None:
    """Our end of the cable that a container's process sees as the interface with this hardware address.

    Looked up by address and not by name: engines number and reorder the names as they like. ``None`` where the
    container's namespaces cannot be looked into from here.
    """
    if not mac:  # a tunnel in there would have such an address
        return None
    with contextlib.suppress(OSError):
        for interface in Path(f"/proc/{pid}/root/sys/class/net").iterdir():
            if (interface / "address").read_text().strip() == mac.lower():
                index = int((interface / "iflink").read_text())
                return BridgePort(index, socket.if_indextoname(index))
    return None


def _set_port_state(index: int, state: int) -> bytes:
    attribute = struct.pack("=HHB3x", 5, _PORT_STATE, state)
    nested = struct.pack("=HH", 4 + len(attribute), _PROTINFO_NESTED) + attribute
    body = struct.pack("=BxHiII", _BRIDGE_FAMILY, 0, index, 0, 0) + nested
    return struct.pack("=IHHII", 16 + len(body), _SETLINK, _REQUEST_ACK, 1, 0) + body


def _length(frame: bytes) -> int:
    return int.from_bytes(frame[4:8], "big")
