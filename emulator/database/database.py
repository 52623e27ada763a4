"""The database of an emulator as a whole: its server, the relays that lead there, and the observer of its sessions."""

from __future__ import annotations

import contextlib

from emulator.database.observer import Observer
from emulator.database.relay_records import PATHS
from emulator.database.relays import Relays
from emulator.database.server import DatabaseServer
from emulator.errors import DatabaseError, InvalidParameterValueError
from emulator.model import ConnectionsSummary, EnvironmentId, Session
from emulator.timeline import Timeline

__all__ = ["Database"]


class Database:
    """What can be asked of it and done to it from outside; without a database none of the three is there.

    Arguments:
        server: runs already.
        timeline: hears of what is done by hand.
    """

    def __init__(
        self, server: DatabaseServer | None, observer: Observer | None, relays: Relays | None, timeline: Timeline
    ) -> None:
        self.server, self.relays = server, relays
        self._observer = observer
        self._timeline = timeline

    @property
    def kind(self) -> str | None:
        """``local`` and ``docker`` are the emulator's own, ``url`` is the user's; ``None`` without a database."""
        return self.server.kind if self.server is not None else None

    @property
    def trouble(self) -> str | None:
        """Why the server could not be asked the last time; ``None`` where it answered, or nobody asks."""
        return self._observer.trouble if self._observer is not None else None

    def sessions_of(self, environment_id: EnvironmentId) -> int | None:
        """How many sessions an environment held at the last look; ``None`` where nobody has looked."""
        return self._observer.sessions_of(environment_id) if self._observer is not None else None

    async def look(self) -> None:
        """Have the counts of sessions in views be of this moment, where a database can be asked."""
        if self._observer is not None:
            with contextlib.suppress(DatabaseError):
                await self._observer.sample()

    async def connections(
        self, environment: EnvironmentId | None = None
    ) -> tuple[tuple[Session, ...], ConnectionsSummary]:
        """The sessions of the database, looked at now.

        Raises:
            DatabaseError: there is no database, or it does not answer.
        """
        if self._observer is None:
            raise _none()
        return await self._observer.connections(environment=environment)

    async def kill_zombies(self) -> list[Session]:
        """Have the server end every session whose environment is gone; answers which.

        Raises:
            DatabaseError: there is no database, or it does not do that.
        """
        if self._observer is None:
            raise _none()
        return await self._observer.kill_zombies()

    async def restart(self) -> None:
        """End the emulator's own server and start it anew on the same data: every session is lost.

        Raises:
            DatabaseError: there is no server, it is the user's own, or it does not come back.
        """
        await self._running.restart()
        self._timeline.record("database.restarted", "restarted by hand")
        await self.look()

    async def fail_over(self) -> None:
        """From now on the sessions that there are may only read, and those to come may write.

        Raises:
            DatabaseError: there is no server, it is the user's own, or it refuses.
        """
        await self._running.fail_over()
        self._timeline.record(
            "database.failover", "the sessions that are open belong to the old writer and may only read"
        )

    async def fail_back(self) -> None:
        """Every session may write again.

        Raises:
            DatabaseError: as :meth:`fail_over`.
        """
        await self._running.fail_back()
        self._timeline.record("database.failback", "every session may write again")

    def take_path(self, name: str) -> str:
        """Put something else between environments and their database; answers what was there before.

        Arguments:
            name: as in the configuration: ``direct``, ``nat``, ``firewall``.

        Raises:
            InvalidParameterValueError: there is no such path.
            DatabaseError: there is no database.
        """
        if name not in PATHS:
            raise InvalidParameterValueError(f"there is no path {name!r}", cure=f"There are {', '.join(PATHS)}.")
        if self.relays is None:
            raise _none()
        before = self.relays.profile.name
        self.relays.take_path(PATHS[name])
        return before

    async def age_sessions(self) -> None:
        """What the server would have closed by this moment of the emulator's clock, is closed."""
        if self._observer is not None and self.relays is not None:
            with contextlib.suppress(DatabaseError):
                _, summary = await self._observer.connections()
                self.relays.close_idle_as_server(summary.wait_timeout)
                await self.look()  # by the end of which they are closed, and told

    @property
    def _running(self) -> DatabaseServer:
        if self.server is None:
            raise _none()
        return self.server


def _none() -> DatabaseError:
    return DatabaseError("this emulator runs without a database", cure='Set server = "auto" in [database].')
