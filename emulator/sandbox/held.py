"""Keeping the connections of ended processes open, so that the other end never hears of their end.

A duplicate of each socket is taken over just before the process is killed (``pidfd_getfd``, Linux 5.6): the kernel
closes a connection only with its last holder. It goes when the other end closes it, or when its time is up. The
host's kernel goes on answering keepalives for it, so this gives a silent death, not a silent life.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import socket
import struct
from collections.abc import Iterable

from emulator.clock import Clock, Timer

__all__ = ["HeldSockets"]

_PIDFD_GETFD = 438  # on every architecture
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_libc = ctypes.CDLL(None, use_errno=True)


class HeldSockets:
    """Connections that outlive their processes.

    Arguments:
        keepalive: seconds on the clock after which the other end would give up a peer that answers nothing.
    """

    def __init__(self, clock: Clock, keepalive: float) -> None:
        self._clock, self._keepalive = clock, keepalive
        self._held: dict[socket.socket, Timer] = {}

    def take(self, pids: Iterable[int], *, but_not_to: frozenset[tuple[str, int]] = frozenset()) -> int:
        """Hold every TCP connection of these processes, but those to some places; answers how many.

        Processes that may not be looked into, by the kernel's rules, keep theirs.
        """
        inodes: set[int] = set()
        count = 0
        for pid in pids:
            with contextlib.suppress(OSError):
                for held in _connections_of(pid, but_not_to, inodes):
                    self._keep(held)
                    count += 1
        return count

    def close(self) -> None:
        """Let everything go."""
        for held in list(self._held):
            self._let_go(held)

    def __len__(self) -> int:
        return len(self._held)

    def _keep(self, held: socket.socket) -> None:
        held.setblocking(False)
        due = self._clock.monotonic() + self._keepalive
        self._held[held] = self._clock.call_at(due, lambda: self._give_up(held))
        asyncio.get_running_loop().add_reader(held.fileno(), self._readable, held)

    def _readable(self, held: socket.socket) -> None:
        """Bytes are thrown away: nobody will read them. An end, or a reset, is the end."""
        try:
            while held.recv(1 << 16):
                pass
        except BlockingIOError:
            return
        except OSError:
            pass
        self._let_go(held)

    def _give_up(self, held: socket.socket) -> None:
        with contextlib.suppress(OSError):
            held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._let_go(held)

    def _let_go(self, held: socket.socket) -> None:
        asyncio.get_running_loop().remove_reader(held.fileno())
        self._held.pop(held).cancel()
        held.close()


def _connections_of(pid: int, but_not_to: frozenset[tuple[str, int]], seen: set[int]) -> Iterable[socket.socket]:
    """Duplicates of a process's connected TCP sockets; what parent and child share is taken once."""
    pidfd = os.pidfd_open(pid)
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            try:
                link = os.readlink(f"/proc/{pid}/fd/{name}")
            except OSError:
                continue
            if not link.startswith("socket:["):
                continue
            inode = int(link[len("socket:[") : -1])
            if inode in seen or (duplicate := _duplicate(pidfd, int(name))) is None:
                continue
            if _is_wanted(duplicate, but_not_to):
                seen.add(inode)
                yield duplicate
            else:
                duplicate.close()
    finally:
        os.close(pidfd)


def _duplicate(pidfd: int, descriptor: int) -> socket.socket | None:
    taken = _libc.syscall(_PIDFD_GETFD, pidfd, descriptor, 0)
    if taken < 0:
        return None
    try:
        return socket.socket(fileno=taken)
    except OSError:
        os.close(taken)
        return None


def _is_wanted(candidate: socket.socket, but_not_to: frozenset[tuple[str, int]]) -> bool:
    if candidate.type != socket.SOCK_STREAM or candidate.family not in (socket.AF_INET, socket.AF_INET6):
        return False
    try:
        peer = candidate.getpeername()
    except OSError:
        return False
    # IPv4 through a socket of IPv6: Java's own client connects like that.
    return (str(peer[0]).removeprefix("::ffff:"), peer[1]) not in but_not_to
