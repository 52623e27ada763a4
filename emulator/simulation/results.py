"""What a simulation tells of one policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["OverTime", "Result"]


@dataclass(frozen=True, slots=True)
class OverTime:
    """Figures for parts of time of one length, from the beginning; the last part may be shorter.

    Attributes:
        width: seconds that one part takes.
        busy, idle: environments, on average over the part.
        in_use, resting, zombies: sessions, on average over the part.
        most: the most sessions at any moment of the part.
    """

    width: float
    busy: Sequence[float]
    idle: Sequence[float]
    in_use: Sequence[float]
    resting: Sequence[float]
    zombies: Sequence[float]
    most: Sequence[float]


@dataclass(frozen=True, slots=True)
class Result:
    """One policy under one workload. Means are over time.

    Attributes:
        policy: as it was asked for; ``rules`` says in words what that is.
        seconds: how long it was watched, on the simulation's clock.
        refused: events that found no free place in the concurrency limit, or too many starts: 429.
        connections: sessions that the server would have to hold, had it no limit: of environments that serve, of
            idle ones, and zombies, whose environment is gone.
        wasted: the part of all session time that is not of environments that serve.
        seconds_above: for how long more would be held than ``max_connections``.
        refused_connects: connects that a server with the limit answers with error 1040, by as many
            ``refused_connect_events``. An environment tries again with its next event.
        took: real seconds.
    """

    policy: str
    rules: tuple[str, ...]
    reclaim: str
    seconds: float
    events: int
    served: int
    refused: int
    cold_starts: int
    recycled: int
    peak_environments: int
    peak_busy: int
    peak_idle: int
    mean_environments: float
    mean_busy: float
    mean_idle: float
    max_connections: int
    peak_connections: int
    mean_connections: float
    peak_idle_connections: int
    mean_idle_connections: float
    peak_zombies: int
    mean_zombies: float
    wasted: float
    seconds_above: float
    refused_connects: int
    refused_connect_events: int
    over_time: OverTime
    notes: tuple[str, ...]
    took: float

    @property
    def cold_start_rate(self) -> float:
        """Of those that were served."""
        return self.cold_starts / self.served if self.served else 0.0

    @property
    def share_above(self) -> float:
        """The part of the time in which more would be held than ``max_connections``."""
        return self.seconds_above / self.seconds if self.seconds else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Everything, for programs; ``over_time`` last."""
        found = asdict(self)
        over_time = found.pop("over_time")
        return {
            **found,
            "cold_start_rate": self.cold_start_rate,
            "share_above": self.share_above,
            "over_time": over_time,
        }
