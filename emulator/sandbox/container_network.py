"""The two networks of container sandboxes, and the proof that one of them can be silenced.

What is true here is tried, not assumed: a throw-away container holds a connection to a throw-away listener, its
network is cut, spoken to, restored, cut again and killed, and the listener's own kernel tells what it heard.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from emulator.errors import ConfigurationError, EngineError, SandboxError
from emulator.model import NetworkReport, NetworkRung
from emulator.sandbox.base import Spawn
from emulator.sandbox.engine import Engine
from emulator.sandbox.engine_records import ContainerDetails, Network
from emulator.sandbox.instance import Instance
from emulator.sandbox.network import (
    BridgePort,
    Cut,
    DisconnectCut,
    Helper,
    HelperCut,
    Netlink,
    NetlinkCut,
    NoCut,
    find_bridge_port,
)

__all__ = ["Addresses", "ContainerNetwork"]

_HELPER_IMAGE = "lambda-freezer/nethelper:1"
_ECHO = "exec 3<>/dev/tcp/{}/{}; while read -r line <&3; do echo $line >&3; done"
_INTERFACES = "for i in /sys/class/net/*; do read a <$i/address; read n <$i/iflink; echo $a $n; done"
_SILENCE = 0.06  # seconds in which a living kernel would have acknowledged
_PATIENCE = 5.0
_FIRST_HOST = 256  # the engine hands out addresses from the beginning, to servers that run beside the functions


@dataclass(frozen=True, slots=True)
class Addresses:
    """One container's address on each of its networks."""

    control: str
    vpc: str


class ContainerNetwork:
    """Both networks of all containers of an emulator.

    Arguments:
        wanted: the means to cut with (``netlink``, ``helper``, ``disconnect``, ``none``), or ``auto`` for the best.
        look_inside: whether to look into containers' namespaces from here, which needs to be root on the engine's
            machine; where it cannot be, they are asked through the engine.
    """

    def __init__(
        self, instance: Instance, engine: Engine, spawn: Spawn, *, wanted: str = "auto", look_inside: bool = True
    ) -> None:
        self._instance, self._engine, self._spawn, self._wanted = instance, engine, spawn, wanted
        self._look_inside = look_inside
        self._control: Network | None = None
        self._vpc: Network | None = None
        self._hosts = itertools.count(_FIRST_HOST)
        self._netlink: Netlink | None = None
        self._helper: Helper | None = None
        self._helper_container = ""
        self.report = NetworkReport("none", "none", "not tried yet: it is with the first function", ())

    async def __aenter__(self) -> Self:
        name = f"lambda-freezer-{self._instance.id}"
        self._vpc, self._control = await asyncio.gather(
            self._engine.create_network(f"{name}-vpc"), self._engine.create_network(f"{name}-control", internal=True)
        )
        self._engine.network = self._vpc
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._netlink is not None:
            self._netlink.close()
        if self._helper is not None:
            self._helper.close()
        with contextlib.suppress(EngineError):
            if self._helper_container:
                await self._engine.remove(self._helper_container)
            await asyncio.gather(*(self._engine.remove_network(n) for n in (self._vpc, self._control) if n))

    @property
    def control(self) -> Network:
        assert self._control is not None, "the networks are used before they were made"
        return self._control

    @property
    def vpc(self) -> Network:
        assert self._vpc is not None, "the networks are used before they were made"
        return self._vpc

    def next_addresses(self) -> Addresses:
        """Round the whole subnet before an address comes again.

        The kernel of a new container would answer for an old one that a server still remembers, and end what is
        meant to stay: so whoever remembers an address must have forgotten it first.
        """
        while True:
            host = next(self._hosts) % self.vpc.subnet.num_addresses
            if host >= _FIRST_HOST and host & 0xFF not in (0, 255):
                return Addresses(str(self.control.subnet[host]), str(self.vpc.subnet[host]))

    async def cut_for(self, container: str, details: ContainerDetails, addresses: Addresses) -> Cut:
        """The means in force, for one container that runs."""
        return await self._make(self.report.mechanism, container, details, addresses.vpc)

    async def prove(self, image: str) -> None:
        """Try the means, best first, and keep the first that is silent; :attr:`report` tells what was found.

        Raises:
            ConfigurationError: the wanted one does not work here.
        """
        rungs: list[NetworkRung] = []
        fidelity, mechanism = "none", "none"
        async with _Subject(self._engine, self, image) as subject:
            for name in ("netlink", "helper", "disconnect"):
                if self._wanted not in ("auto", name):
                    rungs.append(NetworkRung(name, False, "not wanted"))
                    continue
                rung = await self._try(name, subject)
                rungs.append(rung)
                if rung.available:
                    mechanism = name
                    break
            if mechanism != "none":
                cut = await self._make(mechanism, subject.container, subject.details, subject.address)
                fidelity = await subject.fidelity_at_death(cut)
        if self._wanted not in ("auto", "none") and mechanism != self._wanted:
            reason = next(rung.reason for rung in rungs if rung.name == self._wanted)
            raise ConfigurationError(f"the network cannot be cut by {self._wanted!r}: {reason}")
        note = "" if fidelity == "full" else "what does not go through the database relay is answered while frozen"
        self.report = NetworkReport(fidelity, mechanism, note, tuple(rungs))

    async def _try(self, name: str, subject: _Subject) -> NetworkRung:
        try:
            cut = await self._make(name, subject.container, subject.details, subject.address)
            if isinstance(cut, NoCut):
                return NetworkRung(name, False, _missing(name))
            return NetworkRung(name, True, "works here", *await subject.silence_and_back(cut))
        except (OSError, SandboxError, TimeoutError) as error:
            return NetworkRung(name, False, str(error) or "it took too long")

    async def _make(self, name: str, container: str, details: ContainerDetails, address: str) -> Cut:
        match name:
            case "netlink":
                if (port := self._port(details)) is not None:
                    self._netlink = self._netlink or Netlink()
                    return NetlinkCut(self._netlink, port)
            case "helper":
                if (helper := await self._start_helper()) is not None:
                    return HelperCut(helper, await self._port_name(container, details, helper))
            case "disconnect":
                return DisconnectCut(
                    lambda: self._engine.disconnect(self.vpc, container),
                    lambda: self._engine.connect(self.vpc, container, address),
                    self._spawn,
                )
        return NoCut()

    def _port(self, details: ContainerDetails) -> BridgePort | None:
        if not self._look_inside:
            return None
        return find_bridge_port(details.pid, details.hardware_addresses.get(self.vpc.name, ""))

    async def _port_name(self, container: str, details: ContainerDetails, helper: Helper) -> str:
        """The name of our end of a container's cable, or of a variable of the helper's shell that holds it."""
        if (port := self._port(details)) is not None:
            return port.name
        listing = await self._engine.run_inside(container, ["/bin/sh", "-c", _INTERFACES])
        mac = details.hardware_addresses.get(self.vpc.name, "")
        number = next((line.split()[1] for line in listing.splitlines() if line.startswith(f"{mac} ")), None)
        if number is None or not number.isdigit():
            raise SandboxError(f"a container did not tell its interfaces: {listing.strip() or 'it has no shell'}")
        found: asyncio.Future[SandboxError | None] = asyncio.get_running_loop().create_future()
        variable = f"port{number}"
        helper.run(
            f'{variable}=$(grep -lx {number} /sys/class/net/*/ifindex | cut -d/ -f5); test -n "${variable}"',
            found.set_result,
        )
        if (error := await found) is not None:
            raise error
        return f"${variable}"

    async def _start_helper(self) -> Helper | None:
        if self._helper is None and await self._engine.has_image(_HELPER_IMAGE):
            self._helper_container = await self._engine.create(
                _HELPER_IMAGE,
                command=["sh", "-c", Helper.SCRIPT],
                network_mode="host",
                keep_input=True,
                host={"cap_drop": ["ALL"], "cap_add": ["NET_ADMIN"], "read_only": True},
            )
            stream = await self._engine.attach_input(self._helper_container)
            await self._engine.start(self._helper_container)
            self._helper = Helper(stream, self._spawn)
        return self._helper


class _Subject:
    """The throw-away container of the proof, with one open connection to us."""

    def __init__(self, engine: Engine, network: ContainerNetwork, image: str) -> None:
        self._engine, self._network, self._image = engine, network, image
        self.container = ""
        self.address = network.next_addresses().vpc
        self._listener = socket.create_server((network.vpc.gateway, 0))
        self._listener.setblocking(False)
        self._connection = self._listener

    async def __aenter__(self) -> Self:
        gateway, port = self._listener.getsockname()[:2]
        self.container = self._engine.new_name()
        try:
            await self._engine.create(
                self._image,
                name=self.container,
                entrypoint=["bash", "-c", _ECHO.format(gateway, port)],
                network=self._network.vpc,
                address=self.address,
                host={"read_only": True},
            )
            await self._engine.start(self.container)
            self.details = await self._engine.details(self.container)
            async with asyncio.timeout(_PATIENCE):
                self._connection, _ = await asyncio.get_running_loop().sock_accept(self._listener)
        except TimeoutError as error:
            await self._close()
            raise SandboxError(
                "a container cannot reach this machine",
                cure="Does a firewall drop what comes from the engine's bridges?",
            ) from error
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._close()

    async def silence_and_back(self, cut: Cut) -> tuple[float, float]:
        """Cut it and restore it; answers how long each took, in microseconds.

        Raises:
            SandboxError: it was not silent, or did not come back.
        """
        await self._speak(b"before\n")
        off = await _timed(cut.off)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self._connection, b"while cut\n")
        await asyncio.sleep(_SILENCE)  # not waiting for anything: this is the span in which it must be silent
        silent = self._unacknowledged() > 0
        on = await _timed(cut.on)
        await self._hear(b"while cut\n")
        if not silent:
            raise SandboxError("a container that was cut still acknowledged what was sent to it")
        return off, on

    async def fidelity_at_death(self, cut: Cut) -> str:
        """Kill it while it is cut, and listen."""
        await _timed(cut.off)
        await self._engine.remove(self.container)
        self.container = ""
        try:
            async with asyncio.timeout(_SILENCE):
                await asyncio.get_running_loop().sock_recv(self._connection, 1)
        except TimeoutError:
            return "full"
        except OSError:
            pass
        return "none"

    async def _speak(self, line: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self._connection, line)
        await self._hear(line)

    async def _hear(self, line: bytes) -> None:
        heard = b""
        try:
            async with asyncio.timeout(_PATIENCE):
                while len(heard) < len(line):
                    heard += await asyncio.get_running_loop().sock_recv(self._connection, 100)
        except TimeoutError as error:
            raise SandboxError("a container that was cut did not come back") from error

    def _unacknowledged(self) -> int:
        """Segments that the other kernel has not acknowledged, by our own kernel's account (``tcp_info``)."""
        info = self._connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
        return int(struct.unpack_from("I", info, 24)[0])

    async def _close(self) -> None:
        self._connection.close()
        self._listener.close()
        if self.container:
            await self._engine.remove(self.container)


async def _timed(switch: Callable[[Callable[[SandboxError | None], None]], None]) -> float:
    """Switch and wait for the answer; how long it took, in microseconds."""
    answered: asyncio.Future[SandboxError | None] = asyncio.get_running_loop().create_future()
    begin = time.perf_counter()
    switch(answered.set_result)
    async with asyncio.timeout(_PATIENCE):
        error = await answered
    if error is not None:
        raise error
    return (time.perf_counter() - begin) * 1e6


def _missing(name: str) -> str:
    if name == "helper":
        return f"its image {_HELPER_IMAGE} is not here: build it with docker/build-images"
    return "the container's namespaces cannot be looked into from here"
