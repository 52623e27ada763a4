"""What is told of relays and their connections: settings, records and events. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from emulator.model import EnvironmentId, RequestId

__all__ = [
    "DIRECT",
    "FIREWALL",
    "NAT",
    "PATHS",
    "Address",
    "ConnectionState",
    "EndedBy",
    "EventKind",
    "PathProfile",
    "RelayEvent",
    "RelayStatistics",
    "RelayedConnection",
]

Address = tuple[str, int]


class ConnectionState(StrEnum):
    """What has become of a connection."""

    OPEN = "open"  # bytes pass, or will at the thaw
    STALE = "stale"  # one end, or the path between them, has given it up and the client does not know
    ZOMBIE = "zombie"  # the server still holds it and its environment is gone
    CLOSED = "closed"


class EndedBy(StrEnum):
    """Who has ended a connection, as far as it has ended."""

    CLIENT = "client"
    SERVER = "server"
    ENVIRONMENT = "environment"  # its processes were ended, and their kernel spoke for them
    EMULATOR = "emulator"


class EventKind(StrEnum):
    """What happens to a connection; the words are those of the timeline."""

    OPENED = "connection.opened"
    USED = "connection.used"  # the client has spoken in an invocation other than the one before, once for each
    BROKEN = "connection.broken"  # the client has spoken on one that was given up: a reset answers, or nobody
    FAILED = "connection.failed"  # the server could not be reached; the client was reset
    STALE = "connection.stale"
    ZOMBIE = "connection.zombie"
    CLOSED = "connection.closed"  # the server's end is over, whatever the client knows of it
    REFUSED = "connection.refused"  # the server did not let it in: Too many connections (1040), a wrong password


@dataclass(frozen=True, slots=True)
class PathProfile:
    """What lies between an environment and the server, and forgets connections that are not used.

    Attributes:
        name: as the configuration has it.
        idle: seconds without a byte after which a connection is forgotten; ``None`` for never.
        on_stale: the answer to the first byte after that: a reset, or nothing at all, ever.
    """

    name: str
    idle: float | None = None
    on_stale: Literal["rst", "drop"] = "rst"


# [D] A function in the server's own VPC has nothing in between that would forget it within five days.
DIRECT = PathProfile("direct")
NAT = PathProfile("nat", 350.0, "rst")  # [D] NAT gateway
FIREWALL = PathProfile("firewall", 350.0, "drop")  # [D] Network Firewall
PATHS: Mapping[str, PathProfile] = {profile.name: profile for profile in (DIRECT, NAT, FIREWALL)}


@dataclass(frozen=True, slots=True)
class RelayedConnection:
    """One connection from an environment to the server, as it is or, once closed, as it was.

    Attributes:
        client: the client's end, as the environment's own kernel has it.
        source: the client's end as the server sees it; ``None`` before the server was reached.
        opened_at: when the client connected, in seconds since the epoch.
        idle_seconds: since the last byte passed.
        bytes_up: from client to server, as far as the relay has read them.
        bytes_down: from server to client, likewise.
        request_id: the invocation that ran when it was opened.
        used_by: the last invocation in which the client spoke, or tried to.
        ended_by: who has ended it; ``None`` where nobody has, or the path between them did.
    """

    environment: EnvironmentId
    request_id: RequestId | None
    client: Address
    source: Address | None
    state: ConnectionState
    opened_at: float
    idle_seconds: float
    bytes_up: int
    bytes_down: int
    used_by: RequestId | None = None
    ended_by: EndedBy | None = None


@dataclass(frozen=True, slots=True)
class RelayEvent:
    """Something happened to a connection; ``reason`` says why, in words for people."""

    kind: EventKind
    reason: str
    connection: RelayedConnection

    @property
    def request_id(self) -> RequestId | None:
        """The invocation that has used it, where that is what happened; else the one that has opened it."""
        by_use = self.kind in (EventKind.USED, EventKind.BROKEN)
        return self.connection.used_by if by_use else self.connection.request_id


@dataclass(frozen=True, slots=True)
class RelayStatistics:
    """Counts over all connections that ever reached the server, and over those that it holds now."""

    opened: int
    open: int
    stale: int
    zombies: int
    bytes_up: int
    bytes_down: int
