"""An idle timeout that is learnt from the function's own pattern, after Serverless in the Wild."""

from __future__ import annotations

from dataclasses import dataclass

from emulator.errors import ConfigurationError
from emulator.policies.idle_times import IdleTimes
from emulator.policies.policy import Composable, Rule
from emulator.policies.rules import span_of
from emulator.policies.selection import Reusable
from emulator.spans import in_words

__all__ = ["Histogram"]

_TAIL = 99.0  # per cent
_MARGIN = 0.10
_REPRESENTATIVE = 2.0  # coefficient of variation of the bins
_LEAST = 10  # idle times: our own figure, the paper gives none [I]


@dataclass(frozen=True, slots=True, init=False)
class Histogram(Composable):
    """Keep an environment for as long as nearly all idle times of its function were, and a tenth more.

    [X] Shahrad et al., USENIX ATC '20 (its figures are not read again): the 99th percentile and a margin, read from a
    histogram that is representative; else a fixed keep-alive. DIFFERS: there the environment is unloaded after its use
    and started again shortly before the 5th percentile; here it stays from its use on, for nothing is started ahead of
    a request. DIFFERS: where most idle times are beyond the range they forecast from a time series; here the fixed
    keep-alive holds.

    Arguments:
        fixed: the keep-alive while the pattern is not known: seconds or ``"10m"``. The paper's is its range, 4 hours.
    """

    fixed: float

    def __init__(self, fixed: float | str = "4h") -> None:
        span = span_of(fixed, "Histogram")
        if not span.is_fixed:
            raise ConfigurationError(f"Histogram is {fixed!r}", cure='Its fixed keep-alive is one span, such as "10m".')
        object.__setattr__(self, "fixed", span.low)

    def learning_from(self, times: IdleTimes) -> Rule:
        return _Learnt(self, times)

    def keep_alive(self, times: IdleTimes) -> float | None:
        """Seconds, or ``None`` while the pattern is not known."""
        known = times.count - times.too_long
        if known < _LEAST or times.too_long > known or times.variation < _REPRESENTATIVE:
            return None
        return times.percentile(_TAIL) * (1 + _MARGIN)

    def __str__(self) -> str:
        return f"idle timeout learnt from a histogram, {in_words(self.fixed)} until then"


class _Learnt(Composable):
    """The rule with one function's idle times."""

    __slots__ = ("_known", "_limit", "_read_at", "_rule", "_times")

    def __init__(self, rule: Histogram, times: IdleTimes) -> None:
        self._rule, self._times = rule, times
        self._read_at = -1
        self._limit = rule.fixed
        self._known = False

    def verdict(self, environment: Reusable, now: float) -> str | None:
        if now < self.due(environment):
            return None
        limit = self._limit
        why = f"learnt from {self._times.count} idle times" if self._known else "the pattern is not known yet"
        return f"idle {in_words(max(now - environment.idle_since, limit))} >= {in_words(limit)}, {why}"

    def due(self, environment: Reusable) -> float:
        if self._read_at != self._times.count:
            self._read_at = self._times.count
            learnt = self._rule.keep_alive(self._times)
            self._known = learnt is not None
            self._limit = learnt if learnt is not None else self._rule.fixed
        return environment.idle_since + self._limit

    def learning_from(self, times: IdleTimes) -> Rule:
        return _Learnt(self._rule, times)

    def __str__(self) -> str:
        return str(self._rule)
