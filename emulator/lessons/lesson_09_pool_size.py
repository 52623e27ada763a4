"""Pool size times concurrency."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from emulator.lessons.blocks import (
    Ask,
    Bar,
    Bars,
    Code,
    Live,
    Part,
    Reveal,
    Say,
    Screen,
    Story,
    Table,
    expect,
    measured,
    proven,
)
from emulator.lessons.lesson import Lesson
from emulator.lessons.stage import Stage

__all__ = ["LESSON"]

_POOL = 10
_STORM = 4
_SECONDS = 0.4


@dataclass(slots=True)
class _Found:
    """What the server's list said during a storm, and what an event took."""

    open: int = 0
    at_work: int = 0
    median_ms: float = 0.0

    def note(self, stage: Stage) -> None:
        sessions = stage.sessions()
        self.open = len(sessions)
        self.at_work = max(self.at_work, sum(session.command != "Sleep" for session in sessions))

    def bars(self, label: str) -> tuple[Bar, ...]:
        return Bar(f"{label}: open", self.open), Bar("at work at once", self.at_work)


def _storm(stage: Stage, size: int, found: _Found) -> None:
    function = stage.add("pool", environment={"POOL_SIZE": str(size)})
    stage.storm(function, _STORM, lambda _: {"seconds": 0.1})  # their pools are made now
    storm = stage.storm(function, _STORM, lambda _: {"seconds": _SECONDS}, look=lambda: found.note(stage))
    expect(len(storm.served) == _STORM, "every event is served")
    found.median_ms = statistics.median(result.report.duration_ms for result in storm.served)
    found.note(stage)
    function.recycle("fin")


def _tell(stage: Stage) -> Story:
    yield Screen(Part.CODE, "A pool, as servers have it")
    yield Code("pool/app.py", mark=("SIZE", "pool.pop()", "pool.append"))
    yield Say(f"A size of {measured(_POOL)} is what many libraries begin with.")

    yield Ask(
        f"{_STORM} events at the same time, each with one slow question. How many connections are at work at once?",
        ("all that are open", f"{_STORM}, one for each event", "that depends on luck"),
    )
    yield Screen(Part.RUN, "The server, in the middle of it")
    large, small = _Found(), _Found()
    yield Live(lambda: Bars(large.bars(f"pool of {_POOL}"), _POOL * _STORM), stays=True)
    _storm(stage, _POOL, large)
    yield Reveal(
        1,
        f"{measured(large.open)} are open and {measured(large.at_work)} are at work. An environment serves one event "
        "at a time, so of its pool the rest can only wait.",
    )
    expect(large.open == _POOL * _STORM and large.at_work == _STORM, "of each pool one connection is at work")

    yield Screen(Part.CURE, "A pool of one")
    yield Say("Nothing else changes: the same function, the same events, another number in its settings.")
    yield Live(lambda: Bars((*large.bars(f"pool of {_POOL}"), *small.bars("pool of 1")), _POOL * _STORM), stays=True)
    _storm(stage, 1, small)
    yield proven(
        f"{measured(small.open)} sessions do what {measured(large.open)} did",
        small.open == small.at_work == _STORM,
    )

    yield Screen(Part.PROOF, "And it is no slower")
    yield Table(
        ("POOL", "SESSIONS OPEN", "AT WORK", "AN EVENT TOOK"),
        (
            (str(_POOL), str(large.open), str(large.at_work), f"{large.median_ms:.0f} ms"),
            ("1", str(small.open), str(small.at_work), f"{small.median_ms:.0f} ms"),
        ),
        numbers=(0, 1, 2, 3),
    )
    yield Say(
        "A pool shares connections between those who work at the same time. On Lambda these are environments, and no "
        "pool inside of one can see the others. Sharing between them is the work of a proxy before the database."
    )
    yield Say("More than one pays only for a handler that asks several questions at once, in threads of its own.")
    expect(small.median_ms < large.median_ms * 2, "a small pool is no slower")


LESSON = Lesson(
    number=9,
    name="pool-size",
    title="Pool size times concurrency",
    question="A function has a connection pool, as a server would. How much of it can it use?",
    tell=_tell,
    remember=(
        "Sessions on the server = environments times pool size.",
        "One event at a time: more than one connection cannot be at work.",
        "Set the pool to one, and its minimum and its overflow to nothing.",
        "To share between environments, put a proxy before the database.",
    ),
)
