"""Closing on SIGTERM, with an extension."""

from __future__ import annotations

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
    given,
    measured,
    ms,
    proven,
)
from emulator.lessons.lesson import Lesson
from emulator.lessons.stage import Stage, payload_of

__all__ = ["LESSON"]

_CLOSED = "closed on SIGTERM\n"


def _tell(stage: Stage) -> Story:
    alone = stage.add("closing_alone", "closing")
    yield Screen(Part.CODE, "Close it when the end comes")
    yield Code("closing/app.py", mark=("close()", "at_the_end("))
    yield Screen(Part.CODE, "Who listens for the signal")
    yield Code(
        "layers/shop/python/shop.py", mark=("SIGTERM", "recv", "action()"), since="def at_the_end", until=".kept"
    )
    payload_of(alone.invoke({}))

    yield Ask(
        "Lambda recycles the environment. How many sessions are left?",
        ("none, the function was told", "one, nobody told it"),
    )
    yield Screen(Part.RUN, "The end, without an extension")
    alone.recycle()
    heard = alone.logs().count(_CLOSED)
    yield Step(f"signals that arrived: {measured(heard)}")
    yield stage.process_list()
    expect(heard == 0 and [session.zombie for session in stage.sessions()] == [True], "nobody is told of the end")
    yield Reveal(
        1,
        "A function without extensions has no time at all to shut down: it is killed as it stands, frozen or not.",
    )
    stage.emulator.kill_zombies()
    stage.until(lambda: not stage.sessions(), "the server ends the zombie")
    yield from _cure(stage)


def _cure(stage: Stage) -> Story:
    yield Screen(Part.CURE, "An extension that does nothing")
    yield Code("layers/last_words/extensions/last_words", mark=("register", "event/next"), since="def call")
    yield Say("Where there is an extension, Lambda thaws the environment at its end and sends SIGTERM first.")

    both = stage.add("closing_with_extension", "closing", layers=["last_words"])
    yield Screen(Part.PROOF, "The end, with it")
    first = both.invoke({})
    held = len(stage.sessions())
    both.recycle()
    heard = both.logs().count(_CLOSED)
    stage.until(lambda: not stage.sessions(), "the server ends the session that was closed")
    yield Step(f"signals that arrived: {measured(heard)}")
    yield Step(f"sessions before: {measured(held)}, after: {measured(len(stage.sessions()))}")
    yield proven("the function was told, and has closed its connection", heard == 1 and held == 1)
    yield Say(
        f"The price is the extension's own start: this init took {ms(first.report.init_ms or 0.0)}. On AWS, users "
        f"report that Python hands the signal to your code since {given(3.12)} only."
    )


LESSON = Lesson(
    number=13,
    name="sigterm",
    title="Closing on SIGTERM, with an extension",
    question="A program closes its connections when it gets SIGTERM. Does a function ever get one?",
    tell=_tell,
    remember=(
        "Without an extension no signal comes: the end takes no time at all.",
        "With any extension, even one that does nothing, SIGTERM comes first.",
        "Close connections there, at once: there are milliseconds, not seconds.",
        "A machine that breaks tells nobody: keep a short wait_timeout as well.",
    ),
)
