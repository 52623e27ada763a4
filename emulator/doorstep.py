"""Whether a client has asked for something that nobody has read yet: a look at the doorstep, without going there.

When an environment comes to rest, its processes are to stop at once; but where the next event is on its way already,
to stop and to continue them would be for nothing. The loop would tell of the event only after it has been through all
that it is busy with. The kernel knows it now, and says so in a microsecond.
"""

from __future__ import annotations

import contextlib
import select

__all__ = ["Doorstep"]


class Doorstep:
    """The connections of all clients, those that have gone away excepted: the kernel drops them when they are closed.

    What is read in another way than by waiting, because the client was told to wait, counts as being there: it is.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()

    def watch(self, descriptor: int) -> None:
        """One more connection, if it is still there."""
        with contextlib.suppress(OSError, ValueError):
            self._epoll.register(descriptor, select.EPOLLIN)

    def is_somebody_there(self) -> bool:
        """Something has come, from anybody, that was not read."""
        return not self._epoll.closed and bool(self._epoll.poll(0, 1))

    def close(self) -> None:
        """Nobody looks any more."""
        self._epoll.close()
