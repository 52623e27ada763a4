"""What the inspection API answers, as the schema at ``/_emulator/api/openapi.json`` describes it.

The shapes are the records of the rooms below; here is only what stands around them, and what errors look like.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Path
from pydantic import BaseModel, Field

from emulator.event_queue import EventView
from emulator.model import ConnectionsSummary, EnvironmentView, Session
from emulator.pool import ConcurrencyView

__all__ = [
    "MOST",
    "NO_DATABASE",
    "NO_SUCH",
    "REFUSED",
    "BurstAnswer",
    "ConcurrencyAnswer",
    "Connections",
    "EnvironmentName",
    "Environments",
    "EventAnswer",
    "FastForwardReport",
    "FunctionAnswer",
    "FunctionName",
    "Functions",
    "Killed",
    "Queue",
    "Refusal",
    "Responses",
    "TimelineAnswer",
    "UrlAnswer",
]

MOST = 2**53 - 1
"""The largest number that every reader of JSON has exactly."""

FunctionName = Annotated[str, Path(description="The name of a function.", examples=["orders"])]
EnvironmentName = Annotated[str, Path(description="The id of an environment, or the beginning of it.")]
Responses = dict[int | str, dict[str, Any]]


class Refusal(BaseModel):
    """Why something was not done, and what can be done about it."""

    error: str
    cure: str


def _refusal(status: int, why: str) -> Responses:
    return {status: {"model": Refusal, "description": why}}


REFUSED: Responses = {
    **_refusal(400, "What is asked for cannot be, or the body is not JSON"),
    **_refusal(403, "A page of another site has asked, or may have"),
}
"""What every operation may answer."""
NO_SUCH = _refusal(404, "There is none of that name")
NO_DATABASE = _refusal(503, "There is no database, or it does not answer")


class UrlAnswer(BaseModel):
    """One URL of a function."""

    qualifier: str | None
    address: str
    path_address: str
    auth: str
    invoke_mode: str


class FunctionAnswer(BaseModel):
    """A function, and under which addresses it answers HTTP requests."""

    name: str
    runtime: str
    handler: str
    memory: int = Field(description="MiB")
    timeout: int = Field(description="Seconds")
    urls: list[UrlAnswer]
    routes: list[str]


class Functions(BaseModel):
    """All functions."""

    functions: list[FunctionAnswer]


class Environments(BaseModel):
    """Execution environments."""

    environments: list[EnvironmentView]


class Connections(BaseModel):
    """The sessions of the database."""

    connections: list[Session]
    summary: ConnectionsSummary


class Queue(BaseModel):
    """The asynchronous events that are not done."""

    events: list[EventView]


class ConcurrencyAnswer(BaseModel):
    """The places of the account, and each function's part of them."""

    limit: int
    unreserved: int
    in_use: int
    functions: list[ConcurrencyView]


class Killed(BaseModel):
    """The sessions that were ended."""

    killed: list[Session]


class EventAnswer(BaseModel):
    """One event of the timeline."""

    seq: int
    at: float = Field(description="Seconds since the epoch, on the emulator's clock")
    kind: str
    function: str | None
    environment: str | None
    request_id: str | None
    reason: str
    detail: Mapping[str, Any] | None


class FastForwardReport(BaseModel):
    """What skipping time has caused."""

    seconds: float
    now: float = Field(description="Seconds since the epoch, on the emulator's clock")
    timers: int
    caused: list[EventAnswer]


class TimelineAnswer(BaseModel):
    """Some events of the timeline, and where to go on."""

    events: list[EventAnswer]
    last: int
    more: bool
    dropped: int
    run: str
    now: float


class BurstAnswer(BaseModel):
    """How many invocations were answered, failed and were refused."""

    seconds: float
    answered: int
    failed: int
    refused: int
    first_refusal: str | None
