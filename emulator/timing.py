"""The moments of one invocation, and the spans between them that reports name.

[C] ``responseLatency`` is from handing the event out to the first byte of the response, ``responseDuration`` from
there to its last byte, ``runtimeOverhead`` from there to the runtime's next "next", and ``extensionOverhead`` from
there to the last extension's.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from emulator.platform_events import Span

__all__ = ["Timing"]


@dataclass(slots=True)
class Timing:
    """Moments on the machine's monotonic clock, in seconds; ``spent`` is what an init took of the invocation's time."""

    spent: float = 0.0
    began: float = field(default_factory=lambda: time.perf_counter())
    began_wall: float = field(default_factory=lambda: time.time())
    first_byte: float | None = None
    last_byte: float | None = None
    runtime_done: float | None = None
    produced_bytes: int = 0

    def answered(self, size: int) -> None:
        """A whole response of ``size`` bytes is there, or the rest of a streamed one."""
        self.last_byte = time.perf_counter()
        if self.first_byte is None:
            self.first_byte = self.last_byte
        self.produced_bytes += size

    def elapsed_ms(self, until: float | None = None) -> float:
        """What ``Duration`` counts: from the hand-out, and the init that went before it."""
        return ((until or time.perf_counter()) - self.began + self.spent) * 1000

    def runtime_spans(self) -> list[Span]:
        """As many of the runtime's three as there were."""
        spans = []
        if self.first_byte is not None:
            spans.append(self._span("responseLatency", self.began, self.first_byte))
            if self.last_byte is not None:
                spans.append(self._span("responseDuration", self.first_byte, self.last_byte))
                if self.runtime_done is not None:
                    spans.append(self._span("runtimeOverhead", self.last_byte, self.runtime_done))
        return spans

    def extension_span(self, end: float) -> Span | None:
        """What extensions took after the runtime was done."""
        return self._span("extensionOverhead", self.runtime_done, end) if self.runtime_done is not None else None

    def _span(self, name: str, start: float, end: float) -> Span:
        return Span(name, self.began_wall + start - self.began, (end - start) * 1000)
