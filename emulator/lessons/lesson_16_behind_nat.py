"""Behind NAT: a connection that says nothing for 350 seconds is forgotten."""

from __future__ import annotations

from emulator.database.relay_records import NAT
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
    brief,
    expect,
    given,
    measured,
    proven,
)
from emulator.lessons.lesson import Lesson
from emulator.lessons.stage import Stage, failure_of, payload_of

__all__ = ["LESSON"]

_IDLE = NAT.idle or 0.0
_SHORTER, _LONGER = _IDLE - 10, _IDLE + 10
_PAUSES = 4
_LOWER = 300  # seconds


def _pauses(stage: Stage, function: DeployedFunction) -> tuple[Bar, ...]:
    """An event, a pause, an event, ...: the sessions after each."""
    bars = []
    for number in range(1, _PAUSES + 1):
        payload_of(function.invoke({}))
        bars.append(stage.bar(f"event {number}"))
        stage.emulator.fast_forward(seconds=_LONGER)
    return tuple(bars)


def _tell(stage: Stage) -> Story:
    once = stage.add("open_once")
    yield Screen(Part.CODE, "Nothing unusual")
    yield Code("open_once/app.py", mark=("connect()",))
    yield Say(
        f"The function is in one network, the database in another, and a NAT gateway lies between them. It forgets "
        f"a connection on which nothing was said for {given(f'{_IDLE:.0f} s')}."
    )

    yield Screen(Part.RUN, "A pause that is short enough")
    first = payload_of(once.invoke({}))
    stage.emulator.fast_forward(seconds=_SHORTER)
    again = payload_of(once.invoke({}))
    yield Step(f"session {measured(first)}; {measured(f'{_SHORTER:.0f} s')} of silence; session {measured(again)}")
    expect(first == again, "a short pause does no harm")
    yield Ask(
        f"Now {_LONGER:.0f} seconds. The server's wait_timeout is hours. What do the two sides think?",
        (
            "both think that they are connected",
            "the function knows that it is over, the server does not",
            "both know that it is over",
        ),
    )
    yield Screen(Part.RUN, "A pause that is too long")
    stage.emulator.fast_forward(seconds=_LONGER)
    held = stage.process_list()
    yield Step(f"{measured(f'{_LONGER:.0f} s')} of silence, and the server says:")
    yield held
    failed = once.invoke({})
    yield Step(f"the next event says: {measured(brief(failure_of(failed), 50))}")
    expect(len(held.sessions) == 1 and "2013" in failure_of(failed), "the path has forgotten, the server has not")
    yield Reveal(
        0,
        "Neither end has heard of it. The first word after the pause is answered by the gateway, with a reset. The "
        "server never hears of that: its session sleeps on.",
    )
    yield Say("Keepalive packets would help a server that is awake. A frozen function sends none.")
    once.recycle("fin")
    stage.emulator.kill_zombies()
    stage.until(lambda: not stage.sessions(), "the server ends the session")
    yield from _cure(stage)


def _cure(stage: Stage) -> Story:
    checked = stage.add("check_before_use")
    yield Screen(Part.CURE, "A check, and what it leaves behind")
    yield Code("check_before_use/app.py", mark=("ping",), since="connection =")
    bars = _pauses(stage, checked)
    yield Bars(bars)
    yield Say(
        "Every event is served, by a new connection. But the server holds one session more after each pause, for an "
        "environment that needs one."
    )
    expect([bar.living for bar in bars] == list(range(1, _PAUSES + 1)), "a check alone leaves a session for each pause")
    checked.recycle("fin")
    stage.emulator.kill_zombies()
    stage.until(lambda: not stage.sessions(), "the server ends the sessions")

    yield Screen(Part.PROOF, "And a server that gives up sooner than the path")
    stage.set_server("wait_timeout", _LOWER)
    yield Step(f"SET GLOBAL wait_timeout = {measured(_LOWER)}: less than {given(f'{_IDLE:.0f} s')}")
    bars = _pauses(stage, checked)
    yield Bars(bars)
    yield proven(
        f"{measured(len(bars))} events served, {measured(int(max(bar.living for bar in bars)))} session at any time",
        all(bar.living == 1 for bar in bars),
    )
    yield Say(
        "Better still is a path without a gateway: the function in the database's own network. A firewall is worse "
        "than NAT: it says nothing at all, and a driver without a read timeout waits until the function is cut."
    )


LESSON = Lesson(
    number=16,
    name="behind-nat",
    title=f"Behind NAT: {given(f'{_IDLE:.0f} seconds')}",
    question=(
        "Something between function and database forgets connections that are silent. Which side finds out, when, and "
        "what does it cost?"
    ),
    tell=_tell,
    remember=(
        "A NAT gateway forgets silent connections after minutes, and tells nobody.",
        "A frozen function cannot keep it alive.",
        "Check before use, with a read timeout; the server keeps the old session.",
        "So let the server give up sooner than the path: a lower wait_timeout.",
    ),
    path="nat",
)
