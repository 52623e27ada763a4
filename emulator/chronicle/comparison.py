"""What changed between two runs, such as before a fix and after it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from emulator.chronicle.lines import Recording
from emulator.chronicle.lives import Chronicle, chronicle_of

__all__ = ["Change", "Comparison", "compare", "figures_of"]

# By key: what it is called, for one and for several; and whether fewer are better, where that can be said.
_FIGURES: dict[str, tuple[str, str, bool | None]] = {
    "invocations": ("invocation", "invocations", None),
    "errors": ("error", "errors", True),
    "throttles": ("throttle", "throttles", True),
    "cold_starts": ("cold start", "cold starts", True),
    "environments": ("environment", "environments", None),
    "freezes": ("freeze", "freezes", None),
    "sessions": ("session", "sessions opened", True),
    "peak": ("session at the peak", "sessions at the peak", True),
    "zombies": ("zombie", "zombies", True),
    "stale": ("connection gone stale", "connections gone stale", True),
    "broken": ("connection broken in use", "connections broken in use", True),
    "refused": ("connection refused", "connections refused", True),
}
_FIRST = ("sessions", "peak", "zombies", "errors", "cold_starts")  # what a sentence begins with


@dataclass(frozen=True, slots=True)
class Change:
    """One figure of two runs. ``better`` is ``None`` where it is the same, or neither better nor worse."""

    key: str
    name: str
    before: int
    after: int
    better: bool | None

    @property
    def difference(self) -> int:
        return self.after - self.before

    @property
    def words(self) -> str:
        """``5 fewer``, ``2 more``, ``the same``."""
        if not self.difference:
            return "the same"
        return f"{abs(self.difference):,} {'more' if self.difference > 0 else 'fewer'}"

    @property
    def sentence(self) -> str:
        """``5 fewer sessions opened``."""
        one, several, _ = _FIGURES[self.key]
        return f"{self.words} {one if abs(self.difference) == 1 else several}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs beside each other; ``notes`` says what is missing from the recordings."""

    before: str
    after: str
    changes: list[Change]
    notes: list[str]

    @property
    def summary(self) -> str:
        """What got better or worse, the sessions first, in a sentence."""
        order = sorted(self.changes, key=lambda c: _FIRST.index(c.key) if c.key in _FIRST else len(_FIRST))
        told = [change.sentence for change in order if change.better is not None]
        return ", ".join(told) if told else "nothing got better or worse"

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return {
            "before": {"name": self.before} | {change.key: change.before for change in self.changes},
            "after": {"name": self.after} | {change.key: change.after for change in self.changes},
            "difference": {change.key: change.difference for change in self.changes},
            "summary": self.summary,
            "notes": self.notes,
        }


def compare(before: Recording, after: Recording) -> Comparison:
    """What ``after`` has more and fewer of than ``before``."""
    old, new = figures_of(chronicle_of(before.events)), figures_of(chronicle_of(after.events))
    changes = []
    for key, (_, several, fewer_is_better) in _FIGURES.items():
        difference = new[key] - old[key]
        better = None if not difference or fewer_is_better is None else (difference < 0) == fewer_is_better
        changes.append(Change(key, several, old[key], new[key], better))
    notes = [*before.notes, *after.notes]
    if changes[0].difference:
        notes.append(f"the runs are not alike: the second one has {changes[0].sentence}")
    return Comparison(before.name, after.name, changes, notes)


def figures_of(chronicle: Chronicle) -> dict[str, int]:
    """The figures of one run, by the names that JSON has for them."""
    kinds = chronicle.kinds
    return {
        "invocations": kinds["invocation.finished"],
        "errors": sum(invocation.error is not None for invocation in chronicle.invocations),
        "throttles": kinds["invocation.throttled"] + kinds["event.throttled"],
        "cold_starts": sum(life.cold_start for life in chronicle.environments.values()),
        "environments": kinds["environment.starting"],
        "freezes": kinds["environment.frozen"],
        "sessions": len(chronicle.sessions),
        "peak": chronicle.peak,
        "zombies": sum(session.zombie_since is not None for session in chronicle.sessions),
        "stale": kinds["connection.stale"],
        "broken": kinds["connection.broken"],
        "refused": kinds["connection.failed"] + kinds["connection.refused"],
    }
