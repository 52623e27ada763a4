"""The relay between plain sockets: what passes, what is kept, and who hears of an end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import inspect
import socket
import struct
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

import pytest
import uvloop

from emulator.clock import FakeClock
from emulator.database.relay import Relay
from emulator.database.relay_records import (
    DIRECT,
    FIREWALL,
    NAT,
    Address,
    ConnectionState,
    EndedBy,
    EventKind,
    PathProfile,
    RelayedConnection,
    RelayEvent,
)
from emulator.database.relays import Relays
from emulator.errors import AddressInUseError
from emulator.model import KEEPALIVE, EnvironmentId, Reclaim, RequestId
from tests.support import run

DEADLINE = 30.0
LOOPBACK: Address = ("127.0.0.1", 0)
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
# One answer that is larger than what relay and kernels keep together.
LARGE = 64 * 1024 * 1024
only_linux = pytest.mark.skipif(sys.platform != "linux", reason="other kernels refuse where Linux is silent")
EVENT_LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.SelectorEventLoop,
    "uvloop": uvloop.new_event_loop,
}


def on_both_loops(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Make tests of a coroutine function, one for each event loop that the emulator can run on."""

    async def limited(**arguments: Any) -> None:
        async with asyncio.timeout(6 * DEADLINE):  # a limit from outside does not get through to uvloop
            await test(**arguments)

    def run_test(event_loop: str, **arguments: Any) -> None:
        run(limited(**arguments), EVENT_LOOPS[event_loop])

    first = inspect.Parameter("event_loop", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    signature = inspect.signature(test)
    run_test.__signature__ = signature.replace(parameters=[first, *signature.parameters.values()])  # type: ignore[attr-defined]
    run_test.__name__, run_test.__doc__ = test.__name__, test.__doc__
    run_test.__dict__.update(test.__dict__)  # its marks
    made: Callable[..., None] = pytest.mark.parametrize("event_loop", EVENT_LOOPS)(run_test)
    return made


async def eventually(condition: Callable[[], object], what: str) -> None:
    """Let the loop run until something has happened in it that gives no sign of its own."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DEADLINE):
            while not condition():
                await asyncio.sleep(0.001)
            return
    pytest.fail(f"{what} did not happen within {DEADLINE} s")


class Peer:
    """A client or a server: somebody who holds a socket at one end of the relay."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        connection.setblocking(False)

    def says(self, data: bytes) -> None:
        """Say something short: it fits into the kernel's buffer."""
        assert self.socket.send(data) == len(data)

    async def pours(self, size: int) -> None:
        """Say something long."""
        piece = bytes(range(256)) * 256
        for start in range(0, size, len(piece)):
            await asyncio.get_running_loop().sock_sendall(self.socket, piece[: size - start])

    async def hears(self, expected: bytes) -> None:
        heard = b""
        async with asyncio.timeout(DEADLINE):
            while len(heard) < len(expected):
                piece = await asyncio.get_running_loop().sock_recv(self.socket, len(expected) - len(heard))
                assert piece, f"the end came after {heard!r} instead of {expected!r}"
                heard += piece
        assert heard == expected

    async def swallows(self, size: int) -> None:
        """Hear this many bytes, a large piece at a time."""
        left = size
        async with asyncio.timeout(6 * DEADLINE):
            while left:
                piece = await asyncio.get_running_loop().sock_recv(self.socket, min(left, 1 << 20))
                assert piece, f"the end came {left} bytes early"
                left -= len(piece)

    async def hears_the_end(self) -> None:
        async with asyncio.timeout(DEADLINE):
            assert await asyncio.get_running_loop().sock_recv(self.socket, 1) == b""

    async def is_reset(self) -> None:
        async with asyncio.timeout(DEADLINE):
            with pytest.raises(ConnectionResetError):
                await asyncio.get_running_loop().sock_recv(self.socket, 1)

    async def hears_nothing(self) -> None:
        """Nothing is there, and nothing is on its way: whoever has heard of it has had a few rounds to pass it on."""
        for _ in range(10):
            await asyncio.sleep(0)
        with pytest.raises(BlockingIOError):
            self.socket.recv(1)

    def finishes(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)

    def closes(self) -> None:
        self.socket.close()

    def resets(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.socket.close()


class Stage:
    """A relay, the server behind it, and what was told of them."""

    def __init__(self, relay: Relay, listener: socket.socket, clock: FakeClock, events: list[RelayEvent]) -> None:
        self.relay, self.listener, self.clock, self.events = relay, listener, clock, events
        self.peers: list[Peer] = []

    async def client(self) -> Peer:
        connection = socket.socket()
        connection.setblocking(False)
        self.peers.append(Peer(connection))
        async with asyncio.timeout(DEADLINE):
            await asyncio.get_running_loop().sock_connect(connection, self.relay.address)
        return self.peers[-1]

    async def server(self) -> Peer:
        async with asyncio.timeout(DEADLINE):
            connection, _ = await asyncio.get_running_loop().sock_accept(self.listener)
        self.peers.append(Peer(connection))
        return self.peers[-1]

    async def pair(self) -> tuple[Peer, Peer]:
        """A client that is connected through the relay, and the server's end of it."""
        reached = self.kinds().count(EventKind.OPENED)
        client, server = await self.client(), await self.server()
        await eventually(lambda: self.kinds().count(EventKind.OPENED) > reached, "reaching the server")
        return client, server

    def only(self) -> RelayedConnection:
        (connection,) = self.relay.connections()
        return connection

    def kinds(self) -> list[EventKind]:
        return [event.kind for event in self.events]

    async def reads(self, *, up: int = 0, down: int = 0) -> None:
        """Wait until the relay has read this many bytes of its only connection."""
        await eventually(lambda: self.only().bytes_up >= up and self.only().bytes_down >= down, "reading by the relay")

    async def is_told(self, kind: EventKind) -> RelayEvent:
        await eventually(lambda: kind in self.kinds(), f"the event {kind}")
        return next(event for event in self.events if event.kind is kind)


@contextlib.asynccontextmanager
async def stage(
    *,
    profile: PathProfile = DIRECT,
    source: str | None = None,
    keepalive: float = KEEPALIVE,
    listen: Address | None = LOOPBACK,
    hear: Callable[[RelayEvent], None] = lambda _event: None,
) -> AsyncIterator[Stage]:
    """Set up a relay on a clock that stands still; everything is closed in the end."""
    clock, events = FakeClock(), list[RelayEvent]()

    def tell(event: RelayEvent) -> None:
        events.append(event)
        hear(event)

    listener = socket.create_server(LOOPBACK)
    listener.setblocking(False)
    relay = Relay(
        EnvironmentId("an-environment"),
        listener.getsockname(),
        clock=clock,
        on_event=tell,
        profile=profile,
        source=source,
        keepalive=keepalive,
        listen=listen,
        request_id=lambda: RequestId("a-request"),
    )
    async with relay:
        set_up = Stage(relay, listener, clock, events)
        try:
            yield set_up
        finally:
            for peer in set_up.peers:
                peer.closes()
            listener.close()


# -- while it is up --------------------------------------------------------------------------------------


@on_both_loops
async def test_bytes_pass_both_ways() -> None:
    """What one side says the other hears, and the record knows both ends, the request and the counts."""
    async with stage() as on:
        client, server = await on.pair()
        client.says(b"a question")
        await server.hears(b"a question")
        server.says(b"the answer")
        await client.hears(b"the answer")
        record = on.only()
        assert record.environment == "an-environment"
        assert record.request_id == "a-request"
        assert record.client == client.socket.getsockname()
        assert record.source == server.socket.getpeername()
        assert record.state is ConnectionState.OPEN
        assert record.opened_at == on.clock.now()
        assert (record.bytes_up, record.bytes_down) == (10, 10)


@on_both_loops
async def test_small_packets_do_not_wait_for_acknowledgements() -> None:
    """Both ends send at once (TCP_NODELAY): a query is a small packet, and so is its answer."""
    async with stage() as on:
        await on.pair()
        (connection,) = on.relay._connections
        for end in (connection.client, connection.server):
            assert end._socket().getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@on_both_loops
async def test_who_has_finished_may_still_listen() -> None:
    """An end of one direction is passed on and leaves the other direction alone; both together are the end."""
    async with stage() as on:
        client, server = await on.pair()
        client.says(b"all I have")
        client.finishes()
        await server.hears(b"all I have")
        await server.hears_the_end()
        server.says(b"thank you")
        await client.hears(b"thank you")
        server.closes()
        await client.hears_the_end()
        event = await on.is_told(EventKind.CLOSED)
        assert event.reason == "the client closed it"
        await eventually(lambda: not on.relay.connections(), "forgetting a closed connection")


@on_both_loops
async def test_server_that_closes() -> None:
    """The client hears of it, and a client that goes on speaking is reset."""
    async with stage() as on:
        client, server = await on.pair()
        server.says(b"bye")
        server.closes()
        await client.hears(b"bye")
        await client.hears_the_end()
        assert on.only().state is ConnectionState.STALE
        client.says(b"hello?")
        await on.reads(up=6)
        client.says(b"hello?")  # a server's reset is seen by who sends to it
        await eventually(lambda: not on.relay.connections(), "the end of the connection")
        assert (await on.is_told(EventKind.CLOSED)).reason == "the server closed it"


@on_both_loops
async def test_resets_are_passed_on() -> None:
    """A reset of either side reaches the other as a reset and not as an end."""
    async with stage() as on:
        client, server = await on.pair()
        client.resets()
        await server.is_reset()
        assert (await on.is_told(EventKind.CLOSED)).reason == "the client reset it"
        client, server = await on.pair()
        server.says(b"last words")
        await client.hears(b"last words")
        server.resets()
        await client.is_reset()
        await eventually(lambda: not on.relay.connections(), "forgetting reset connections")
        assert on.events[-1].reason.startswith("the server reset it")


@on_both_loops
async def test_what_is_said_at_once_waits_for_the_server() -> None:
    """A client that speaks, or even finishes, before the server was reached loses nothing."""
    async with stage() as on:
        client = await on.client()
        client.says(b"in a hurry")
        client.finishes()
        server = await on.server()
        await server.hears(b"in a hurry")
        await server.hears_the_end()
        server.says(b"there you are")
        await client.hears(b"there you are")


@on_both_loops
async def test_unreachable_server() -> None:
    """A client of a server that refuses is reset, and the event says what failed."""
    async with stage() as on:
        on.listener.close()
        client = await on.client()
        await client.is_reset()
        event = await on.is_told(EventKind.FAILED)
        assert "cannot be reached" in event.reason
        assert event.connection.source is None
        assert event.connection.state is ConnectionState.CLOSED
        await eventually(lambda: not on.relay.connections(), "forgetting the client")
        assert on.relay.statistics().opened == 0


@only_linux
@on_both_loops
async def test_client_that_leaves_while_the_server_is_dialled() -> None:
    """Dialling a server that does not answer ends with the client that it was for."""
    async with stage() as on:
        with busy_server(on):
            client = await on.client()
            await eventually(on.relay.connections, "accepting the client")
            client.closes()
            await eventually(lambda: not on.relay.connections(), "giving up to dial")
            assert on.kinds() == []


@on_both_loops
async def test_end_of_the_relay_just_when_the_server_is_reached() -> None:
    """A socket that the loop closes without telling its protocol keeps nobody waiting."""
    closing: list[asyncio.Task[None]] = []
    async with stage(hear=lambda _event: closing.append(asyncio.create_task(on.relay.close()))) as on:
        await on.client()
        await eventually(lambda: closing, "reaching the server")
        async with asyncio.timeout(DEADLINE):
            await closing[0]
        assert on.kinds() == [EventKind.OPENED, EventKind.CLOSED]


@contextlib.contextmanager
def busy_server(on: Stage) -> Iterator[None]:
    """A server whose queue is full, so that dialling takes until the kernel tries again: a second."""
    on.listener.listen(0)
    with socket.create_connection(on.relay.target):
        yield


@on_both_loops
async def test_slow_client_holds_the_server_back() -> None:
    """Of a large answer the relay keeps little while the client does not read, and loses nothing of it."""
    async with stage() as on:
        client, server = await on.pair()
        pouring = asyncio.create_task(server.pours(LARGE))
        await on.reads(down=1)
        await no_progress(on)
        assert on.only().bytes_down < LARGE / 2
        assert not pouring.done()
        await client.swallows(LARGE)
        await pouring


@on_both_loops
async def test_slow_server_holds_the_client_back() -> None:
    """The same in the other direction."""
    async with stage() as on:
        client, server = await on.pair()
        pouring = asyncio.create_task(client.pours(LARGE))
        await on.reads(up=1)
        await no_progress(on)
        assert on.only().bytes_up < LARGE / 2
        await server.swallows(LARGE)
        await pouring


async def no_progress(on: Stage) -> None:
    """Let the loop run until the relay has stopped reading."""
    async with asyncio.timeout(2 * DEADLINE):
        before = -1
        while (now := on.only().bytes_up + on.only().bytes_down) != before:
            before = now
            for _ in range(200):
                await asyncio.sleep(0)


# -- frozen ----------------------------------------------------------------------------------------------


@on_both_loops
async def test_nothing_passes_while_frozen() -> None:
    """What both sides say during a freeze arrives after the thaw, whole and in order."""
    async with stage() as on:
        client, server = await on.pair()
        on.relay.freeze()
        for number in range(3):
            client.says(b"q%d" % number)
            server.says(b"a%d" % number)
            await on.reads(up=2 * number + 2, down=2 * number + 2)
        await client.hears_nothing()
        await server.hears_nothing()
        on.relay.thaw()
        client.says(b"q3")
        await server.hears(b"q0q1q2q3")
        await client.hears(b"a0a1a2")
        assert on.only().state is ConnectionState.OPEN


@on_both_loops
async def test_relay_stops_reading_a_server_that_goes_on() -> None:
    """Frozen for long, it keeps a bounded part of a large answer; the server waits, and all of it arrives."""
    async with stage() as on:
        client, server = await on.pair()
        on.relay.freeze()
        pouring = asyncio.create_task(server.pours(LARGE))
        await on.reads(down=1)
        await no_progress(on)
        assert on.only().bytes_down <= 2 * 256 * 1024
        assert not pouring.done()
        on.relay.thaw()
        await client.swallows(LARGE)
        await pouring


@on_both_loops
@pytest.mark.parametrize("leave", [Peer.closes, Peer.resets])
async def test_server_that_leaves_during_the_freeze(leave: Callable[[Peer], None]) -> None:
    """The client does not hear of it after the thaw either, until its first byte is answered by a reset."""
    async with stage() as on:
        client, server = await on.pair()
        on.relay.freeze()
        server.says(b"this is lost")
        await on.reads(down=12)
        leave(server)
        event = await on.is_told(EventKind.CLOSED)
        assert event.connection.state is ConnectionState.STALE
        on.relay.thaw()
        await client.hears_nothing()
        client.says(b"SELECT 1")
        await client.is_reset()
        await eventually(lambda: not on.relay.connections(), "forgetting the connection")


@on_both_loops
async def test_question_that_was_on_its_way_to_a_server_that_left() -> None:
    """What the client said just before the freeze is answered by a reset at the thaw."""
    async with stage() as on:
        client, server = await on.pair()
        on.relay.freeze()
        client.says(b"SELECT 1")
        await on.reads(up=8)
        server.closes()
        await on.is_told(EventKind.CLOSED)
        on.relay.thaw()
        await client.is_reset()


@on_both_loops
@pytest.mark.parametrize("looked_at", [True, False])
async def test_server_that_leaves_behind_a_large_answer(looked_at: bool) -> None:
    """It is noticed, by the thaw at the latest, although nobody reads; what was kept of the answer is lost with it."""
    async with stage() as on:
        client, server = await on.pair()
        on.relay.freeze()
        pouring = asyncio.create_task(server.pours(LARGE))
        await on.reads(down=256 * 1024)
        pouring.cancel()
        await asyncio.wait([pouring])
        server.resets()
        if looked_at:
            await eventually(lambda: on.only().state is ConnectionState.STALE, "noticing that the server has left")
        on.relay.thaw()
        await client.hears_nothing()
        client.says(b"SELECT 1")
        await client.is_reset()


@on_both_loops
async def test_connection_from_the_queue_waits_for_the_thaw() -> None:
    """A client that was accepted during a freeze is connected to the server after it."""
    async with stage() as on:
        on.relay.freeze()
        client = await on.client()
        client.says(b"early")
        await eventually(on.relay.connections, "accepting the client")
        await on.reads(up=5)
        assert on.only().source is None
        on.relay.thaw()
        server = await on.server()
        await server.hears(b"early")


@only_linux
@on_both_loops
async def test_freeze_while_the_server_is_dialled() -> None:
    """The server is reached, and its greeting and the client's first words wait for the thaw."""
    async with stage() as on:
        with busy_server(on):
            client = await on.client()
            client.says(b"early")
            await eventually(on.relay.connections, "accepting the client")
            on.relay.freeze()
            await on.server()
        server = await on.server()
        await on.is_told(EventKind.OPENED)
        server.says(b"welcome")
        await on.reads(up=5, down=7)
        await client.hears_nothing()
        await server.hears_nothing()
        on.relay.thaw()
        await client.hears(b"welcome")
        await server.hears(b"early")


@on_both_loops
@pytest.mark.parametrize("leave", [Peer.closes, Peer.resets])
async def test_client_that_ends_during_the_freeze(leave: Callable[[Peer], None]) -> None:
    """The server hears of it when the network is on again, and not before; a reset overtakes what was kept."""
    async with stage() as on:
        client, server = await on.pair()
        on.relay.freeze()
        client.says(b"x")
        await on.reads(up=1)
        leave(client)
        await server.hears_nothing()
        on.relay.thaw()
        if leave is Peer.closes:
            await server.hears(b"x")
            await server.hears_the_end()
        else:
            await server.is_reset()


# -- the environment ends --------------------------------------------------------------------------------


@on_both_loops
async def test_silent_reclaim_leaves_a_zombie() -> None:
    """The client's end is swallowed; the server's stays until the server gives it up."""
    async with stage() as on:
        client, server = await on.pair()
        on.relay.freeze()
        on.relay.reclaim(Reclaim.SILENT)
        client.says(b"x")
        client.closes()
        await on.reads(up=1)
        await server.hears_nothing()
        assert on.only().state is ConnectionState.ZOMBIE
        assert on.kinds() == [EventKind.OPENED, EventKind.ZOMBIE]
        server.closes()
        event = await on.is_told(EventKind.CLOSED)
        assert event.connection.state is ConnectionState.CLOSED
        await eventually(lambda: not on.relay.connections(), "the end of the zombie")


@on_both_loops
async def test_zombie_whose_client_is_never_heard_of_again() -> None:
    """Its network was cut, so its own end does not come: the relay's end of it ends with the server's."""
    async with stage() as on:
        _client, server = await on.pair()
        on.relay.freeze()
        on.relay.reclaim(Reclaim.SILENT)
        await server.hears_nothing()
        assert on.only().state is ConnectionState.ZOMBIE
        server.closes()
        await on.is_told(EventKind.CLOSED)
        await eventually(lambda: not on.relay.connections(), "the end of the zombie")


@on_both_loops
async def test_silent_reclaim_of_what_the_server_had_closed_leaves_nothing() -> None:
    """The server gave it up during the freeze, and of its client nothing will ever be heard."""
    async with stage() as on:
        _client, server = await on.pair()
        on.relay.freeze()
        server.closes()
        await on.is_told(EventKind.CLOSED)
        assert on.only().state is ConnectionState.STALE
        on.relay.reclaim(Reclaim.SILENT)
        await eventually(lambda: not on.relay.connections(), "the end of the connection")
        assert EventKind.ZOMBIE not in on.kinds()


@on_both_loops
async def test_client_that_died_before_a_silent_reclaim() -> None:
    """Killed while frozen and reclaimed then: the server does not hear of that death either."""
    async with stage() as on:
        client, server = await on.pair()
        on.relay.freeze()
        client.resets()
        on.relay.reclaim(Reclaim.SILENT)
        await server.hears_nothing()
        assert on.only().state is ConnectionState.ZOMBIE


@on_both_loops
async def test_zombie_stuck_in_its_answer() -> None:
    """Nobody reads the rest of a large answer, so the server waits; its end is noticed all the same."""
    async with stage() as on:
        client, server = await on.pair()
        pouring = asyncio.create_task(server.pours(LARGE))
        await on.reads(down=1)
        on.relay.reclaim(Reclaim.SILENT)
        client.closes()
        await no_progress(on)
        assert not pouring.done()
        assert on.only().state is ConnectionState.ZOMBIE
        pouring.cancel()
        await asyncio.wait([pouring])
        server.resets()
        await eventually(lambda: not on.relay.connections(), "noticing that the server has left")


@on_both_loops
async def test_fin_reclaim_tells_the_server() -> None:
    """The server hears an end, behind what the client had said and was kept."""
    async with stage() as on:
        client, server = await on.pair()
        on.relay.freeze()
        client.says(b"COMMIT")
        await on.reads(up=6)
        on.relay.reclaim(Reclaim.FIN)
        await server.hears(b"COMMIT")
        await server.hears_the_end()
        await on.is_told(EventKind.CLOSED)
        await client.hears_nothing()
        client.closes()
        await eventually(lambda: not on.relay.connections(), "the end of the connection")


@on_both_loops
async def test_rst_reclaim_resets_the_server() -> None:
    """The server's end is reset, and what was kept is lost."""
    async with stage() as on:
        client, server = await on.pair()
        on.relay.freeze()
        client.says(b"COMMIT")
        await on.reads(up=6)
        on.relay.reclaim(Reclaim.RST)
        await server.is_reset()
        await on.is_told(EventKind.CLOSED)
        await client.hears_nothing()


@on_both_loops
async def test_graceful_reclaim_lets_the_client_close() -> None:
    """It can speak and close while its processes are being ended; the second call settles what it left open."""
    async with stage() as on:
        client, server = await on.pair()
        _, forgotten = await on.pair()
        on.relay.freeze()
        on.relay.reclaim(Reclaim.GRACEFUL)
        client.says(b"QUIT")
        client.closes()
        await server.hears(b"QUIT")
        await server.hears_the_end()
        on.relay.reclaim(Reclaim.FIN)
        await forgotten.hears_the_end()


@on_both_loops
async def test_reclaim_is_settled_by_the_first_call() -> None:
    """Neither a thaw nor another reclaim wakes what was reclaimed silently, and nobody can connect to it."""
    async with stage() as on:
        client, server = await on.pair()
        on.relay.reclaim(Reclaim.SILENT)
        on.relay.reclaim(Reclaim.FIN)
        on.relay.thaw()
        on.relay.reset()
        client.says(b"x")
        await on.reads(up=1)
        await server.hears_nothing()
        assert on.only().state is ConnectionState.ZOMBIE
        with pytest.raises(ConnectionRefusedError):
            await on.client()


@on_both_loops
async def test_connections_that_somebody_else_accepted() -> None:
    """One listener can serve several relays by handing over; what comes for a reclaimed one is closed."""
    async with stage(listen=None) as on:
        door = await asyncio.get_running_loop().create_server(on.relay.accept, *LOOPBACK)
        async with door:
            on.relay.address = door.sockets[0].getsockname()
            client, server = await on.pair()
            client.says(b"hello")
            await server.hears(b"hello")
            on.relay.reclaim(Reclaim.FIN)
            late = await on.client()
            await late.hears_the_end()
            assert len(on.relay.connections()) == 1
            await on.relay.close()


@only_linux
@on_both_loops
async def test_reclaim_while_the_server_is_dialled() -> None:
    """Nothing is left of a client that had not reached the server yet."""
    async with stage() as on:
        with busy_server(on):
            client = await on.client()
            await eventually(on.relay.connections, "accepting the client")
            on.relay.reclaim(Reclaim.SILENT)
            client.closes()
            await eventually(lambda: not on.relay.connections(), "giving up to dial")
            assert on.kinds() == []


@on_both_loops
async def test_reset_closes_and_goes_on_serving() -> None:
    """After a timeout or a crash the living kernel closes at once, and the environment can connect anew."""
    async with stage() as on:
        client, server = await on.pair()
        on.relay.freeze()
        on.relay.reset()
        await server.hears_the_end()
        client.closes()
        client, server = await on.pair()
        client.says(b"again")
        await server.hears(b"again")


@on_both_loops
async def test_close_ends_everything() -> None:
    """Zombies too: that is the way to clean up."""
    async with stage() as on:
        client, server = await on.pair()
        _, other = await on.pair()
        client.closes()
        await server.hears_the_end()
        on.relay.reclaim(Reclaim.SILENT)
        await on.relay.close()
        await other.hears_the_end()
        assert on.relay.connections() == ()
        assert on.kinds().count(EventKind.CLOSED) == 2


# -- time ------------------------------------------------------------------------------------------------


@on_both_loops
@pytest.mark.parametrize("reclaimed", [True, False])
async def test_keepalive_ends_what_does_not_answer(reclaimed: bool) -> None:
    """A zombie, or a client that is frozen for so long, is given up by the server's kernel."""
    async with stage() as on:
        client, server = await on.pair()
        on.relay.freeze()
        if reclaimed:
            on.relay.reclaim(Reclaim.SILENT)
        on.clock.fast_forward(KEEPALIVE - 1)
        await server.hears_nothing()
        on.clock.fast_forward(1)
        await server.is_reset()
        assert "keepalive" in (await on.is_told(EventKind.CLOSED)).reason
        if not reclaimed:
            on.relay.thaw()
            client.says(b"x")
            await client.is_reset()


@on_both_loops
async def test_keepalive_counts_from_the_last_sign_of_life() -> None:
    """A byte, or the answer of a kernel that was not frozen when it was asked, begins it anew."""
    async with stage(keepalive=100) as on:
        client, server = await on.pair()
        on.clock.fast_forward(60)
        client.says(b"x")
        await server.hears(b"x")
        on.clock.fast_forward(100)  # asked at 160, and not frozen
        on.relay.freeze()
        on.clock.fast_forward(99)
        await server.hears_nothing()
        on.clock.fast_forward(1)
        await server.is_reset()


@on_both_loops
async def test_nat_resets_the_client_and_does_not_tell_the_server() -> None:
    """350 idle seconds later the first byte is answered by a reset, and the server keeps its session."""
    async with stage(profile=NAT) as on:
        client, server = await on.pair()
        on.clock.fast_forward(350)
        client.says(b"in time")
        await server.hears(b"in time")
        on.relay.freeze()
        on.clock.fast_forward(351)
        on.relay.thaw()
        assert on.only().state is ConnectionState.STALE
        client.says(b"too late")
        await client.is_reset()
        await server.hears_nothing()
        assert on.kinds() == [EventKind.OPENED, EventKind.STALE, EventKind.BROKEN]
        assert on.only().state is ConnectionState.STALE


@on_both_loops
async def test_firewall_says_nothing() -> None:
    """350 idle seconds later everything the client says is dropped, its end as well."""
    async with stage(profile=FIREWALL) as on:
        client, server = await on.pair()
        on.clock.fast_forward(351)
        client.says(b"hello?")
        await on.reads(up=6)
        await client.hears_nothing()
        client.closes()
        await on.is_told(EventKind.STALE)
        await server.hears_nothing()
        assert on.only().state is ConnectionState.STALE


@on_both_loops
@pytest.mark.parametrize("profile", [NAT, FIREWALL])
async def test_late_answer_is_lost(profile: PathProfile) -> None:
    """An answer that takes longer than the path remembers does not arrive, and neither does the server's end."""
    async with stage(profile=profile) as on:
        client, server = await on.pair()
        client.says(b"SELECT SLEEP(400)")
        await server.hears(b"SELECT SLEEP(400)")
        on.clock.fast_forward(400)
        server.says(b"0")
        await on.reads(down=1)
        server.closes()
        await on.is_told(EventKind.CLOSED)
        await client.hears_nothing()


@on_both_loops
async def test_path_is_kept_alive_by_an_unanswered_server() -> None:
    """What the server said early in a long freeze is sent again until the thaw: it arrives and nothing is stale."""
    async with stage(profile=NAT) as on:
        client, server = await on.pair()
        on.relay.freeze()
        server.says(b"an answer")
        await on.reads(down=9)
        on.clock.fast_forward(1000)
        on.relay.thaw()
        await client.hears(b"an answer")
        client.says(b"thank you")
        await server.hears(b"thank you")


@on_both_loops
async def test_reclaim_over_a_forgotten_path() -> None:
    """The end that a dying kernel sends is lost like everything else: a zombie, in spite of the FIN."""
    async with stage(profile=NAT) as on:
        _, server = await on.pair()
        on.clock.fast_forward(351)
        on.relay.reclaim(Reclaim.FIN)
        await server.hears_nothing()
        assert on.only().state is ConnectionState.ZOMBIE


@on_both_loops
async def test_skipped_time_ends_idle_sessions() -> None:
    """What has been idle for wait_timeout is closed for the server; the client meets it after the thaw."""
    async with stage() as on:
        client, server = await on.pair()
        on.clock.fast_forward(1)
        _, busy = await on.pair()
        on.relay.freeze()
        on.clock.fast_forward(99)
        assert on.relay.close_idle_as_server(100) == 1
        await server.hears_the_end()
        await busy.hears_nothing()
        assert "wait_timeout" in (await on.is_told(EventKind.CLOSED)).reason
        on.relay.thaw()
        await client.hears_nothing()
        client.says(b"SELECT 1")
        await client.is_reset()


@on_both_loops
async def test_skipped_time_leaves_the_running_alone() -> None:
    """A client that is not frozen would notice: its connections are the server's own affair."""
    async with stage() as on:
        _, server = await on.pair()
        on.clock.fast_forward(1000)
        assert on.relay.close_idle_as_server(100) == 0
        await server.hears_nothing()


# -- addresses, counts, many -----------------------------------------------------------------------------


@on_both_loops
async def test_address_that_is_taken() -> None:
    """The error names the address and what can be done."""
    with socket.create_server(LOOPBACK) as other:
        with pytest.raises(AddressInUseError, match=f"{other.getsockname()[1]}") as caught:
            Relay(EnvironmentId("e"), LOOPBACK, clock=FakeClock(), on_event=print, listen=other.getsockname())
        assert isinstance(caught.value.__cause__, OSError)
        assert caught.value.__cause__.errno == errno.EADDRINUSE
        assert caught.value.cure


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have 127.0.0.1 only")
@on_both_loops
async def test_source_address_of_its_own() -> None:
    """The server sees the environment's own address."""
    async with stage(source="127.77.3.4") as on:
        _, server = await on.pair()
        assert server.socket.getpeername()[0] == "127.77.3.4"
        assert on.only().source == server.socket.getpeername()


@on_both_loops
async def test_statistics_count_the_living_and_the_closed() -> None:
    """Bytes and connections of the past stay in the sums."""
    async with stage() as on:
        client, server = await on.pair()
        client.says(b"four")
        await server.hears(b"four")
        server.closes()
        client.closes()
        await eventually(lambda: not on.relay.connections(), "the end of the first")
        _, server = await on.pair()
        server.says(b"seven !")
        await on.reads(down=7)
        on.relay.reclaim(Reclaim.SILENT)
        counts = on.relay.statistics()
        assert (counts.opened, counts.open, counts.stale, counts.zombies) == (2, 0, 0, 1)
        assert (counts.bytes_up, counts.bytes_down) == (4, 7)


@on_both_loops
async def test_a_thousand_connections() -> None:
    """They are opened, frozen, thawed and reclaimed together, and not one is lost or left."""
    number = 1000 if enough_files(4200) else 100
    async with stage() as on:
        on.listener.listen(number)
        pairs = [await on.pair() for _ in range(number)]
        for client, _ in pairs:
            client.says(b"q")
        for _, server in pairs:
            await server.hears(b"q")
        on.relay.freeze()
        for _, server in pairs:
            server.says(b"a")
        await eventually(lambda: on.relay.statistics().bytes_down == number, "reading all answers")
        on.relay.thaw()
        for client, _ in pairs:
            await client.hears(b"a")
        on.relay.reclaim(Reclaim.SILENT)
        for client, _ in pairs:
            client.closes()
        assert on.relay.statistics().zombies == number
        for _, server in pairs:
            server.closes()
        await eventually(lambda: not on.relay.connections(), "the end of all zombies")


def enough_files(number: int) -> bool:
    """Whether so many sockets may be open at once."""
    resource = pytest.importorskip("resource")
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return bool(soft == resource.RLIM_INFINITY or soft >= number)


# -- all relays ------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def all_relays(remembered: int = 10) -> AsyncIterator[tuple[Relays, socket.socket, list[RelayEvent]]]:
    """The relays to one server, the server's listener, and the events."""
    events = list[RelayEvent]()
    with socket.create_server(LOOPBACK) as listener:
        listener.setblocking(False)
        async with Relays(
            listener.getsockname(), clock=FakeClock(), on_event=events.append, remembered=remembered
        ) as relays:
            yield relays, listener, events


async def connect(relay: Relay, listener: socket.socket) -> tuple[socket.socket, socket.socket, Address]:
    """A client's socket, the server's, and what the server sees as the client's address."""
    loop = asyncio.get_running_loop()
    client = socket.socket()
    client.setblocking(False)
    async with asyncio.timeout(DEADLINE):
        await loop.sock_connect(client, relay.address)
        server, source = await loop.sock_accept(listener)
    return client, server, source


@on_both_loops
async def test_owner_is_known_beyond_its_death() -> None:
    """The server's view of a client leads to its environment: open, zombie, and closed."""
    async with all_relays() as (relays, listener, events):
        first, second = relays.make(EnvironmentId("first")), relays.make(EnvironmentId("second"))
        async with first, second:
            ends = [await connect(relay, listener) for relay in (first, second)]
            await eventually(lambda: len(events) == 2, "reaching the server")
            sources = [source for _, _, source in ends]
            assert [relays.owner_of(source) for source in sources] == ["first", "second"]
            assert relays.owner_of(("127.0.0.1", 1)) is None
            assert relays.close_idle_as_server(0) == 0
            first.reclaim(Reclaim.SILENT)
            ends[0][0].close()
            assert [connection.state for connection in relays.connections()] == ["zombie", "open"]
            ends[0][1].close()
            await eventually(lambda: len(relays.connections()) == 1, "the end of the zombie")
            assert relays.owner_of(sources[0]) == "first"
            closed = relays.find(sources[0])
            assert closed is not None
            assert closed.state is ConnectionState.CLOSED
            for _, server, _ in ends[1:]:
                server.close()
            ends[1][0].close()


@on_both_loops
async def test_memory_of_closed_connections_is_bounded() -> None:
    """The oldest are forgotten first, and open ones never."""
    async with all_relays(remembered=2) as (relays, listener, events), relays.make(EnvironmentId("one")) as relay:
        kept = await connect(relay, listener)
        sources = []
        for number in range(4):
            client, server, source = await connect(relay, listener)
            client.close()
            server.close()
            sources.append(source)
            await eventually(
                lambda number=number: [e.kind for e in events].count(EventKind.CLOSED) == number + 1,  # type: ignore[misc]
                "the end of a connection",
            )
        assert [relays.owner_of(source) for source in sources] == [None, None, "one", "one"]
        assert relays.owner_of(kept[2]) == "one"
        kept[0].close()
        kept[1].close()


@on_both_loops
async def test_all_relays_are_closed_with_their_registry() -> None:
    """Whatever was not closed before is closed then, and servers hear of it."""
    async with all_relays() as (relays, listener, events):
        relay = relays.make(EnvironmentId("left open"))
        await relay.__aenter__()
        client, server, _ = await connect(relay, listener)
        await eventually(lambda: len(events) == 1, "reaching the server")
        relay.reclaim(Reclaim.SILENT)
    assert await asyncio.get_running_loop().sock_recv(server, 1) == b""
    assert relays.connections() == ()
    client.close()
    server.close()


# -- who uses it, and who ends it ---------------------------------------------------------------------------


def used(on: Stage) -> list[tuple[EventKind, RequestId | None]]:
    """What was told of uses, and of attempts."""
    return [(event.kind, event.request_id) for event in on.events if event.kind in (EventKind.USED, EventKind.BROKEN)]


@on_both_loops
async def test_each_invocation_that_uses_a_connection_is_told_once() -> None:
    """Not the one that has opened it, and not every piece of what it says."""
    async with stage() as on:
        on.relay.current_request = lambda: RequestId("r1")
        client, server = await on.pair()
        for request in ("r1", "r1", "r2", "r2", "r3"):
            on.relay.current_request = lambda request=request: RequestId(request)  # type: ignore[misc]
            client.says(b"hello")
            await server.hears(b"hello")
        assert used(on) == [(EventKind.USED, "r2"), (EventKind.USED, "r3")]
        view = on.only()
        assert (view.request_id, view.used_by, view.ended_by) == ("r1", "r3", None)


@on_both_loops
async def test_what_is_given_up_is_not_used() -> None:
    """The attempt is told, with its invocation, and who had ended the connection."""
    async with stage() as on:
        client, server = await on.pair()
        on.relay.freeze()
        server.closes()
        await on.is_told(EventKind.CLOSED)
        on.relay.current_request = lambda: RequestId("r2")
        on.relay.thaw()
        client.says(b"hello?")
        await client.is_reset()
        assert used(on) == [(EventKind.BROKEN, "r2")]
        assert on.events[-1].connection.ended_by is EndedBy.SERVER


@on_both_loops
async def test_an_attempt_that_nobody_answers_is_told_once() -> None:
    """However often the client tries again."""
    async with stage(profile=FIREWALL) as on:
        client, _ = await on.pair()
        on.clock.fast_forward(351)
        for number in range(3):
            client.says(b"hello?")
            await on.reads(up=6 * (number + 1))
        assert [kind for kind, _ in used(on)] == [EventKind.BROKEN]


@on_both_loops
@pytest.mark.parametrize(
    ("last_word", "reason", "by"),
    [
        (b"\x01\x00\x00\x00\x01", "the client closed it", EndedBy.CLIENT),
        (b"SELECT SLEEP(9)", "the server closed it", EndedBy.SERVER),
    ],
)
async def test_a_server_that_closes_after_a_goodbye_has_not_ended_it(
    last_word: bytes, reason: str, by: EndedBy
) -> None:
    """It is often heard before the client's own end; in the middle of a statement it is the server's doing."""
    async with stage() as on:
        client, server = await on.pair()
        client.says(last_word)
        await server.hears(last_word)
        server.closes()
        await client.hears_the_end()
        client.closes()
        event = await on.is_told(EventKind.CLOSED)
        assert (event.reason, event.connection.ended_by) == (reason, by)


@on_both_loops
async def test_a_goodbye_that_was_answered_is_none() -> None:
    """A ping is as long, and gets an answer."""
    async with stage() as on:
        client, server = await on.pair()
        client.says(b"12345")
        await server.hears(b"12345")
        server.says(b"ok")
        await client.hears(b"ok")
        server.closes()
        await client.hears_the_end()
        client.closes()
        assert (await on.is_told(EventKind.CLOSED)).connection.ended_by is EndedBy.SERVER


@on_both_loops
async def test_an_environment_that_is_ended_has_ended_it() -> None:
    """By its kernel, which closes what its processes had open."""
    async with stage() as on:
        await on.pair()
        on.relay.reclaim(Reclaim.FIN)
        assert (await on.is_told(EventKind.CLOSED)).connection.ended_by is EndedBy.ENVIRONMENT
