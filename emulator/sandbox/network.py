"""Silencing an environment's network: every packet of its bridge port is dropped, both ways, while it is frozen.

On AWS a frozen machine's kernel is frozen too: it acknowledges nothing, answers no keepalive, and a close that the
other end sends is lost. A frozen container's kernel is this machine's, and lives. The port of the bridge to which
the container is plugged can be disabled, which is just as silent, leaves the carrier up, and takes microseconds.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from pathlib import Path
from typing import Protocol

from emulator.errors import SandboxError

__all__ = ["BridgePortCut", "Netlink", "NetworkCut", "peer_interface"]

_SETLINK = 19  # RTM_SETLINK
_REQUEST_ACK = 0x01 | 0x04
_ERROR = 2  # NLMSG_ERROR; with the number 0 it is the acknowledgement
_PROTINFO_NESTED = 12 | 0x8000  # IFLA_PROTINFO
_PORT_STATE = 1  # IFLA_BRPORT_STATE
_DISABLED, _FORWARDING = 0, 3
_DEADLINE = 2.0  # seconds


class NetworkCut(Protocol):
    """Takes an environment off its network and puts it back, with its address and its connections."""

    name: str

    def off(self) -> None: ...

    def on(self) -> None: ...


class Netlink:
    """A conversation with this machine's network stack; needs CAP_NET_ADMIN where the bridge lives."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._socket.settimeout(_DEADLINE)
        self._socket.bind((0, 0))

    def ask(self, message: bytes) -> None:
        """Send one request and wait for its acknowledgement, which the kernel has ready when the call returns.

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


class BridgePortCut:
    """Disables the bridge port with this interface number, over netlink."""

    name = "bridge-port"

    def __init__(self, netlink: Netlink, interface: int) -> None:
        self._netlink = netlink
        self._off = _set_port_state(interface, _DISABLED)
        self._on = _set_port_state(interface, _FORWARDING)

    def off(self) -> None:
        self._netlink.ask(self._off)

    def on(self) -> None:
        self._netlink.ask(self._on)


def peer_interface(pid: int, mac: str) -> int | None:
    """The number, on our side, of the interface that a container's process sees under this hardware address.

    Looked up by address and not by name: engines number and reorder the names as they like.
    """
    with contextlib.suppress(OSError):
        for interface in Path(f"/proc/{pid}/root/sys/class/net").iterdir():
            if (interface / "address").read_text().strip() == mac.lower():
                return int((interface / "iflink").read_text())
    return None


def _set_port_state(interface: int, state: int) -> bytes:
    attribute = struct.pack("=HHB3x", 5, _PORT_STATE, state)
    nested = struct.pack("=HH", 4 + len(attribute), _PROTINFO_NESTED) + attribute
    body = struct.pack("=BxHiII", socket.AF_BRIDGE if hasattr(socket, "AF_BRIDGE") else 7, 0, interface, 0, 0) + nested
    return struct.pack("=IHHII", 16 + len(body), _SETLINK, _REQUEST_ACK, 1, 0) + body
