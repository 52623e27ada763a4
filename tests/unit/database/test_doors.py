"""Doors to the database: who is let in where, with real sockets; loopback addresses stand for containers."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

import pytest

from emulator.clock import FakeClock
from emulator.database.doors import ContainerDoor, ProcessDoor
from emulator.database.relay import Relay
from emulator.database.relay_records import RelayEvent
from emulator.database.relays import Relays
from emulator.errors import AddressInUseError
from emulator.model import EnvironmentId, Reclaim, RequestId
from tests.support import in_loop

DEADLINE = 30.0
ONE, TWO = EnvironmentId("one"), EnvironmentId("two")
_numbers = itertools.count(1)


def an_address() -> str:
    """A loopback address that nobody else uses in this run, nor in another one beside it."""
    return f"127.{100 + os.getpid() % 100}.{os.getpid() // 100 % 250}.{next(_numbers)}"


def coordinates(host: str = "127.0.0.1", port: int = 3307) -> dict[str, str]:
    return {"DB_HOST": host, "DB_PORT": str(port), "DB_USER": "lambda", "DB_PASSWORD": "secret", "DB_NAME": "lambda"}


@dataclass
class Scene:
    """A listener that stands for the server, and relays to it."""

    listener: socket.socket
    relays: Relays
    sockets: contextlib.ExitStack
    relay_stack: contextlib.AsyncExitStack
    events: list[RelayEvent] = field(default_factory=list)

    async def connect(self, address: tuple[str, int], source: str | None = None) -> socket.socket:
        client = self.sockets.enter_context(socket.socket())
        client.setblocking(False)
        if source is not None:
            client.bind((source, 0))
        async with asyncio.timeout(DEADLINE):
            await asyncio.get_running_loop().sock_connect(client, address)
        return client

    async def reached(self) -> socket.socket:
        """The server's end of the next connection."""
        async with asyncio.timeout(DEADLINE):
            server, _ = await asyncio.get_running_loop().sock_accept(self.listener)
        server.setblocking(False)
        return self.sockets.enter_context(server)

    async def enter(self, relay: Relay) -> Relay:
        return await self.relay_stack.enter_async_context(relay)


@contextlib.asynccontextmanager
async def playing() -> AsyncIterator[Scene]:
    events: list[RelayEvent] = []
    with contextlib.ExitStack() as sockets:
        listener = sockets.enter_context(socket.create_server(("127.0.0.1", 0)))
        listener.setblocking(False)
        async with (
            Relays(listener.getsockname(), clock=FakeClock(), on_event=events.append) as relays,
            contextlib.AsyncExitStack() as stack,
        ):
            yield Scene(listener, relays, sockets, stack, events)


@contextlib.asynccontextmanager
async def containers(scene: Scene) -> AsyncIterator[tuple[ContainerDoor, tuple[str, int]]]:
    """A door for containers, and where it is; the database has a name, so that it has a port of its own."""
    gateway = an_address()
    with socket.create_server((gateway, 0)) as probe:
        port: int = probe.getsockname()[1]
    async with ContainerDoor(scene.relays, coordinates("database.test", port), gateway) as door:
        yield door, (gateway, port)
        await scene.relay_stack.aclose()


async def speaks(client: socket.socket, server: socket.socket, word: bytes) -> None:
    """Both directions carry what was said."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(DEADLINE):
        await loop.sock_sendall(client, word)
        assert await loop.sock_recv(server, 100) == word
        await loop.sock_sendall(server, word[::-1])
        assert await loop.sock_recv(client, 100) == word[::-1]


async def is_turned_away(client: socket.socket) -> bool:
    async with asyncio.timeout(DEADLINE):
        try:
            return await asyncio.get_running_loop().sock_recv(client, 1) == b""
        except ConnectionResetError:
            return True


# -- processes -------------------------------------------------------------------------------------------


@in_loop
async def test_each_process_is_told_an_address_of_its_own() -> None:
    """In place of the database's; everything else is the database's own."""
    async with playing() as scene:
        door = ProcessDoor(scene.relays, coordinates())
        relays = [await scene.enter(door.open(name, lambda: None)) for name in (ONE, TWO)]
        told = [door.variables(relay) for relay in relays]
        assert len({variables["DB_HOST"] for variables in told}) == 2
        for relay, variables in zip(relays, told, strict=True):
            assert (variables["DB_HOST"], int(variables["DB_PORT"])) == relay.address
            assert variables["DB_HOST"].startswith("127.77.")
            assert variables | {"DB_HOST": "", "DB_PORT": ""} == coordinates() | {"DB_HOST": "", "DB_PORT": ""}


@in_loop
async def test_the_server_sees_an_address_for_each_process() -> None:
    """The one that the process was told, so that the server's own list tells them apart."""
    async with playing() as scene:
        door = ProcessDoor(scene.relays, coordinates())
        for name in (ONE, TWO):
            relay = await scene.enter(door.open(name, lambda: RequestId("r")))
            client = await scene.connect(relay.address)
            server = await scene.reached()
            await speaks(client, server, name.encode())
            source = server.getpeername()
            assert source[0] == relay.address[0]
            assert scene.relays.owner_of(source) == name
            found = scene.relays.find(source)
            assert found is not None
            assert found.request_id == "r"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "localhost", "10.1.2.3", "database.test", "::1"])
def test_only_a_server_on_this_machine_is_dialled_from_a_loopback_address(host: str) -> None:
    """From anywhere else no answer would find its way back; IPv6 has one loopback address only."""

    @in_loop
    async def play() -> None:
        async with playing() as scene:
            here = host == "localhost" or host.startswith("127.")
            relay = await scene.enter(ProcessDoor(scene.relays, coordinates(host)).open(ONE, lambda: None))
            assert relay.source == (relay.address[0] if here else None)
            behind_bridge = ContainerDoor(scene.relays, coordinates(host), "127.0.0.1").open(ONE, lambda: None)
            assert (behind_bridge.source is not None) == here

    play()


@in_loop
async def test_a_process_needs_no_admission() -> None:
    """It has a listener of its own, whoever connects to it; dismissed or not."""
    async with playing() as scene:
        door = ProcessDoor(scene.relays, coordinates())
        relay = await scene.enter(door.open(ONE, lambda: None))
        await speaks(await scene.connect(relay.address), await scene.reached(), b"before")
        door.admit("127.1.0.1", relay)
        door.dismiss("127.1.0.1")
        await speaks(await scene.connect(relay.address), await scene.reached(), b"after")


@in_loop
async def test_addresses_of_processes_are_used_in_turn() -> None:
    """All of 127.77.0.0/16 but its ends, before one comes again; and never two at once among so many."""
    async with playing() as scene:
        door = ContainerDoor(scene.relays, coordinates(), "127.0.0.1")
        sources = [door.open(ONE, lambda: None).source for _ in range(0xFFFE)]
        assert len(set(sources)) == 0xFFFE
        assert not {"127.77.0.0", "127.77.255.255"} & set(sources)
        assert door.open(ONE, lambda: None).source == sources[0]


# -- containers ------------------------------------------------------------------------------------------


@in_loop
async def test_each_container_gets_to_its_own_relay() -> None:
    """By the address it comes from, though all knock at the same door."""
    async with playing() as scene, containers(scene) as (door, place):
        addresses = {name: an_address() for name in (ONE, TWO)}
        for name, address in addresses.items():
            door.admit(address, await scene.enter(door.open(name, lambda: None)))
        for name, address in [*addresses.items(), *addresses.items()]:
            client = await scene.connect(place, address)
            server = await scene.reached()
            await speaks(client, server, name.encode())
            assert scene.relays.owner_of(server.getpeername()) == name
        assert [connection.environment for connection in scene.relays.connections()] == [ONE, ONE, TWO, TWO]


@in_loop
async def test_strangers_are_turned_away() -> None:
    """Before the server hears of them, whoever else is let in."""
    async with playing() as scene, containers(scene) as (door, place):
        address = an_address()
        door.admit(address, await scene.enter(door.open(ONE, lambda: None)))
        assert await is_turned_away(await scene.connect(place, an_address()))
        await speaks(await scene.connect(place, address), await scene.reached(), b"friend")
        assert [event.connection.environment for event in scene.events] == [ONE]


@in_loop
async def test_whoever_was_dismissed_is_a_stranger() -> None:
    """What it had open goes on, as zombies must; a second dismissal, or that of a stranger, is fine."""
    async with playing() as scene, containers(scene) as (door, place):
        address = an_address()
        door.admit(address, await scene.enter(door.open(ONE, lambda: None)))
        client, server = await scene.connect(place, address), await scene.reached()
        for gone in (address, address, an_address()):
            door.dismiss(gone)
        assert await is_turned_away(await scene.connect(place, address))
        await speaks(client, server, b"still here")


@in_loop
async def test_an_address_belongs_to_whom_it_was_given_last() -> None:
    """A new container may get it one day; the old one's connections stay the old one's."""
    async with playing() as scene, containers(scene) as (door, place):
        address = an_address()
        for name in (ONE, TWO):
            door.admit(address, await scene.enter(door.open(name, lambda: None)))
            client = await scene.connect(place, address)
            await speaks(client, await scene.reached(), name.encode())
        assert [connection.environment for connection in scene.relays.connections()] == [ONE, TWO]


@in_loop
async def test_a_container_whose_environment_is_gone_is_turned_away() -> None:
    """A connection that was on its way when its environment ended finds nobody; the zombie stays."""
    async with playing() as scene, containers(scene) as (door, place):
        address = an_address()
        relay = await scene.enter(door.open(ONE, lambda: None))
        door.admit(address, relay)
        client, server = await scene.connect(place, address), await scene.reached()
        await speaks(client, server, b"x")
        relay.reclaim(Reclaim.SILENT)
        assert await is_turned_away(await scene.connect(place, address))
        assert len(scene.relays.connections()) == 1


@in_loop
async def test_a_frozen_container_s_connection_waits_at_the_door() -> None:
    """The relay's silence is the same behind a door for all as behind a listener of its own."""
    async with playing() as scene, containers(scene) as (door, place):
        address = an_address()
        relay = await scene.enter(door.open(ONE, lambda: None))
        door.admit(address, relay)
        relay.freeze()
        client = await scene.connect(place, address)
        async with asyncio.timeout(DEADLINE):
            while not scene.relays.connections():
                await asyncio.sleep(0)
        assert scene.events == []
        relay.thaw()
        await speaks(client, await scene.reached(), b"good morning")


@pytest.mark.parametrize(
    ("host", "port", "name", "told_port"),
    [
        ("127.0.0.1", 40123, "mysql", "3306"),
        ("10.1.2.3", 3310, "mysql", "3306"),
        ("localhost", 3310, "mysql", "3306"),
        ("db", 3306, "db", "3306"),
        ("orders.cluster-x.eu-west-1.rds.amazonaws.com", 3310, "orders.cluster-x.eu-west-1.rds.amazonaws.com", "3310"),
    ],
)
def test_containers_keep_the_name_and_the_port_of_their_database(
    host: str, port: int, name: str, told_port: str
) -> None:
    """So certificates fit and code needs no change; one without a name is called mysql, at the usual port."""

    @in_loop
    async def play() -> None:
        async with playing() as scene:
            door = ContainerDoor(scene.relays, coordinates(host, port), "172.28.0.1")
            told: Mapping[str, str] = door.variables(door.open(ONE, lambda: None))
            assert told == coordinates(host, port) | {"DB_HOST": name, "DB_PORT": told_port}
            assert door.hosts == {name: "172.28.0.1"}

    play()


@in_loop
async def test_a_door_that_is_taken_is_an_error_with_its_cure() -> None:
    """Address, port and reason; nothing is left behind."""
    async with playing() as scene:
        gateway = an_address()
        with socket.create_server((gateway, 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(AddressInUseError, match=f"cannot listen on {gateway}:{port}") as caught:
                await ContainerDoor(scene.relays, coordinates("database.test", port), gateway).__aenter__()
        assert caught.value.cure


@in_loop
async def test_a_door_that_was_left_is_closed() -> None:
    """Nobody listens there any more."""
    async with playing() as scene:
        async with containers(scene) as (_, place):
            pass
        with pytest.raises(ConnectionRefusedError):
            await scene.connect(place)
