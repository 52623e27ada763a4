"""Cables between real bridges and a real process with a network of its own."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from emulator.errors import SandboxError
from emulator.sandbox.engine_records import Network
from emulator.sandbox.network import BridgePort
from emulator.sandbox.visits import Host, Visitor
from emulator.sandbox.wires import Plug, Wires, bridge_of, names_can_be_looked_up, require_bridges
from tests.support import eventually, require
from tests.unit.sandbox.test_visits import OURS


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, timeout=20)


def network(number: int) -> Network:
    """A network whose bridge does not exist yet."""
    subnet = ipaddress.IPv4Network(f"198.18.{number}.0/24")
    return Network(secrets.token_hex(32), f"test-{number}", str(subnet[1]), subnet)


@dataclass
class Room:
    """Two bridges, and a process without any interface."""

    vpc: Network
    control: Network
    host: Host

    def inside(self, *command: str) -> str:
        line = ["nsenter", "--target", str(self.host.pid), "--net", *command]
        return subprocess.run(line, capture_output=True, text=True, check=True, timeout=20).stdout

    def lay(self, *plugs: Plug) -> list[BridgePort]:
        visitor = Visitor()
        wires = Wires(visitor)
        try:
            return asyncio.run(wires.lay(self.host, plugs))
        finally:
            wires.close()
            visitor.close()


@pytest.fixture
def room() -> Iterator[Room]:
    require(os.geteuid() == 0, "Only root can make a bridge.", "Run as root.")
    require(all(map(shutil.which, ("ip", "unshare", "nsenter"))), "There is no ip.", "Install iproute2, util-linux.")
    networks = network(230), network(231)
    process = subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "echo ready && exec sleep 60"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        require(process.stdout.readline() == "ready\n", "Nobody gets a network here.", "Allow CAP_SYS_ADMIN.")
        for one in networks:
            ip("link", "add", bridge_of(one), "mtu", "1400", "type", "bridge")
            ip("addr", "add", f"{one.gateway}/24", "dev", bridge_of(one))
            ip("link", "set", bridge_of(one), "up")
        yield Room(*networks, Host(OURS, process.pid))
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()
        for one in networks:
            subprocess.run(["ip", "link", "del", bridge_of(one)], capture_output=True, check=False)


def test_a_process_is_plugged_into_both_networks(room: Room) -> None:
    """Names, addresses, size of packets and the way out are as told; our ends are ports of the bridges."""
    vpc, control = Plug(room.vpc, "eth0", "198.18.230.9", True), Plug(room.control, "eth1", "198.18.231.9", False)
    ports = room.lay(vpc, control)
    for port, plug in zip(ports, (vpc, control), strict=True):
        assert Path(f"/sys/class/net/{port.name}/master").resolve().name == bridge_of(plug.network)
        shown = room.inside("ip", "addr", "show", plug.interface)
        assert f"inet {plug.address}/24" in shown
        assert "mtu 1400" in shown
        assert "state UP" in shown
        assert f"link/ether 02:42:c6:12:{'e6' if plug is vpc else 'e7'}:09" in shown
    assert room.inside("ip", "route", "show", "default").split()[:5] == [
        "default",
        "via",
        "198.18.230.1",
        "dev",
        "eth0",
    ]
    for plug in (vpc, control):
        with pytest.raises(ConnectionRefusedError):  # by the other kernel's end: nobody listens there
            socket.create_connection((plug.address, 9), timeout=5).close()


def test_a_cable_goes_with_the_process(room: Room) -> None:
    """Nobody has to remember it."""
    (port,) = room.lay(Plug(room.vpc, "eth0", "198.18.230.9", True))
    os.kill(room.host.pid, 9)
    eventually(lambda: not Path(f"/sys/class/net/{port.name}").exists(), "the end of the cable")


def test_what_the_kernel_refuses_is_an_error(room: Room) -> None:
    """The same interface twice."""
    room.lay(Plug(room.vpc, "eth0", "198.18.230.9", True))
    with pytest.raises(SandboxError, match="File exists"):
        room.lay(Plug(room.vpc, "eth0", "198.18.230.10", True))


def test_without_the_bridge_there_is_nothing_to_plug_into(room: Room) -> None:
    """The engine is elsewhere, or calls its bridges otherwise."""
    require_bridges((room.vpc, room.control))
    with pytest.raises(SandboxError, match="not to be seen"):
        require_bridges((room.vpc, network(232)))
    with pytest.raises(OSError, match=r".*"):
        room.lay(Plug(network(232), "eth0", "198.18.232.9", True))


@pytest.mark.parametrize(
    ("files", "answer"),
    [
        (["nameserver 10.0.0.2\n"], True),
        (["# nothing\noptions ndots:0\n"], True),
        ([], True),
        (["nameserver 127.0.0.53\n"], False),
        (["nameserver ::1\nnameserver 127.0.0.1\n"], False),
        (["nameserver 127.0.0.53\n", "nameserver 10.0.0.2\n"], True),
        (["nameserver\nnameserver 127.0.0.1\nnameserver 10.0.0.2"], True),
    ],
)
def test_name_servers_on_the_loopback_cannot_be_reached(tmp_path: Path, files: list[str], answer: bool) -> None:
    """Unless systemd tells the real ones in its own file, which engines read then."""
    paths = [tmp_path / str(number) for number in range(len(files) + 1)]  # and one that is not there
    for path, text in zip(paths, files, strict=False):
        path.write_text(text)
    assert names_can_be_looked_up(paths) is answer
