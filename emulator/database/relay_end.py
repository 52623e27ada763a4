"""One socket of a relayed connection: what it says, what it is told, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import struct
from typing import Protocol, cast

from emulator.database.relay_records import Address

__all__ = ["Conversation", "End"]

# What may be kept of one side before the relay stops reading it; then its kernel and the peer's fill up,
# and the peer waits, as it would for a receiver that acknowledges nothing.
_KEPT_BYTES = 256 * 1024
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Conversation(Protocol):
    """Who decides what becomes of the things an end hears from its peer; one method for each."""

    def connected(self, end: End) -> None: ...

    def said(self, end: End, data: bytes) -> None: ...

    def finished(self, end: End) -> None:
        """FIN: the peer will say nothing more. It may still listen."""
        ...

    def lost(self, end: End, error: Exception | None) -> None:
        """The socket is closed: by the peer's reset or a dead network if there is an error, else by us."""
        ...


class End(asyncio.Protocol):
    """A socket and its peer. Reading pauses while too much is kept, or while the other end is slow."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self._transport: asyncio.Transport | None = None
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self._full = False
        self._other_is_slow = False
        self._drains = False
        self.other: End
        self.received = 0
        self.has_finished = False
        self.is_gone = False

    # -- what can be asked -------------------------------------------------------------------------------

    @property
    def was_connected(self) -> bool:
        return self._transport is not None

    @property
    def is_open(self) -> bool:
        """Connected, and neither side has closed it; a peer that has only finished may still listen."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def local_address(self) -> Address:
        return self._address("sockname")

    @property
    def peer_address(self) -> Address:
        return self._address("peername")

    def has_hung_up(self) -> bool:
        """Whether the peer has closed behind our back: reading is paused, and its end lies behind the unread."""
        if not self.is_open or not self._reading_is_paused:
            return False
        poll = select.poll()
        poll.register(self._socket(), getattr(select, "POLLRDHUP", 0))  # elsewhere only resets are seen
        return bool(poll.poll(0))

    # -- what can be done --------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        transport = self._transport
        if transport is not None and not transport.is_closing():
            transport.write(data)

    def finish(self) -> None:
        """FIN, after all that was sent; the peer may go on speaking."""
        if self._transport is not None and not self._transport.is_closing():
            with contextlib.suppress(OSError):  # the peer has reset it, and that is on its way to us
                self._transport.write_eof()

    def close(self) -> None:
        """As a process closes a socket: what was sent still arrives, what the peer says now is reset."""
        if self._transport is not None:
            self._transport.close()

    def reset(self) -> None:
        """RST, and nothing else."""
        if self._transport is not None and not self._transport.is_closing():
            with contextlib.suppress(OSError):  # the peer was faster
                self._socket().setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._transport.abort()

    def abort(self) -> None:
        """Close at once, whatever was sent and has not arrived."""
        if self._transport is not None:
            self._transport.abort()

    def keep(self, data: bytes) -> None:
        """Keep what the peer said for later."""
        self._kept.append(data)
        self._kept_bytes += len(data)
        if self._kept_bytes >= _KEPT_BYTES and not self._full:
            self._full = True
            self._govern_reading()

    def take(self) -> list[bytes]:
        """What was kept; from now on reading goes on."""
        kept, self._kept, self._kept_bytes = self._kept, [], 0
        if self._full:
            self._full = False
            self._govern_reading()
        return kept

    def drain(self) -> None:
        """Drop what was kept and read to the end, for that is all that is still of interest."""
        self._drains = True
        self._kept.clear()
        self._govern_reading()

    @property
    def keeps_something(self) -> bool:
        return bool(self._kept)

    # -- asyncio -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        with contextlib.suppress(OSError):  # already gone
            self._socket().setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._conversation.connected(self)

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        self._conversation.said(self, data)

    def eof_received(self) -> bool:
        self.has_finished = True
        self._conversation.finished(self)
        return True  # the transport stays: who has finished may still listen

    def connection_lost(self, exc: Exception | None) -> None:
        if self.is_gone:
            return
        self.is_gone = True
        self.resume_writing()  # nobody waits for somebody who is gone
        self._conversation.lost(self, exc)

    def pause_writing(self) -> None:
        self.other._other_is_slow = True
        self.other._govern_reading()

    def resume_writing(self) -> None:
        self.other._other_is_slow = False
        self.other._govern_reading()

    def _govern_reading(self) -> None:
        # After its end there is nothing to read: a transport that resumed would find the end a second time.
        if self._transport is None or self._transport.is_closing() or self.has_finished:
            return
        # uvloop may have closed it without a word yet. Who is told of one end's loss must not fail by the other's.
        with contextlib.suppress(RuntimeError):
            if self._reading_is_paused:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    @property
    def _reading_is_paused(self) -> bool:
        return (self._full or self._other_is_slow) and not self._drains

    def _socket(self) -> socket.socket:
        assert self._transport is not None
        return cast(socket.socket, self._transport.get_extra_info("socket"))

    def _address(self, which: str) -> Address:
        # The client may be gone before it was looked at, and then has no name any more.
        address = self._transport.get_extra_info(which) if self._transport is not None else None
        return (address[0], address[1]) if address else ("", 0)
