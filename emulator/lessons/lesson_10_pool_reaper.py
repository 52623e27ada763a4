"""The reaper of a pool does not run while its environment is frozen."""

from __future__ import annotations

import time

from emulator.embedded import InvocationResult
from emulator.lessons.blocks import (
    Ask,
    Code,
    Part,
    Reveal,
    Say,
    Screen,
    Step,
    Story,
    expect,
    measured,
    ms,
    proven,
)
from emulator.lessons.lesson import Lesson
from emulator.lessons.stage import Stage, payload_of

__all__ = ["LESSON"]

_PAUSE = 1.0  # seconds, longer than the reaper lets a connection be idle
_REAPED = "the reaper closed one\n"


def _pause() -> float:
    """Wait in real time; milliseconds."""
    begin = time.monotonic()
    time.sleep(_PAUSE)
    return (time.monotonic() - begin) * 1000


def _reaped(result: InvocationResult) -> int:
    return result.logs.count(_REAPED)


def _tell(stage: Stage) -> Story:
    pool = stage.add("reaper")
    yield Screen(Part.CODE, "A thread that closes what is idle")
    yield Code("reaper/app.py", mark=("def reaper", "- used >", "close()"), since="pool =", until="def handler")
    yield Screen(Part.CODE, "And the handler")
    yield Code("reaper/app.py", mark=("pool[connect()]",), since="def handler")

    yield Screen(Part.RUN, "On a server that never sleeps")
    awake = pool.invoke({"after": _PAUSE})
    payload_of(awake)
    yield Step(f"a handler that goes on for {ms(awake.report.duration_ms)}")
    yield Step(f"connections that the reaper closed meanwhile: {measured(_reaped(awake))}")
    stage.until(lambda: not stage.sessions(), "the server ends what the reaper closed")
    yield Step(f"sessions left: {measured(len(stage.sessions()))}")
    yield Say("As it should be. Now a handler that answers at once.")
    expect(_reaped(awake) == len(payload_of(awake)), "the reaper works while the environment is awake")

    yield Ask(
        "The handler answers. How many sessions are there when the reaper's time has come?",
        ("none", "all of them", "one, the last that was used"),
    )
    yield Screen(Part.RUN, "On Lambda")
    early = payload_of(pool.invoke({}))
    waited = _pause()
    sessions = len(stage.sessions())
    yield Step(f"{ms(waited)} after the answer: sessions {measured(sessions)}")
    expect(sessions == len(early), "the reaper does not run while the environment is frozen")
    yield stage.process_list()
    yield Reveal(
        1, "The reaper is frozen with the rest. What it should tidy up is there as long as the environment is."
    )

    yield Screen(Part.WHY, "And it wakes up at the wrong moment")
    late = pool.invoke({"before": 0.1})
    anew = set(payload_of(late)) - set(early)
    yield Step(f"the next event: connections that the reaper closed in its time: {measured(_reaped(late))}")
    yield Step(f"and connections that it had to open: {measured(len(anew))}; it took {ms(late.report.duration_ms)}")
    yield Say(
        "With the thaw the thread is late, and does at once what was due long ago, in somebody's request. A moment "
        "later it would have closed what that had just borrowed. The same goes for keepalives, heartbeats and metrics."
    )
    expect(
        _reaped(late) >= len(early) and anew == set(payload_of(late)),
        "the reaper does its work in the time of the next event",
    )
    pool.recycle("fin")
    yield from _cure(stage)


def _cure(stage: Stage) -> Story:
    pool = stage.add("no_reaper")
    yield Screen(Part.CURE, "Tidy up in the time of an event")
    yield Code("no_reaper/app.py", mark=("too old", "before the freeze"), since="def borrow", until="def handler")

    yield Screen(Part.PROOF, "The same two events")
    first = payload_of(pool.invoke({}))
    stage.until(lambda: len(stage.sessions()) == 1, "the server ends what was closed before the freeze")
    yield Step(f"it used {measured(len(first))} connections; frozen with {measured(len(stage.sessions()))}")
    waited = _pause()
    second = payload_of(pool.invoke({}))
    stage.until(lambda: len(stage.sessions()) == 1, "the server ends what was closed before the freeze")
    yield Step(f"{ms(waited)} later: an answer, and frozen with {measured(len(stage.sessions()))}")
    yield proven(
        "without a thread, the old one was seen when it was wanted, and replaced",
        not set(first) & set(second),
    )


LESSON = Lesson(
    number=10,
    name="pool-reaper",
    title="Reapers do not run while frozen",
    question="A pool closes connections that were idle for too long, in a thread. Does that help on Lambda?",
    tell=_tell,
    remember=(
        "Timers of a frozen environment stand still; none is caught up in time.",
        "At the thaw they fire at once, in the middle of the next event.",
        "Switch reapers, heartbeats and background keepalives off.",
        "Look at the age when you borrow; close the rest before you answer.",
    ),
)
