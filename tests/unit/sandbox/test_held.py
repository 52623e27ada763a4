"""Connections that outlive their processes: real children, real sockets, and what their other ends hear."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator

import pytest

from emulator.clock import FakeClock
from emulator.sandbox.held import HeldSockets
from tests.support import eventually, in_loop, require

KEEPALIVE = 100.0
DEADLINE = 30.0
SILENCE = 0.03  # seconds in which the loopback interface would have brought whatever there is

# Has one connection to each of the places it is told, and perhaps a child that shares them; ends with its input.
_PROGRAM = """
import os, socket, sys
connections = []
for place in sys.argv[2:]:
    host, port = place.rsplit("@", 1)
    connections.append(socket.create_connection((host, int(port))))
child = 0
if sys.argv[1] == "shares" and not (child := os.fork()):
    sys.stdin.read()
    os._exit(0)
print(child, flush=True)
sys.stdin.read()
"""


class Process:
    """A child process with connections, and perhaps a child of its own that shares them."""

    def __init__(self, *places: tuple[str, int], shares: bool = False) -> None:
        named = [f"{host}@{port}" for host, port in places]
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _PROGRAM, "shares" if shares else "alone", *named],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        self.child = int(self._process.stdout.readline())
        self.pids = [self._process.pid, *([self.child] if self.child else [])]

    def kill(self) -> None:
        """End it as environments are ended; all its sockets are closed when this returns."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, 9)
        self._process.wait(10)
        if self.child:
            eventually(lambda: not _holds_files(self.child), "the end of the grandchild")
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()


def _holds_files(pid: int) -> bool:
    try:
        return bool(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return False


class Scene:
    """A listener that stands for a server, a clock that stands still, and the sockets that are held."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.listener = socket.create_server((address, 0), family=family)
        self.listener.setblocking(False)
        self.place: tuple[str, int] = self.listener.getsockname()[:2]
        self.clock = FakeClock()
        self.held = HeldSockets(self.clock, KEEPALIVE)
        self.stack = contextlib.ExitStack()
        self.stack.callback(self.listener.close)

    def process(self, *places: tuple[str, int], shares: bool = False) -> Process:
        process = Process(*(places or [self.place]), shares=shares)
        self.stack.callback(process.kill)
        return process

    async def accept(self) -> socket.socket:
        async with asyncio.timeout(DEADLINE):
            end, _ = await asyncio.get_running_loop().sock_accept(self.listener)
        end.setblocking(False)
        self.stack.enter_context(end)
        return end


@contextlib.asynccontextmanager
async def playing(address: str = "127.0.0.1") -> AsyncIterator[Scene]:
    scene = Scene(address)
    with scene.stack:
        try:
            yield scene
        finally:
            scene.held.close()


async def hears_nothing(end: socket.socket) -> bool:
    """Whether an end is told nothing over a span."""
    try:
        async with asyncio.timeout(SILENCE):  # not waiting for anything: this is the span of silence
            await asyncio.get_running_loop().sock_recv(end, 1)
    except TimeoutError:
        return True
    return False


async def hears(end: socket.socket) -> bytes:
    """What an end is told next: ``b""`` is the other side's close."""
    async with asyncio.timeout(DEADLINE):
        return await asyncio.get_running_loop().sock_recv(end, 1)


async def let_go(held: HeldSockets) -> None:
    """Wait until nothing is held any more."""
    async with asyncio.timeout(DEADLINE):
        while len(held):
            await asyncio.sleep(0)


@in_loop
async def test_without_being_held_the_end_of_a_process_is_heard() -> None:
    """What the others rely on: a kernel closes the connections of whoever dies."""
    async with playing() as scene:
        process = scene.process()
        server = await scene.accept()
        process.kill()
        assert await hears(server) == b""


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1"])
def test_nobody_hears_of_the_death_of_a_process_whose_sockets_are_held(address: str) -> None:
    """All of its connections stay, whatever was said on them before."""
    _need_address(address)

    @in_loop
    async def play() -> None:
        async with playing(address) as scene:
            process = scene.process(scene.place, scene.place)
            servers = [await scene.accept(), await scene.accept()]
            servers[0].send(b"the process never reads this")
            assert scene.held.take(process.pids) == 2
            process.kill()
            assert len(scene.held) == 2
            assert all([await hears_nothing(server) for server in servers])

    play()


@in_loop
async def test_held_connections_go_on_acknowledging() -> None:
    """A silent death and no silent life: the kernel takes what the server sends, until nobody wants it."""
    async with playing() as scene:
        process = scene.process()
        server = await scene.accept()
        scene.held.take(process.pids)
        process.kill()
        # More than the kernels keep for both ends, so it passes only if somebody reads.
        async with asyncio.timeout(DEADLINE):
            await asyncio.get_running_loop().sock_sendall(server, bytes(32 * 2**20))
        assert await hears_nothing(server)
        assert len(scene.held) == 1


@in_loop
async def test_the_close_of_the_other_end_releases_it() -> None:
    """A server that gives the connection up gets its own end closed too, and nothing stays behind."""
    async with playing() as scene:
        process = scene.process()
        server = await scene.accept()
        scene.held.take(process.pids)
        process.kill()
        server.shutdown(socket.SHUT_WR)
        await let_go(scene.held)
        assert await hears(server) == b""
        # The moment at which it would have been given up comes, and finds nothing.
        scene.clock.fast_forward(2 * KEEPALIVE)


@in_loop
async def test_the_reset_of_the_other_end_releases_it() -> None:
    """As MariaDB ends a session that slept for too long."""
    async with playing() as scene:
        process = scene.process()
        server = await scene.accept()
        scene.held.take(process.pids)
        process.kill()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        server.close()
        await let_go(scene.held)


@in_loop
async def test_a_connection_that_the_other_end_had_closed_before_is_released_at_once() -> None:
    """The process had not noticed; there is nothing to be kept from the server any more."""
    async with playing() as scene:
        process = scene.process()
        server = await scene.accept()
        server.shutdown(socket.SHUT_WR)
        assert scene.held.take(process.pids) == 1
        process.kill()
        await let_go(scene.held)
        assert await hears(server) == b""


@in_loop
async def test_after_the_keepalive_the_other_end_is_reset() -> None:
    """On the emulator's clock, and not a moment earlier: a peer that answers no probe is given up."""
    async with playing() as scene:
        process = scene.process()
        server = await scene.accept()
        scene.held.take(process.pids)
        process.kill()
        scene.clock.fast_forward(KEEPALIVE - 1)
        assert await hears_nothing(server)
        assert len(scene.held) == 1
        assert scene.clock.fast_forward(1) == 1
        assert len(scene.held) == 0
        with pytest.raises(ConnectionResetError):
            await hears(server)


@in_loop
async def test_what_was_released_is_not_due_any_more() -> None:
    """A connection that ended by itself leaves no timer behind to be counted among what skipped time caused."""
    async with playing() as scene:
        process = scene.process()
        server = await scene.accept()
        scene.held.take(process.pids)
        process.kill()
        server.close()
        await let_go(scene.held)
        assert scene.clock.fast_forward(2 * KEEPALIVE) == 0


@in_loop
async def test_each_has_a_keepalive_of_its_own() -> None:
    """The one that was held later is given up later."""
    async with playing() as scene:
        first = scene.process()
        one = await scene.accept()
        scene.held.take(first.pids)
        scene.clock.fast_forward(KEEPALIVE / 2)
        second = scene.process()
        other = await scene.accept()
        scene.held.take(second.pids)
        first.kill()
        second.kill()
        scene.clock.fast_forward(KEEPALIVE / 2)
        with pytest.raises(ConnectionResetError):
            await hears(one)
        assert await hears_nothing(other)
        scene.clock.fast_forward(KEEPALIVE / 2)
        with pytest.raises(ConnectionResetError):
            await hears(other)


@in_loop
async def test_what_parent_and_child_share_is_taken_once() -> None:
    """One connection in two processes is one connection, and is silent when both are dead."""
    async with playing() as scene:
        process = scene.process(shares=True)
        server = await scene.accept()
        assert len(process.pids) == 2
        assert scene.held.take(process.pids) == 1
        process.kill()
        assert await hears_nothing(server)
        scene.held.close()
        assert await hears(server) == b""


@in_loop
async def test_connections_of_a_child_are_taken_where_the_parent_has_none() -> None:
    """Every process that is named is looked into, also behind one that has ended already."""
    async with playing() as scene:
        ended = scene.process()
        (await scene.accept()).close()
        ended.kill()
        process = scene.process()
        server = await scene.accept()
        assert scene.held.take([*ended.pids, *process.pids]) == 1
        process.kill()
        assert await hears_nothing(server)


@in_loop
async def test_connections_to_an_excluded_place_are_closed_by_the_death() -> None:
    """Its connection to the Runtime API ends, the one to the database does not; the same host is not the same place."""
    async with playing() as scene:
        other = Scene()
        with other.stack:
            process = scene.process(scene.place, other.place)
            here, there = await scene.accept(), await other.accept()
            assert scene.held.take(process.pids, but_not_to=frozenset({other.place})) == 1
            process.kill()
            assert await hears(there) == b""
            assert await hears_nothing(here)


@in_loop
async def test_a_place_is_excluded_whatever_kind_of_socket_leads_there() -> None:
    """Java speaks IPv4 through sockets of IPv6."""
    async with playing() as scene:
        process = scene.process(("::ffff:" + scene.place[0], scene.place[1]))
        here = await scene.accept()
        assert scene.held.take(process.pids, but_not_to=frozenset({scene.place})) == 0
        process.kill()
        assert await hears(here) == b""


# Has one socket of each kind that is no connection over TCP, or none any more, and says so.
_OTHER_SOCKETS = """
import os, socket, sys
listener = socket.create_server(("127.0.0.1", 0))
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
datagrams.connect(("127.0.0.1", 9))
pair = socket.socketpair()
unconnected = socket.socket()
pipe = os.pipe()
print("ready", flush=True)
sys.stdin.read()
"""


@in_loop
async def test_nothing_but_tcp_connections_is_taken() -> None:
    """Listeners, datagrams, local sockets, pipes: nobody at another end would hear of them."""
    async with playing() as scene:
        with subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _OTHER_SOCKETS], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            before = len(os.listdir("/proc/self/fd"))
            assert scene.held.take([process.pid]) == 0
            assert len(os.listdir("/proc/self/fd")) == before
            process.stdin.close()


@in_loop
async def test_processes_that_are_not_there_have_nothing_to_take() -> None:
    """An environment may have died by itself a moment ago."""
    async with playing() as scene:
        assert scene.held.take([2**22 - 3]) == 0
        assert scene.held.take([]) == 0


# Takes over the connections of the process that it is told, as somebody who may not look into it.
_STRANGER = """
import asyncio, os, sys
from emulator.clock import FakeClock
from emulator.sandbox.held import HeldSockets
os.setgid(65534)
os.setuid(65534)

async def take():
    held = HeldSockets(FakeClock(), 1.0)
    print(held.take([int(sys.argv[1])]))

asyncio.run(take())
"""


@in_loop
async def test_processes_that_may_not_be_looked_into_keep_theirs() -> None:
    """Another user's process is passed over without a complaint, and its end is heard as ever."""
    require(os.geteuid() == 0, "This user cannot start processes of another one.", "Run as root.")
    async with playing() as scene:
        process = scene.process()
        server = await scene.accept()
        done = subprocess.run(
            [sys.executable, "-c", _STRANGER, str(process.pids[0])],
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
        )
        assert (done.stdout, done.stderr) == ("0\n", "")
        process.kill()
        assert await hears(server) == b""


@in_loop
async def test_closing_lets_everything_go_and_leaves_nothing_open() -> None:
    """The end of the emulator is the end of all its zombies, and of every descriptor it took."""
    async with playing() as scene:
        before = len(os.listdir("/proc/self/fd"))
        process = scene.process(scene.place, scene.place, scene.place)
        servers = [await scene.accept() for _ in range(3)]
        scene.held.take(process.pids)
        process.kill()
        scene.held.close()
        assert len(scene.held) == 0
        for server in servers:
            assert await hears(server) == b""
            server.close()
        scene.held.close()
        assert len(os.listdir("/proc/self/fd")) == before


def _need_address(address: str) -> None:
    with _try_to_listen(address) as listens:
        require(listens, f"This machine has no {address}.", "Enable IPv6 on its loopback interface.")


@contextlib.contextmanager
def _try_to_listen(address: str) -> Iterator[bool]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.create_server((address, 0), family=family):
            yield True
    except OSError:
        yield False
