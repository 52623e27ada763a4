"""Cables from this machine's bridges to containers, laid without the engine.

An engine takes 50 to 100 ms to plug a container into two networks: it starts a program of its own for each of several
steps inside. The kernel does the same in one: a pair of interfaces, one a port of the bridge, the other inside with
the container's address. That needs to be root on the engine's machine. The bridges, and what the engine's firewall has
to say of them, stay the engine's; a cable goes with its container. Nor does the engine keep a name server for each
container then; up to 20.10 that can lock it up for good when many containers go at once (moby issue 46661).
"""

from __future__ import annotations

import ipaddress
import secrets
import socket
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from emulator.errors import SandboxError
from emulator.sandbox.engine_records import Network
from emulator.sandbox.network import BridgePort, Netlink
from emulator.sandbox.visits import Host, Visitor

__all__ = [
    "Plug",
    "Wires",
    "bridge_of",
    "default_route",
    "names_can_be_looked_up",
    "new_address",
    "new_pair",
    "require_bridges",
    "switch_on",
]

_NEWLINK, _NEWADDR, _NEWROUTE = 16, 20, 24
_REQUEST_ACK, _CREATE_EXCLUSIVE = 0x01 | 0x04, 0x400 | 0x200
_IFF_UP = 1
_INET = socket.AF_INET
_MAIN_TABLE, _BOOT, _UNIVERSE, _UNICAST = 254, 3, 0, 1
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_MASTER, _IFLA_LINKINFO, _IFLA_NET_NS_FD = 1, 3, 4, 10, 18, 28
_INFO_KIND, _INFO_DATA, _VETH_INFO_PEER = 1, 2, 1
_IFA_ADDRESS, _IFA_LOCAL, _IFA_BROADCAST = 1, 2, 4
_RTA_GATEWAY = 5
_NESTED = 0x8000
_NETWORKS = Path("/sys/class/net")
_RESOLVERS = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))


@dataclass(frozen=True, slots=True)
class Plug:
    """One end of a cable, inside: which network it leads to, as which address, and whether everything else goes there.

    ``interface`` is its name inside.
    """

    network: Network
    interface: str
    address: str
    is_way_out: bool


class Wires:
    """Lays cables; one container at a time."""

    def __init__(self, visitor: Visitor) -> None:
        self._visitor = visitor
        self._netlink = Netlink()

    async def lay(self, host: Host, plugs: Sequence[Plug]) -> list[BridgePort]:
        """Plug a running container in; our ends of the cables, in the order of the plugs.

        Raises:
            OSError: that is not allowed here.
            SandboxError: the kernel refuses, or it is no container of this machine.
        """
        return await self._visitor.do(lambda: self._lay(host, plugs))

    def close(self) -> None:
        self._netlink.close()

    def _lay(self, host: Host, plugs: Sequence[Plug]) -> list[BridgePort]:
        names = [f"lf{secrets.token_hex(6)}" for _ in plugs]
        bridges = [socket.if_nametoindex(bridge_of(plug.network)) for plug in plugs]
        mtus = [int((_NETWORKS / bridge_of(plug.network) / "mtu").read_text()) for plug in plugs]
        with self._visitor.inside(host, "net") as namespace:
            within = Netlink()  # a conversation belongs to the namespace in which it was begun
            try:
                for plug, name, bridge, mtu in zip(plugs, names, bridges, mtus, strict=True):
                    self._netlink.ask(new_pair(name, bridge, mtu, plug, namespace))
                    interface = socket.if_nametoindex(plug.interface)
                    within.ask(new_address(interface, plug))
                    within.ask(switch_on(interface))
                    if plug.is_way_out:
                        within.ask(default_route(plug.network.gateway))
            finally:
                within.close()
        return [BridgePort(socket.if_nametoindex(name), name) for name in names]


def bridge_of(network: Network) -> str:
    """The bridge of a network, as engines call it where nobody has said otherwise."""
    return f"br-{network.id[:12]}"


def names_can_be_looked_up(files: Iterable[Path] = _RESOLVERS) -> bool:
    """Whether a container that the engine has not plugged in can ask this machine's name servers.

    Its own loopback address is not this machine's; engines have a server of their own for that, in their networks.
    """
    found = []
    for file in files:
        try:
            lines = [line.split() for line in file.read_text(errors="replace").splitlines()]
        except OSError:
            continue
        found += [words[1] for words in lines if len(words) > 1 and words[0] == "nameserver"]
    return not found or any(not server.startswith("127.") and server != "::1" for server in found)


def new_pair(name: str, bridge: int, mtu: int, plug: Plug, namespace: int) -> bytes:
    """Make a cable: ``name`` here, a port of the bridge; the plug's interface in the other namespace, still off."""
    peer = _link_header(flags=0) + b"".join(
        [
            _attribute(_IFLA_IFNAME, plug.interface.encode() + b"\0"),
            _attribute(_IFLA_ADDRESS, _hardware_address(plug.address)),
            _attribute(_IFLA_MTU, struct.pack("=I", mtu)),
            _attribute(_IFLA_NET_NS_FD, struct.pack("=I", namespace)),
        ]
    )
    info = _attribute(_INFO_KIND, b"veth\0") + _attribute(
        _INFO_DATA | _NESTED, _attribute(_VETH_INFO_PEER | _NESTED, peer)
    )
    body = _link_header() + b"".join(
        [
            _attribute(_IFLA_IFNAME, name.encode() + b"\0"),
            _attribute(_IFLA_MTU, struct.pack("=I", mtu)),
            _attribute(_IFLA_MASTER, struct.pack("=I", bridge)),
            _attribute(_IFLA_LINKINFO | _NESTED, info),
        ]
    )
    return _request(_NEWLINK, body)


def new_address(interface: int, plug: Plug) -> bytes:
    """Give an interface its address."""
    subnet = plug.network.subnet
    own = ipaddress.IPv4Address(plug.address).packed
    body = struct.pack("=BBBBI", _INET, subnet.prefixlen, 0, _UNIVERSE, interface) + b"".join(
        [
            _attribute(_IFA_LOCAL, own),
            _attribute(_IFA_ADDRESS, own),
            _attribute(_IFA_BROADCAST, subnet.broadcast_address.packed),
        ]
    )
    return _request(_NEWADDR, body)


def switch_on(interface: int) -> bytes:
    """It cannot come to life switched on: the other end is made after it."""
    return _request(_NEWLINK, _link_header(interface), flags=0)


def default_route(gateway: str) -> bytes:
    """Everything that is not near goes there."""
    body = struct.pack("=BBBBBBBBI", _INET, 0, 0, 0, _MAIN_TABLE, _BOOT, _UNIVERSE, _UNICAST, 0)
    return _request(_NEWROUTE, body + _attribute(_RTA_GATEWAY, ipaddress.IPv4Address(gateway).packed))


def _hardware_address(address: str) -> bytes:
    # As engines make them: whoever gets an address again has the same one, and no neighbour remembers another.
    return b"\x02\x42" + ipaddress.IPv4Address(address).packed


def _link_header(interface: int = 0, flags: int = _IFF_UP) -> bytes:
    return struct.pack("=BxHiII", 0, 0, interface, flags, flags)


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def _request(kind: int, body: bytes, flags: int = _CREATE_EXCLUSIVE) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, _REQUEST_ACK | flags, 1, 0) + body


def require_bridges(networks: Iterable[Network]) -> None:
    """See that the engine's bridges are on this machine.

    Raises:
        SandboxError: they are not: the engine runs elsewhere, or we have a network of our own.
    """
    for network in networks:
        if not (_NETWORKS / bridge_of(network) / "bridge").is_dir():
            raise SandboxError("the engine's bridges are not to be seen from here")
