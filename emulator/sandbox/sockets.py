"""Whose socket is that: from the two ends of a TCP connection to the process that holds it."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
import struct
from collections.abc import Iterable
from pathlib import Path

__all__ = ["holder_of_socket", "inode_of_connection"]

_SOCK_DIAG, _BY_FAMILY, _REQUEST, _HEADER = 4, 20, 1, 16
_ALL_STATES = 0xFFFF_FFFF
_MAPPED = "0000000000000000FFFF0000"  # before an address of IPv4 in the kernel's table of IPv6
_ANY_SOCKET = struct.pack("=III", 0, 0xFFFF_FFFF, 0xFFFF_FFFF)  # on any device, whatever its number


def inode_of_connection(local: tuple[str, int], remote: tuple[str, int]) -> int | None:
    """The kernel's number for the socket with these two ends, as its holder sees them; IPv4.

    The socket itself may be one of IPv6, through which a program (Java's are all such) has reached an IPv4 address.
    """
    try:
        return _ask_kernel(local, remote)
    except OSError:  # a kernel that was built without that, or a sandbox that forbids it
        return _look_up(local, remote)


def _ask_kernel(local: tuple[str, int], remote: tuple[str, int]) -> int | None:
    """By netlink: some microseconds, where ``/proc/net/tcp`` takes milliseconds on a machine with much memory."""
    ends = struct.pack("!HH4s12x4s12x", local[1], remote[1], socket.inet_aton(local[0]), socket.inet_aton(remote[0]))
    asked = struct.pack("=BBBxI", socket.AF_INET, socket.IPPROTO_TCP, 0, _ALL_STATES) + ends + _ANY_SOCKET
    header = struct.pack("=IHHII", _HEADER + len(asked), _BY_FAMILY, _REQUEST, 0, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, _SOCK_DIAG) as kernel:
        kernel.send(header + asked)
        answer = kernel.recv(1024)
    if struct.unpack_from("=H", answer, 4)[0] != _BY_FAMILY:
        number = -struct.unpack_from("=i", answer, _HEADER)[0]
        if number == errno.ENOENT:
            return None
        raise OSError(number, os.strerror(number))
    # Where there is no such connection, a listener may be told of instead.
    if answer[_HEADER + 4 : _HEADER + 4 + len(ends)] not in (ends, _mapped(ends)):
        return None
    return int(struct.unpack_from("=I", answer, _HEADER + 68)[0]) or None


def _mapped(ends: bytes) -> bytes:
    """The same two ends as a socket of IPv6 has them."""
    ports, local, remote = struct.unpack("!4s4s12x4s12x", ends)
    return struct.pack("!4s10xH4s10xH4s", ports, 0xFFFF, local, 0xFFFF, remote)


def _look_up(local: tuple[str, int], remote: tuple[str, int]) -> int | None:
    for table, prefix in (("tcp", ""), ("tcp6", _MAPPED)):
        found = _look_up_in(Path("/proc/net", table), f"{prefix}{_hex(local)} {prefix}{_hex(remote)} ")
        if found is not None:
            return found
    return None


def _look_up_in(file: Path, needle: str) -> int | None:
    try:
        table = file.read_text()
    except OSError:
        return None
    position = table.find(needle)
    if position < 0:
        return None
    # After the two ends: state, queues, timer, retransmissions, user, timeout, inode.
    return int(table[position + len(needle) :].split(None, 7)[6]) or None


def holder_of_socket(inode: int, pids: Iterable[int]) -> int | None:
    """Which of these processes has the socket open."""
    wanted = f"socket:[{inode}]"
    for pid in pids:
        with contextlib.suppress(OSError):
            for descriptor in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    if os.readlink(f"/proc/{pid}/fd/{descriptor}") == wanted:
                        return pid
    return None


def _hex(end: tuple[str, int]) -> str:
    """As the kernel prints it: the address in this machine's byte order."""
    packed = ipaddress.IPv4Address(end[0]).packed
    return f"{int.from_bytes(packed, 'little'):08X}:{end[1]:04X}"
