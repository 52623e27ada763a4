"""Silent reclaim: zombies and ``Too many connections``; why a lower ``wait_timeout`` helps, and what it costs."""

from __future__ import annotations

from emulator.embedded import DeployedFunction
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
    Step,
    Story,
    brief,
    expect,
    measured,
    proven,
    span,
)
from emulator.lessons.lesson import Lesson
from emulator.lessons.stage import Stage, Storm, failure_of

__all__ = ["LESSON"]

_LIMIT = 10
_TOGETHER = 5  # events at the same time
_QUIET = 6.0  # minutes between two waves
_LOWER = 300  # seconds
_EVENT = {"seconds": 0.05}


def _wave(stage: Stage, function: DeployedFunction, count: int = _TOGETHER) -> Storm:
    return stage.storm(function, count, lambda _: _EVENT)


def _tell(stage: Stage) -> Story:
    once = stage.add("open_once")
    yield Screen(Part.CODE, "Well behaved: one connection, opened once")
    yield Code("open_once/app.py", mark=("connect()",))
    yield Say(f"For this lesson, the server takes {measured(stage.limit)} sessions of functions.")

    yield Ask(
        f"{_TOGETHER} events at the same time, a recycling, and the same again, {_LIMIT // _TOGETHER} times. How many "
        "sessions are there in the end?",
        ("none, the environments are gone", f"the {_TOGETHER} of the last wave", f"all {_LIMIT} that ever were"),
    )
    yield Screen(Part.RUN, "One wave after another")
    bars: list[Bar] = []
    yield Live(lambda: Bars((*bars, stage.bar("now")), _LIMIT))
    for wave in range(1, _LIMIT // _TOGETHER + 1):
        _wave(stage, once)
        bars.append(stage.bar(f"wave {wave}"))
        once.recycle()
        bars.append(stage.bar("recycled"))
    yield Bars(tuple(bars), _LIMIT)
    zombies = bars[-1].zombies
    expect(zombies == _LIMIT and not once.environments(), "every environment leaves its session behind")
    yield Reveal(
        2,
        f"{measured(zombies)} sessions of {measured(len(once.environments()))} environments: zombies. Lambda drops an "
        "environment as it stands, and nobody tells the server.",
    )

    yield Screen(Part.RUN, "The next event")
    complaint = failure_of(once.invoke(_EVENT))
    yield Step(measured(complaint))
    yield stage.process_list(limit=True)
    expect("1040" in complaint, "the server is full")
    drops_in = min(session.drops_in or 0.0 for session in stage.sessions())
    yield Say(f"It lasts. The server gives up the first of them in {span(drops_in)}.")
    once.recycle()
    yield from _cure(stage, once)


def _cure(stage: Stage, once: DeployedFunction) -> Story:
    killed = len(stage.emulator.kill_zombies())
    stage.until(lambda: not stage.sessions(), "the server ends the zombies")
    yield Screen(Part.CURE, "Let the server give up sooner")
    yield Step(f"KILL: {measured(killed)} zombies ended, by hand")
    yield Step(f"SET GLOBAL wait_timeout = {measured(_LOWER)}")
    yield Say(
        "The session of a client that has said nothing for so long is ended. It counts for zombies as for the living, "
        "and for new sessions only."
    )

    yield Screen(Part.PROOF, "The same waves, some minutes apart")
    stage.set_server("wait_timeout", _LOWER)
    bars, served = list[Bar](), 0
    yield Live(lambda: Bars((*bars, stage.bar("now")), _LIMIT))
    for wave in range(1, _LIMIT // _TOGETHER + 2):
        served += len(_wave(stage, once).served)
        bars.append(stage.bar(f"wave {wave}"))
        once.recycle()
        bars.append(stage.bar("recycled"))
        stage.emulator.fast_forward(minutes=_QUIET)
        bars.append(stage.bar(f"{_QUIET:.0f} min later"))
    peak = max(int(bar.living + bar.zombies) for bar in bars)
    yield Bars(tuple(bars), _LIMIT)
    yield proven(
        f"{measured(served)} events served, none refused, {measured(peak)} sessions at the most",
        served == _TOGETHER * (_LIMIT // _TOGETHER + 1) and peak < _LIMIT,
    )

    yield Screen(Part.WHY, "What it costs")
    _wave(stage, once, 2)
    before = stage.bar("frozen")
    stage.emulator.fast_forward(minutes=_QUIET)
    after = stage.bar(f"{_QUIET:.0f} min later")
    broken = once.invoke(_EVENT)
    yield Bars((before, after), _LIMIT)
    yield Step(f"the next event: {measured(brief(failure_of(broken), 52))}")
    yield Say(
        "These environments live. The server has ended their sessions as well, for it cannot tell them from zombies. "
        "So a lower wait_timeout goes together with a check before use."
    )
    checked = stage.add("check_before_use")
    checked.invoke(_EVENT)
    stage.emulator.fast_forward(minutes=_QUIET)
    yield proven(
        "with the check of the last lesson, an event after the pause is served",
        not checked.invoke(_EVENT).function_error,
    )


LESSON = Lesson(
    number=7,
    name="zombies",
    title="Zombies, and Too many connections",
    question=(
        "Lambda ends an environment without a word, and the environment holds a connection. What becomes of the "
        "session on the server, and of the next environment that wants one?"
    ),
    tell=_tell,
    remember=(
        "A recycled environment tells nobody. Its session stays: a zombie.",
        "Zombies count against max_connections until the server gives them up.",
        "A lower wait_timeout makes that minutes instead of hours.",
        "It ends sessions of frozen environments too: check before use.",
    ),
    server={"max_connections": _LIMIT},
)
