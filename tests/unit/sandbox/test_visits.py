"""Visits to other namespaces: a real process in some of its own stands for a container."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from emulator.errors import SandboxError
from emulator.sandbox.visits import Host, Visitor, mounted
from tests.support import in_loop, require

OURS = Path("/proc/self/cgroup").read_text().splitlines()[0]
"""A part of what the kernel says of our own children, in the place of a container's id."""


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    """A process with mounts and a network of its own; its ``/tmp`` is empty, small, and its own too."""
    require(os.geteuid() == 0, "Only root has namespaces to visit.", "Run as root.")
    require(shutil.which("unshare"), "There is no unshare.", "Install util-linux.")
    room = "mount -t tmpfs -o size=1m tmpfs /tmp && mkdir /tmp/task && echo ready && exec sleep 60"
    process = subprocess.Popen(["unshare", "--mount", "--net", "sh", "-c", room], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        ready = process.stdout.readline()
        require(ready == "ready\n", "This machine gives nobody namespaces.", "Allow CAP_SYS_ADMIN.")
        yield Host(OURS, process.pid)
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()


@pytest.fixture
def visitor() -> Iterator[Visitor]:
    visitor = Visitor()
    yield visitor
    visitor.close()


def inside(host: Host) -> Path:
    return Path(f"/proc/{host.pid}/root/tmp")


def namespace(whose: str) -> int:
    return Path(f"/proc/{whose}").stat().st_ino


def do(visitor: Visitor, work: Callable[[], object]) -> None:
    async def go() -> None:
        await visitor.do(work)

    asyncio.run(go())


def test_a_folder_is_shown_inside_read_only_and_nowhere_else(host: Host, visitor: Visitor, tmp_path: Path) -> None:
    """What changes in it is seen, nobody inside can change it; this process's own mounts are as they were."""
    before = Path("/proc/self/mountinfo").read_text()
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "app.py").write_text("first")
    do(visitor, lambda: mounted(visitor, host, {"/tmp/task": tmp_path / "code"}, tmp=3))
    assert (inside(host) / "task" / "app.py").read_text() == "first"
    (tmp_path / "code" / "app.py").write_text("second")
    assert (inside(host) / "task" / "app.py").read_text() == "second"
    with pytest.raises(OSError, match="Read-only"):
        (inside(host) / "task" / "other").write_text("")
    assert Path("/proc/self/mountinfo").read_text() == before
    found = os.statvfs(inside(host))
    assert found.f_blocks * found.f_frsize == 3 * 2**20


def test_the_visitor_comes_home(host: Host, visitor: Visitor) -> None:
    """Also when what it did there has failed; and it never takes others along."""
    home = {kind: namespace(f"self/ns/{kind}") for kind in ("mnt", "net")}
    seen: list[int] = []

    def fail() -> None:
        with visitor.inside(host, "net"):
            seen.append(namespace("thread-self/ns/net"))
            assert namespace("self/ns/net") == home["net"]
            raise ValueError("in the middle")

    with pytest.raises(ValueError, match="in the middle"):
        do(visitor, fail)
    do(visitor, lambda: seen.append(namespace("thread-self/ns/net")))
    assert seen[0] != home["net"]
    assert seen[1] == home["net"]


@pytest.mark.parametrize("folders", [{"/no/such/place": Path("/etc")}, {"/tmp/task": Path("/no/such/folder")}])
def test_what_is_not_there_is_an_error(host: Host, visitor: Visitor, folders: dict[str, Path]) -> None:
    """And nothing is left open."""
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(FileNotFoundError):
        do(visitor, lambda: mounted(visitor, host, folders))
    assert len(os.listdir("/proc/self/fd")) <= before + 2  # the way home, which stays until it is closed


@pytest.mark.parametrize("container", ["", "of another machine"])
def test_only_members_of_the_container_are_visited(host: Host, visitor: Visitor, container: str) -> None:
    """With an engine elsewhere the number is some other process's here."""
    stranger = Host(container, host.pid)
    with pytest.raises(SandboxError, match="not on this machine"):
        do(visitor, lambda: mounted(visitor, stranger, {"/tmp/task": Path("/etc")}))


_UNPRIVILEGED = """
import asyncio, os, sys
from pathlib import Path
from emulator.sandbox.visits import Host, Visitor, mounted
os.setgid(65534)
os.setuid(65534)
visitor = Visitor()
host = Host(sys.argv[2], int(sys.argv[1]))
try:
    asyncio.run(visitor.do(lambda: mounted(visitor, host, {"/tmp/task": Path("/etc")})))
except OSError as error:
    print(error.strerror)
visitor.close()
"""


def test_without_rights_it_is_refused(host: Host) -> None:
    """As it is where the emulator does not run as root: then prewarmed sandboxes are not possible."""
    command = [sys.executable, "-c", _UNPRIVILEGED, str(host.pid), host.container]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "Operation not permitted\n", done.stderr


@in_loop
async def test_a_visitor_that_never_went_anywhere_is_closed() -> None:
    """An emulator without containers has one as well."""
    visitor = Visitor()
    assert await visitor.do(lambda: "done") == "done"
    visitor.close()
