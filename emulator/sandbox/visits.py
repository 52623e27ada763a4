"""Visits to the inside of containers: what they see mounted, and how they are wired, is arranged from here.

A container engine fixes both when it makes a container. The kernel does not: whoever may can enter a container's
namespaces and change what is there. That needs to be root on the engine's machine. A thread of its own goes, because
namespaces belong to threads; what it has mounted or plugged in goes with the container, and nobody has to clean up.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import struct
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from emulator.errors import SandboxError

__all__ = ["Host", "Visitor", "mounted"]

T = TypeVar("T")

# Numbers of system calls; those that came after 2019 are the same on every machine.
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442  # Linux 5.2, 5.2, 5.12
_OPEN_TREE_CLONE, _OPEN_TREE_CLOEXEC = 1, os.O_CLOEXEC
_AT_FDCWD, _AT_RECURSIVE, _AT_EMPTY_PATH = -100, 0x8000, 0x1000
_MOVE_MOUNT_F_EMPTY_PATH = 0x04
_READ_ONLY, _PRIVATE = 0x01, 1 << 18  # MOUNT_ATTR_RDONLY, MS_PRIVATE
_MS_NOSUID, _MS_NODEV, _MS_REMOUNT = 0x02, 0x04, 0x20
_CLONE_FS = 0x200
_KINDS = {"mnt": 0x0002_0000, "net": 0x4000_0000}

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Host:
    """Who is visited: a container by its id, and its first process by this machine's number."""

    container: str
    pid: int


class Visitor:
    """The thread that goes; one visit at a time."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="visitor")
        self._home: dict[str, int] = {}

    async def do(self, work: Callable[[], T]) -> T:
        """Have the thread do this; the work may enter namespaces by :meth:`inside`."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    @contextlib.contextmanager
    def inside(self, host: Host, kind: str) -> Iterator[int]:
        """Be in a namespace (``mnt`` or ``net``) of a container, in this thread only; gives a descriptor of it.

        Raises:
            OSError: that is not allowed here.
            SandboxError: the process is not of this container, or has ended: the engine runs elsewhere.
        """
        self._leave_home()
        theirs = os.open(f"/proc/{host.pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _require_member(host)  # after it was opened, or the number could be another's by now
            _check(_libc.setns(theirs, _KINDS[kind]))
            try:
                yield theirs
            finally:
                _check(_libc.setns(self._home[kind], _KINDS[kind]))
        finally:
            os.close(theirs)

    def close(self) -> None:
        self._thread.shutdown()
        for descriptor in self._home.values():
            os.close(descriptor)
        self._home.clear()

    def _leave_home(self) -> None:
        if not self._home:
            # A thread that shares its root and working directory with others may not enter another tree of mounts.
            _check(_libc.unshare(_CLONE_FS))
            self._home = {kind: os.open(f"/proc/self/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in _KINDS}


def mounted(visitor: Visitor, host: Host, folders: Mapping[str, Path], *, tmp: int | None = None) -> None:
    """Show folders of this machine inside a container, read-only. For the visitor's thread.

    Arguments:
        folders: by the place inside, which has to be there.
        tmp: what ``/tmp`` may hold from now on, in MiB; ``None`` leaves it.

    Raises:
        OSError: a folder or a place is not there, or this is not allowed here.
        SandboxError: that is no container of this machine.
    """
    with contextlib.ExitStack() as stack:
        trees = []
        for place, folder in folders.items():
            trees.append((place.encode(), _read_only_view(folder)))
            stack.callback(os.close, trees[-1][1])
        stack.enter_context(visitor.inside(host, "mnt"))
        for name, tree in trees:
            _call(_MOVE_MOUNT, tree, b"", _AT_FDCWD, name, _MOVE_MOUNT_F_EMPTY_PATH)
        if tmp is not None:
            options = f"size={tmp}m".encode()
            _check(_libc.mount(b"tmpfs", b"/tmp", b"tmpfs", _MS_REMOUNT | _MS_NOSUID | _MS_NODEV, options))


def _read_only_view(folder: Path) -> int:
    """A descriptor of a folder's own mount, with what is mounted below it, that nobody else sees yet."""
    flags = _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC | _AT_RECURSIVE
    tree = _call(_OPEN_TREE, _AT_FDCWD, os.fsencode(folder), flags)
    try:
        attributes = struct.pack("=QQQQ", _READ_ONLY, 0, _PRIVATE, 0)
        _call(_MOUNT_SETATTR, tree, b"", _AT_EMPTY_PATH | _AT_RECURSIVE, attributes, len(attributes))
    except OSError:
        os.close(tree)
        raise
    return tree


def _require_member(host: Host) -> None:
    try:
        groups = Path(f"/proc/{host.pid}/cgroup").read_text()
    except OSError:
        groups = ""
    if not host.container or host.container not in groups:
        raise SandboxError("the container's processes are not on this machine")


def _call(number: int, *arguments: int | bytes) -> int:
    return _check(_libc.syscall(ctypes.c_long(number), *(_word(argument) for argument in arguments)))


def _word(argument: int | bytes) -> ctypes.c_long | bytes:
    return ctypes.c_long(argument) if isinstance(argument, int) else argument


def _check(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return int(result)
