"""Background work stops at the response, and goes on in somebody else's request."""

from __future__ import annotations

import time

from emulator.lessons.blocks import (
    Ask,
    Code,
    Part,
    Reveal,
    Say,
    Screen,
    Step,
    Story,
    Table,
    expect,
    measured,
    ms,
    proven,
)
from emulator.lessons.lesson import Lesson
from emulator.lessons.stage import Stage, payload_of

__all__ = ["LESSON"]

_PAUSE = 0.4  # seconds, several times what the thread needs


def _rows(stage: Stage) -> tuple[tuple[str, ...], ...]:
    return tuple(
        (str(order), str(during))
        for order, during in stage.rows("SELECT of_order, during FROM audit ORDER BY of_order")
    )


def _tell(stage: Stage) -> Story:
    stage.table("audit", "of_order INT, during INT")
    later = stage.add("audit_later")
    yield Screen(Part.CODE, "Answer at once, write the audit log later")
    yield Code("audit_later/app.py", mark=("range(", "INSERT", "Thread(", "return"), since="connection =")

    yield Ask(
        "The first order is answered. When is its row in the table?",
        ("a moment later", "as soon as another order comes", "it was there before the answer"),
    )
    yield Screen(Part.RUN, "The first order")
    result = later.invoke({"order": 1})
    payload_of(result)
    yield Step(f"answered after {ms(result.report.duration_ms)}, and frozen at once")
    begin = time.monotonic()
    time.sleep(_PAUSE)
    waited = (time.monotonic() - begin) * 1000
    rows = _rows(stage)
    yield Step(f"{ms(waited)} later the table has {measured(len(rows))} rows")
    expect(not rows, "the row is not written while the environment is frozen")
    yield Say("The thread is in the middle of its work. Nothing in there runs any more.")

    yield Screen(Part.RUN, "The second order, another customer's")
    second = later.invoke({"order": 2, "seconds": 0.5})
    payload_of(second)
    yield Step(f"it takes {ms(second.report.duration_ms)}")
    rows = _rows(stage)
    yield Table(("ROW OF ORDER", "WRITTEN WHILE THIS ORDER WAS SERVED"), rows)
    expect(rows[0] == ("1", "2"), "the first order's row is written during the second")
    yield Reveal(
        1, "The thread went on with the next event: in its time, on its bill, under its request id, in its log."
    )

    payload_of(later.invoke({"order": 3}))
    later.recycle()
    time.sleep(_PAUSE)
    rows = _rows(stage)
    yield Screen(Part.WHY, "Or never")
    yield Step("a third order, answered at once; then its environment is recycled")
    yield Step(f"orders: {measured(3)}; rows: {measured(len(rows))}")
    yield Say("What a frozen environment has not done when it is recycled is never done, and nobody is told.")
    expect("3" not in [row[0] for row in rows], "a recycling loses the row")
    yield from _cure(stage)


def _cure(stage: Stage) -> Story:
    before = stage.add("audit_before")
    yield Screen(Part.CURE, "Finish before you answer")
    yield Say("Side by side with the work, if you like; but done when the handler returns.")
    yield Code("audit_before/app.py", mark=("join()",), since="connection =")

    yield Screen(Part.PROOF, "Three orders, and a recycling after each")
    stage.execute("DELETE FROM audit")
    for order in (1, 2, 3):
        result = before.invoke({"order": order, "seconds": 0.1})
        payload_of(result)
        before.recycle()
        rows = _rows(stage)
        yield Step(f"answered after {ms(result.report.duration_ms)}; rows in the table: {measured(len(rows))}")
        expect(len(rows) == order, "the row is there when the answer is")
    yield proven("each row was there with its answer, and no recycling lost one", len(rows) == 3)


LESSON = Lesson(
    number=3,
    name="background",
    title="Background work stops at the answer",
    question="A handler starts a thread, answers, and lets the thread do the rest. When does the thread do it?",
    tell=_tell,
    remember=(
        "With the answer everything stops: threads, timers, subprocesses.",
        "They go on in the middle of somebody else's event, or never.",
        "Wait for your work before you return, or hand it to a queue.",
        "Mind what starts threads for you: metrics, loggers, pools.",
    ),
)
