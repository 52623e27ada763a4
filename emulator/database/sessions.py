"""Whose session is that: the join of the server's process list to execution environments. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from emulator.model import ConnectionsSummary, EnvironmentId, RequestId, Session

__all__ = ["EnvironmentFacts", "ProcessRow", "Timeouts", "is_session", "join_sessions", "summarize"]

# Threads of the server itself (users), and what they, or a client that has not logged in yet, are doing.
_SYSTEM_USERS = frozenset({"system user", "event_scheduler", "unauthenticated user"})
_SYSTEM_COMMANDS = frozenset({"Daemon"})


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """One row of the server's process list.

    Attributes:
        id: the server's thread id.
        host: ``address:port`` of the client, or a name where the server has no port to tell.
        seconds: how long the thread has been doing what it does.
        locked_rows: how many rows its open transaction locks; ``None`` where it has none, or it cannot be seen.
    """

    id: int
    user: str
    host: str
    database: str | None
    command: str
    seconds: float
    statement: str | None
    locked_rows: int | None = None


@dataclass(frozen=True, slots=True)
class Timeouts:
    """When a server gives sleeping sessions up, in seconds.

    Attributes:
        wait_timeout: of sleep.
        keepalive: without an answer from the client's kernel; a zombie's has none.
        idle: how long it has been silent on the emulator's clock, which may have been forwarded, by ``host``.
    """

    wait_timeout: float
    keepalive: float
    idle: Mapping[str, float] = field(default_factory=dict)

    def drops_in(self, row: ProcessRow, *, zombie: bool) -> float | None:
        if row.command != "Sleep":
            return None
        limit = min(self.wait_timeout, self.keepalive) if zombie else self.wait_timeout
        return max(0.0, limit - max(row.seconds, self.idle.get(row.host, 0.0)))


@dataclass(frozen=True, slots=True)
class EnvironmentFacts:
    """What a session needs to know of the environment that opened it.

    Attributes:
        request_id: the invocation that it serves, or the last one that it served.
        gone: nothing is left of it.
    """

    id: EnvironmentId
    function: str
    state: str
    request_id: RequestId | None
    gone: bool = False


def is_session(row: ProcessRow) -> bool:
    """Whether somebody is logged in there: not a thread of the server's own, not a client at the door."""
    return row.user not in _SYSTEM_USERS and row.command not in _SYSTEM_COMMANDS


def join_sessions(
    rows: Iterable[ProcessRow],
    owners: Mapping[int, EnvironmentId],
    environments: Mapping[EnvironmentId, EnvironmentFacts],
    own: Collection[int] = (),
    timeouts: Timeouts | None = None,
) -> tuple[Session, ...]:
    """Every session but the emulator's own, by thread id, with the environment that opened it.

    A session that no environment opened is somebody else's, the user's own client for one. It is listed,
    with no environment, for it takes up a connection like every other.

    Arguments:
        rows: the server's process list.
        owners: which environment opened which thread, as far as that is known.
        environments: the ones there are, and those there were.
        own: thread ids of the emulator's sessions.
        timeouts: for how long the server will hold them.
    """
    joined = []
    for row in sorted(rows, key=lambda row: row.id):
        if row.id in own or not is_session(row):
            continue
        owner = owners.get(row.id)
        facts = environments.get(owner) if owner is not None else None
        zombie = facts is not None and facts.gone
        joined.append(
            Session(
                id=row.id,
                environment=facts.id if facts is not None else None,
                environment_state=facts.state if facts is not None else None,
                function=facts.function if facts is not None else None,
                request_id=facts.request_id if facts is not None else None,
                user=row.user,
                database=row.database,
                command=row.command,
                seconds=row.seconds,
                statement=row.statement,
                client_address=row.host,
                zombie=zombie,
                locked_rows=row.locked_rows,
                drops_in=timeouts.drops_in(row, zombie=zombie) if timeouts is not None else None,
            )
        )
    return tuple(joined)


def summarize(
    sessions: Sequence[Session], *, max_connections: int, wait_timeout: int, reserved: int
) -> ConnectionsSummary:
    """Counts over all sessions, and the limits they run against.

    ``connected`` counts every session of the list, whoever opened it, and ``max_connections`` leaves out the
    ``reserved`` ones that the emulator keeps for itself. So the two can be compared: when they are equal,
    the next connection gets ``Too many connections``. A session is sleeping or active, and either may be a
    zombie as well.
    """
    sleeping = sum(session.command == "Sleep" for session in sessions)
    return ConnectionsSummary(
        connected=len(sessions),
        active=len(sessions) - sleeping,
        sleeping=sleeping,
        zombies=sum(session.zombie for session in sessions),
        max_connections=max(0, max_connections - reserved),
        wait_timeout=wait_timeout,
    )
