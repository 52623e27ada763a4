"""The two networks of container sandboxes, how containers are plugged in, and the proof that one can be silenced.

The cables are laid from here where that can be done (:mod:`emulator.sandbox.wires`), which takes the engine out of it
and saves a third of a container's start; else the engine lays them.

What is true here is tried, not assumed (:mod:`emulator.sandbox.container_proof`).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from emulator.errors import ConfigurationError, EngineError, SandboxError
from emulator.model import NetworkReport, NetworkRung
from emulator.sandbox.base import Spawn
from emulator.sandbox.container_proof import Subject
from emulator.sandbox.engine import Engine
from emulator.sandbox.engine_records import ContainerDetails, Network
from emulator.sandbox.instance import Instance
from emulator.sandbox.lent_shell import IMAGES_OWN
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
from emulator.sandbox.visits import Host, Visitor
from emulator.sandbox.wires import Plug, Wires, names_can_be_looked_up, require_bridges

__all__ = ["Addresses", "ContainerNetwork", "Outlet"]

_HELPER_IMAGE = "lambda-freezer/nethelper:1"
_INTERFACES = "for i in /sys/class/net/*; do read a <$i/address; read n <$i/iflink; echo $a $n; done"
_FIRST_HOST = 256  # the engine hands out addresses from the beginning, to servers that run beside the functions


@dataclass(frozen=True, slots=True)
class Addresses:
    """One container's address on each of its networks."""

    control: str
    vpc: str


@dataclass(frozen=True, slots=True)
class Outlet:
    """What the engine has to know of a container's network when it makes the container.

    Attributes:
        network, address: the engine plugs it in there; ``None`` where we do.
        hostname: the container's own name, where the engine does not choose it.
        hosts: names that it has to be told, with their addresses.
    """

    network: Network | None = None
    address: str | None = None
    hostname: str | None = None
    hosts: tuple[tuple[str, str], ...] = ()


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
        self._visitor = Visitor()
        self._wires: Wires | None = None
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
        self._forget_wires()
        self._visitor.close()
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

    # -- plugging in -------------------------------------------------------------------------------------

    @property
    def lays_cables(self) -> bool:
        """Whether a container has no network until it runs and :meth:`plug_in` was called."""
        return self._wires is not None

    def outlet(self, addresses: Addresses) -> Outlet:
        """For the making of a container."""
        if self._wires is None:
            return Outlet(self.control, addresses.control)
        # As an engine calls it, which also tells it its own addresses.
        name = secrets.token_hex(6)
        return Outlet(hostname=name, hosts=((name, addresses.control), (name, addresses.vpc)))

    async def connect(self, container: str, addresses: Addresses) -> None:
        """Between the making of a container and its start: the engine's part in the second network."""
        if self._wires is None:
            await self._engine.connect(self.vpc, container, addresses.vpc)

    async def plug_in(
        self, container: str, details: ContainerDetails, addresses: Addresses, shell: Sequence[str] = IMAGES_OWN
    ) -> Cut:
        """For a container that runs: our part in both networks. Answers the means in force to cut one.

        Arguments:
            shell: the command of one inside.

        Raises:
            SandboxError: the kernel refuses, or the container has ended.
            OSError: likewise.
        """
        if self._wires is None:
            return await self.cut_for(container, details, addresses, shell)
        return self._netlink_cut(await self._lay(self._wires, details, addresses))

    async def cut_for(
        self, container: str, details: ContainerDetails, addresses: Addresses, shell: Sequence[str] = IMAGES_OWN
    ) -> Cut:
        """The means in force, for one container that runs and was plugged in by the engine."""
        return await self._make(self.report.mechanism, container, details, addresses.vpc, shell)

    async def _lay(self, wires: Wires, details: ContainerDetails, addresses: Addresses) -> BridgePort:
        plugs = (
            Plug(self.vpc, "eth0", addresses.vpc, is_way_out=True),
            Plug(self.control, "eth1", addresses.control, is_way_out=False),
        )
        port, _ = await wires.lay(Host(details.id, details.pid), plugs)
        return port

    # -- the proof ---------------------------------------------------------------------------------------

    async def prove(self, image: str) -> None:
        """Try the means, best first, and keep the first that is silent; :attr:`report` tells what was found.

        Raises:
            ConfigurationError: the wanted one does not work here.
        """
        reason = await self._prove_with_cables_of_ours(image)
        if reason is None:
            return
        rungs: list[NetworkRung] = []
        fidelity, mechanism = "none", "none"
        async with self._subject(image) as (subject, details, addresses):
            for name in ("netlink", "helper", "disconnect"):
                if self._wanted not in ("auto", name):
                    rungs.append(NetworkRung(name, False, "not wanted"))
                    continue
                rung = await self._try(name, subject, details, addresses)
                rungs.append(rung)
                if rung.available:
                    mechanism = name
                    break
            if mechanism != "none":
                cut = await self._make(mechanism, subject.container, details, addresses.vpc)
                fidelity = await subject.fidelity_at_death(cut)
        if self._wanted not in ("auto", "none") and mechanism != self._wanted:
            refusal = next(rung.reason for rung in rungs if rung.name == self._wanted)
            raise ConfigurationError(f"the network cannot be cut by {self._wanted!r}: {refusal}")
        note = "" if fidelity == "full" else "what does not go through the database relay is answered while frozen"
        if mechanism == "netlink":
            rungs[0] = NetworkRung("netlink", True, f"works here; {reason}", rungs[0].off_us, rungs[0].on_us)
        self.report = NetworkReport(fidelity, mechanism, note, tuple(rungs))

    async def _prove_with_cables_of_ours(self, image: str) -> str | None:
        """``None`` when all is well and these are used, else why the engine has to lay them."""
        if self._wanted not in ("auto", "netlink") or not self._look_inside:
            return "the engine lays the cables"
        try:
            require_bridges((self.vpc, self.control))
            if not names_can_be_looked_up():
                raise SandboxError("this machine's name server cannot be reached from a container")
            self._wires = Wires(self._visitor)
            async with self._subject(image, self._wires) as (subject, details, addresses):
                cut = self._netlink_cut(await self._lay(self._wires, details, addresses))
                await subject.connected()
                off, on = await subject.silence_and_back(cut)
                fidelity = await subject.fidelity_at_death(cut)
            if fidelity != "full":
                raise SandboxError("a death was heard")
        except (OSError, SandboxError, TimeoutError) as error:
            self._forget_wires()
            reason = error.message if isinstance(error, SandboxError) else error.strerror or "it took too long"
            return f"the engine lays the cables ({reason})"
        self.report = NetworkReport("full", "netlink", "", (NetworkRung("netlink", True, "works here", off, on),))
        return None

    @contextlib.asynccontextmanager
    async def _subject(
        self, image: str, wires: Wires | None = None
    ) -> AsyncIterator[tuple[Subject, ContainerDetails, Addresses]]:
        """A throw-away container that runs; with cables of ours it waits for its own, else it is connected."""
        subject, addresses = Subject(self._engine, self.vpc.gateway), self.next_addresses()
        try:
            await self._engine.create(
                image,
                name=subject.container,
                entrypoint=subject.entrypoint,
                network=self.vpc if wires is None else None,
                address=addresses.vpc if wires is None else None,
                network_mode="none",
                host={"read_only": True},
            )
            await self._engine.start(subject.container)
            details = await self._engine.details(subject.container)
            if wires is None:
                await subject.connected()
            yield subject, details, addresses
        finally:
            await subject.close()

    async def _try(self, name: str, subject: Subject, details: ContainerDetails, addresses: Addresses) -> NetworkRung:
        try:
            cut = await self._make(name, subject.container, details, addresses.vpc)
            if isinstance(cut, NoCut):
                return NetworkRung(name, False, _missing(name))
            return NetworkRung(name, True, "works here", *await subject.silence_and_back(cut))
        except (OSError, SandboxError, TimeoutError) as error:
            return NetworkRung(name, False, str(error) or "it took too long")

    # -- the means ---------------------------------------------------------------------------------------

    async def _make(
        self, name: str, container: str, details: ContainerDetails, address: str, shell: Sequence[str] = IMAGES_OWN
    ) -> Cut:
        match name:
            case "netlink":
                if (port := self._port(details)) is not None:
                    return self._netlink_cut(port)
            case "helper":
                if (helper := await self._start_helper()) is not None:
                    return HelperCut(helper, await self._port_name(container, details, helper, shell))
            case "disconnect":
                return DisconnectCut(
                    lambda: self._engine.disconnect(self.vpc, container),
                    lambda: self._engine.connect(self.vpc, container, address),
                    self._spawn,
                )
        return NoCut()

    def _netlink_cut(self, port: BridgePort) -> NetlinkCut:
        self._netlink = self._netlink or Netlink()
        return NetlinkCut(self._netlink, port)

    def _forget_wires(self) -> None:
        if self._wires is not None:
            self._wires.close()
            self._wires = None

    def _port(self, details: ContainerDetails) -> BridgePort | None:
        if not self._look_inside:
            return None
        return find_bridge_port(details.pid, details.hardware_addresses.get(self.vpc.name, ""))

    async def _port_name(self, container: str, details: ContainerDetails, helper: Helper, shell: Sequence[str]) -> str:
        """The name of our end of a container's cable, or of a variable of the helper's shell that holds it."""
        if (port := self._port(details)) is not None:
            return port.name
        listing = await self._engine.run_inside(container, [*shell, "-c", _INTERFACES])
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


def _missing(name: str) -> str:
    if name == "helper":
        return f"its image {_HELPER_IMAGE} is not here: build it with docker/build-images"
    return "the container's namespaces cannot be looked into from here"
