"""Open it once, outside the handler."""

from __future__ import annotations

import statistics

from emulator.embedded import DeployedFunction
from emulator.lessons.blocks import (
    Ask,
    Bar,
    Bars,
    Code,
    Part,
    Reveal,
    Say,
    Screen,
    Step,
    Story,
    expect,
    measured,
    proven,
)
from emulator.lessons.lesson import Lesson
from emulator.lessons.stage import Stage, payload_of

__all__ = ["LESSON"]

_EVENTS = 20


def _twenty(stage: Stage, function: DeployedFunction) -> tuple[int, float]:
    """How many connections that opened, and what an event took, in milliseconds."""
    before = stage.opened(function)
    results = [function.invoke({}) for _ in range(_EVENTS)]
    expect(all(payload_of(result) for result in results), "every event has a session")
    return stage.opened(function) - before, statistics.median(result.report.duration_ms for result in results)


def _tell(stage: Stage) -> Story:
    each_time, once = stage.add("open_each_time"), stage.add("open_once")
    yield Screen(Part.CODE, "Two ways to do the same")
    yield Code("open_each_time/app.py", mark=("connect()", "close()"))
    yield Screen(Part.CODE, "The other one")
    yield Code("open_once/app.py", mark=("connect()",))

    yield Ask(
        f"Each gets {_EVENTS} events, one after the other. How many connections does the second one open?",
        ("as many as there are events", "one", "none that lasts, the freeze closes it"),
    )
    yield Screen(Part.RUN, "One after the other")
    opened, took = {}, {}
    for function in (each_time, once):
        opened[function.name], took[function.name] = _twenty(stage, function)
        yield Step(f"{function.name} opened {measured(opened[function.name])}")
    yield Bars(tuple(Bar(name, median, figure=f"{median:.1f} ms") for name, median in took.items()))
    yield Say("The bars are what an event takes, the median of all. Over a real network with TLS it is far more.")
    expect(opened == {"open_each_time": _EVENTS, "open_once": 1}, "one connection serves all events")
    expect(took["open_once"] < took["open_each_time"], "an event is faster without connecting")
    yield Reveal(
        1,
        "The connection lies in the module, beside the counter of the first lesson, and is frozen and thawed with it.",
    )

    yield Screen(Part.RUN, "What the server sees between two events")
    yield stage.process_list()
    sessions = stage.sessions()
    yield Say("It sleeps, and its environment is frozen. Both last until the environment is recycled.")
    expect([session.function for session in sessions] == ["open_once"], "the server holds one session")
    yield from _together(stage, once)


def _together(stage: Stage, once: DeployedFunction) -> Story:
    yield Screen(Part.PROOF, "Three at the same time, three times")
    before = stage.opened(once)
    for wave in range(3):
        served = stage.storm(once, 3, lambda _: {"seconds": 0.1}).served
        numbers = sorted(payload_of(result) for result in served)
        yield Step(f"wave {measured(wave + 1)}: sessions {measured(', '.join(map(str, numbers)))}")
    sessions = len(stage.sessions())
    yield proven(
        f"{measured(9)} events, {measured(stage.opened(once) - before)} more connections, {measured(sessions)} in all: "
        "one for each environment",
        sessions == len({environment.id for environment in once.environments()}) == 3,
    )
    yield Say(
        "This is the cure of the last lesson, and the root of the next ones: a connection that lives as long as its "
        "environment is frozen with it, and may be dead when it wakes up."
    )


LESSON = Lesson(
    number=5,
    name="open-once",
    title="Open it once, outside the handler",
    question="What does it change to open the connection outside the handler, for speed and for the server?",
    tell=_tell,
    remember=(
        "Outside the handler: opened once an environment, used by all events.",
        "The server holds as many sessions as there are environments.",
        "It is the fastest way, and the one with the fewest connections made.",
        "It has its price: see the lessons that follow.",
    ),
)
