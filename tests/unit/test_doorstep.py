"""The doorstep: what has come and was not read."""

from __future__ import annotations

import socket
from contextlib import closing

from emulator.doorstep import Doorstep


def test_somebody_is_there_from_the_moment_of_asking_until_it_is_read() -> None:
    """Whoever is watched; others are not seen."""
    mine, theirs = socket.socketpair()
    other, stranger = socket.socketpair()
    with mine, theirs, other, stranger, closing(Doorstep()) as doorstep:
        doorstep.watch(mine.fileno())
        stranger.send(b"x")
        assert not doorstep.is_somebody_there()
        theirs.send(b"x")
        assert doorstep.is_somebody_there()
        assert doorstep.is_somebody_there()
        mine.recv(1)
        assert not doorstep.is_somebody_there()


def test_a_connection_that_was_closed_is_forgotten_and_one_that_is_none_is_no_error() -> None:
    """Clients come and go, and some go before anybody has looked."""
    mine, theirs = socket.socketpair()
    with mine, theirs:
        doorstep = Doorstep()
        doorstep.watch(mine.fileno())
        theirs.send(b"x")
        mine.close()
        assert not doorstep.is_somebody_there()
        doorstep.watch(-1)
        doorstep.close()
        assert not doorstep.is_somebody_there()
        doorstep.watch(theirs.fileno())
