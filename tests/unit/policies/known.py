"""Environments and outcomes as policies know them, without anything that runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from emulator.invocation import Outcome
from emulator.model import Answer, EnvironmentId, Function, Report, RequestId

__all__ = ["AN_ID", "Known", "failed", "report", "served"]


AN_ID = EnvironmentId("e")


@dataclass(eq=False)
class Known:
    """What a policy may know of an environment."""

    created_at: float = 0.0
    idle_since: float = 0.0
    invocations: int = 1
    id: EnvironmentId = AN_ID
    memory: int = 128
    init_ms: float | None = 100.0

    @property
    def function(self) -> Function:
        return Function(name="orders", code=Path(), memory=self.memory)


def served() -> Outcome:
    """An invocation that went well."""
    return Outcome(answer=Answer(b"1"), report=report())


def failed(error_type: str | None) -> Outcome:
    """One whose function reported an error, or ended."""
    return Outcome(answer=Answer(b"{}", "Unhandled", error_type), report=report(error_type=error_type))


def report(status: str | None = None, error_type: str | None = None) -> Report:
    """A report with nothing of interest in it but how it ended."""
    return Report(
        request_id=RequestId("r"),
        environment_id=EnvironmentId("e"),
        log_stream="",
        cold_start=False,
        duration_ms=1.0,
        billed_ms=1,
        memory_mb=128,
        max_memory_mb=1,
        status=status,
        error_type=error_type,
    )
