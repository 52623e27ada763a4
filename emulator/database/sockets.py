"""From the client's address in the process list to the process at the other end, while it lives.

The server knows its client by address and port, the kernel knows the socket with that address and port by
its inode, and a process has that inode among its open files. Works for clients in this machine's network
namespace, whatever addresses they use.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from emulator.model import EnvironmentId

__all__ = ["client_end", "find_holders", "inodes_in_table"]

_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_Client = tuple[ipaddress.IPv4Address | ipaddress.IPv6Address | None, int]


def client_end(host: str) -> _Client | None:
    """Address and port of a client from the process list; ``None`` for one that came by a local socket.

    A server that looks names up writes a name in place of the address; that leaves the port.
    """
    name, _, port = host.rpartition(":")
    if not name or not port.isdecimal():
        return None
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return None, int(port)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped, int(port)
    return address, int(port)


def find_holders(
    clients: Mapping[int, str], server_port: int, candidates: Mapping[int, EnvironmentId]
) -> dict[int, EnvironmentId]:
    """Which environment holds the other end of which session.

    Arguments:
        clients: from a thread id to its client, as the process list has it.
        server_port: the port at the server's end.
        candidates: from a process id to the environment that it is part of.

    Returns:
        From a thread id to an environment, for the threads whose client is one of the candidates.
    """
    inodes: dict[int, int] = {}
    for table in _TABLES:
        with contextlib.suppress(OSError):  # a kernel without IPv6 has no table for it
            inodes.update(inodes_in_table(table.read_text(), clients, server_port))
    holders: dict[int, EnvironmentId] = {}
    for pid, environment in candidates.items():
        if len(holders) == len(inodes):
            break
        for inode in _sockets_of(pid):
            if inode in inodes:
                holders[inodes[inode]] = environment
    return holders


def inodes_in_table(table: str, clients: Mapping[int, str], server_port: int) -> dict[int, int]:
    """From socket inodes to thread ids, out of the text of ``/proc/net/tcp`` or ``tcp6``."""
    by_end: dict[str, int] = {}
    by_port: dict[str, int] = {}
    for thread, host in clients.items():
        end = client_end(host)
        if end is None:
            continue
        address, port = end
        if address is None:
            by_port[f"{port:04X}"] = thread
        for text in _spellings(address):
            by_end[f"{text}:{port:04X}"] = thread
    found = {}
    wanted_port = f":{server_port:04X}"
    for line in table.splitlines():
        # Number, our end, its end, state, queues, timer, retransmissions, user, timeout, inode.
        fields = line.split(None, 10)
        if len(fields) < 10 or not fields[2].endswith(wanted_port):
            continue
        thread_id = by_end.get(fields[1]) or by_port.get(fields[1].rpartition(":")[2])
        if thread_id is not None and fields[9] != "0":
            found[int(fields[9])] = thread_id
    return found


def _spellings(address: ipaddress.IPv4Address | ipaddress.IPv6Address | None) -> Iterator[str]:
    """How the kernel writes an address: 32 bits at a time, each as a number in this machine's byte order."""
    if address is None:
        return
    yield _words(address.packed)
    if isinstance(address, ipaddress.IPv4Address):
        # The same address at a socket that was made for IPv6.
        yield _words(bytes(10) + b"\xff\xff" + address.packed)


def _words(packed: bytes) -> str:
    words: Iterable[bytes] = (packed[start : start + 4] for start in range(0, len(packed), 4))
    return "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words)


def _sockets_of(pid: int) -> Iterator[int]:
    """Inodes of the sockets that a process has open; none for one that is gone or not ours to look into."""
    with contextlib.suppress(OSError), os.scandir(f"/proc/{pid}/fd") as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                target = os.readlink(entry.path)
                if target.startswith("socket:["):
                    yield int(target[8:-1])
