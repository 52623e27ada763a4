"""What an emulator says of itself: the record that the inspection API, the start of ``up`` and tests read. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from emulator.model import FreezerReport, NetworkReport

__all__ = ["Status"]


@dataclass(frozen=True, slots=True)
class Status:
    """How this emulator runs, and how faithful it can be here.

    ``uptime`` is real seconds; ``speed`` says how many of the emulator's own go by in one of them; ``profile`` is the
    class of instances whose limits the database has; ``events`` counts those of the timeline, and ``events_dropped``
    those of them that it does not have any more. ``urls`` are the addresses of functions that have one, ``routes`` the
    functions by what each serves, such as ``GET /orders/{id}``. ``debug_ports`` are those of functions that have one.
    """

    version: str
    sandbox: str
    freezer: FreezerReport
    network_fidelity: str
    network: NetworkReport
    database: str | None
    database_version: str | None
    functions: int
    environments: Mapping[str, int]
    concurrency_limit: int
    concurrency_in_use: int
    uptime: float
    notes: Sequence[str]
    log_folder: str
    speed: float = 1.0
    profile: str | None = None
    timeline_file: str | None = None
    events: int = 0
    events_dropped: int = 0
    urls: Mapping[str, str] = field(default_factory=dict)
    routes: Mapping[str, str] = field(default_factory=dict)
    debug_ports: Mapping[str, str] = field(default_factory=dict)
