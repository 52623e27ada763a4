"""A function and its emulator that only write down what is done to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from emulator.embedded import DeployedFunction, Emulator, FollowedInvocation, InvocationResult
from emulator.errors import DatabaseError
from emulator.killing import Middle
from emulator.model import EnvironmentId, Report, RequestId

__all__ = ["PlayedEmulator", "PlayedFunction", "result_of"]


def result_of(payload: Any, *, failed: bool = False, logs: str = "", status: str | None = None) -> InvocationResult:
    """An invocation that came to this."""
    report = Report(
        request_id=RequestId("r"),
        environment_id=EnvironmentId("e"),
        log_stream="s",
        cold_start=False,
        duration_ms=1.0,
        billed_ms=1,
        memory_mb=128,
        max_memory_mb=36,
        status=status,
        logs=logs.encode(),
    )
    return InvocationResult(payload, b"", "Unhandled" if failed else None, report)


@dataclass
class PlayedEmulator:
    """What a condition asks of an emulator; ``refuses`` is what its database says to everything."""

    calls: list[str] = field(default_factory=list)
    refuses: str = ""
    policy: object = "as deployed"
    path: str = "direct"
    wait_timeout: int = 600

    def fast_forward(self, *, seconds: float) -> None:
        self.calls.append(f"skip {seconds:g} s")

    def connections_summary(self) -> PlayedEmulator:
        return self

    def set_path(self, name: str) -> str:
        before, self.path = self.path, name
        return before

    def deployed(self, name: str) -> PlayedEmulator:
        return self

    def restart_database(self) -> None:
        self._database("restart")

    def fail_over(self) -> None:
        self._database("fail over")

    def fail_back(self) -> None:
        self._database("fail back")

    def _database(self, call: str) -> None:
        if self.refuses:
            raise DatabaseError(self.refuses, cure="Take another one.")
        self.calls.append(call)

    @property
    def cast(self) -> Emulator:
        return cast(Emulator, self)


@dataclass
class PlayedFunction:
    """Answers with ``results`` in turn, and with the last one from then on.

    Attributes:
        pieces: how many each of its invocations sends to the database.
    """

    emulator: PlayedEmulator = field(default_factory=PlayedEmulator)
    results: list[InvocationResult] = field(default_factory=lambda: [result_of("fine")])
    pieces: int = 4
    name: str = "orders"

    def invoke(self, payload: Any = None) -> InvocationResult:
        self.emulator.calls.append(f"invoke {payload}")
        return self.results.pop(0) if len(self.results) > 1 else self.results[0]

    def invoke_parallel(self, payloads: list[Any]) -> list[InvocationResult]:
        return [self.invoke(payload) for payload in payloads]

    def invoke_and_kill(self, payload: Any = None, *, middle: Middle | None = None) -> FollowedInvocation:
        at = middle.pieces if middle is not None else None
        killed = at is not None and (at <= self.pieces or middle == Middle(patience=0.0))
        self.emulator.calls.append(f"kill at {at}" if killed else "follow")
        return FollowedInvocation(self.results[-1], self.pieces, killed)

    def recycle(self, reclaim: str) -> None:
        self.emulator.calls.append(f"recycle {reclaim}")

    def set_policy(self, policy: object) -> None:
        self.emulator.policy = dict(policy) if isinstance(policy, Mapping) else policy

    @property
    def cast(self) -> DeployedFunction:
        return cast(DeployedFunction, self)
