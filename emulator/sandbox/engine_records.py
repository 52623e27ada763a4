"""What is known of the container engine's things: images, containers, networks. No call is made here."""

from __future__ import annotations

import ipaddress
import random
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import psutil

__all__ = ["ContainerDetails", "ImageDetails", "Network", "ServerContainer", "free_subnets"]


@dataclass(frozen=True, slots=True)
class ImageDetails:
    """What we need to know of an image. ``variables`` are those that its containers have, ``folder`` where they work.

    ``architecture`` is the engine's word for the machine that it is made for.
    """

    id: str
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    labels: Mapping[str, str]
    variables: Mapping[str, str] = field(default_factory=dict)
    folder: str = ""
    architecture: str = ""


@dataclass(frozen=True, slots=True)
class ContainerDetails:
    """The state of a container: the host's number of its first process, and when that began (epoch seconds).

    ``hardware_addresses`` tells the MAC address on each network, by the network's name.
    """

    id: str
    pid: int
    started_at: float
    running: bool
    exit_code: int
    out_of_memory: bool
    hardware_addresses: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Network:
    """A bridge network; ``gateway`` is this machine's own address on it."""

    id: str
    name: str
    gateway: str
    subnet: ipaddress.IPv4Network


@dataclass(frozen=True, slots=True)
class ServerContainer:
    """A server that runs in a container; reachable at both addresses."""

    id: str
    address: str
    host_port: int


def free_subnets() -> Iterator[ipaddress.IPv4Network]:
    """Private /16 networks that none of this machine's interfaces is in, in a random order.

    Random, because two emulators that start together would otherwise ask for the same ones in turn.
    """
    taken = [
        ipaddress.IPv4Network(f"{address.address}/{address.netmask}", strict=False)
        for addresses in psutil.net_if_addrs().values()
        for address in addresses
        if address.family == socket.AF_INET and address.netmask
    ]
    numbers = list(range(64, 256))
    random.SystemRandom().shuffle(numbers)
    for number in numbers:
        subnet = ipaddress.IPv4Network(f"10.{number}.0.0/16")
        if not any(subnet.overlaps(other) for other in taken):
            yield subnet
