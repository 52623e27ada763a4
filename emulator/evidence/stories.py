"""The records of it: one for each session, each invocation and each environment."""

from __future__ import annotations

from dataclasses import dataclass

from emulator.model import EnvironmentId, RequestId

__all__ = ["EnvironmentStory", "InvocationStory", "SessionStory"]


@dataclass(frozen=True, slots=True)
class SessionStory:
    """One session of the server. Moments are seconds since the epoch, ``seq`` the number of the event it began with.

    Attributes:
        id: the server's thread id, where the observer has seen it.
        client: the port of the function's own end, 0 where it is not known.
        opened_by: the invocation that ran, or was waited for, when it was opened; ``None`` where it was opened ahead
            of any, or before the first of the events.
        opened_at: ``None`` for what was open before the first of the events.
        in_init: it was opened while its environment was initialised.
        origin: the place in the code that opened it, ``app.py:12 in handler``; ``None`` where that is not known.
        used_by: the later invocations that spoke on it, in order.
        broken_by: the invocation that spoke on it when it was given up already, and met a reset or silence.
        stale: why the path between the two ends has forgotten it; ``None`` where it has not.
        end: why it ended; ``None`` while the server holds it.
        ended_by: ``client``, ``server``, ``environment`` or ``emulator``.
        end_state: the state of its environment at that moment.
        end_seq: the number of the event with which it ended, or was forgotten by the path.
        frozen_for: for how long its environment was frozen when it ended in that time, in seconds; ``None`` if it did
            not, or is not thawed yet.
        zombie_since: when its environment was gone without a word.
    """

    seq: int
    id: int | None
    environment: EnvironmentId
    client: int
    opened_by: RequestId | None
    opened_at: float | None
    in_init: bool = False
    origin: str | None = None
    used_by: tuple[RequestId, ...] = ()
    broken_by: RequestId | None = None
    stale: str | None = None
    end: str | None = None
    ended_at: float | None = None
    ended_by: str | None = None
    end_state: str | None = None
    end_seq: int | None = None
    frozen_for: float | None = None
    zombie_since: float | None = None

    @property
    def is_new(self) -> bool:
        """It was opened within the events."""
        return self.opened_at is not None

    @property
    def is_zombie(self) -> bool:
        """Its environment is gone, and the server still holds it."""
        return self.zombie_since is not None and self.end is None


@dataclass(frozen=True, slots=True)
class InvocationStory:
    """One invocation. ``number`` counts them from 1, in the order in which they began."""

    number: int
    request_id: RequestId
    environment: EnvironmentId
    seq: int
    end_seq: int | None = None

    def runs_at(self, seq: int) -> bool:
        """Whether it had begun by that event, and was not finished."""
        return self.seq <= seq and (self.end_seq is None or self.end_seq > seq)


@dataclass(frozen=True, slots=True)
class EnvironmentStory:
    """One environment. ``peak`` is the most sessions that it had at once; ``end`` says why it was ended."""

    id: EnvironmentId
    function: str
    end: str | None = None
    end_seq: int | None = None
    peak: int = 0
