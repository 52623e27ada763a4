"""A connection that is opened in the handler and never closed; and a ``finally`` that a timeout never reaches."""

from __future__ import annotations

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
    Table,
    brief,
    expect,
    measured,
    ms,
    proven,
)
from emulator.lessons.lesson import Lesson
from emulator.lessons.stage import Stage, failure_of, payload_of

__all__ = ["LESSON"]

_EVENTS = 4
_SLOW = 2.5  # seconds that the report takes: more than the function has


def _said_closed(result: InvocationResult) -> str:
    return "reached" if "closed\n" in result.logs else "never reached"


def _tell(stage: Stage) -> Story:
    leak = stage.add("leak")
    yield Screen(Part.CODE, "Opened in the handler")
    yield Code("leak/app.py", mark=("connect()", "append"))
    yield Ask(
        "Four events, one after the other, in one environment. How many sessions does the server hold then?",
        ("none, they end with the handler", "one, the last", "one for each event"),
    )
    yield Screen(Part.RUN, "The server's list of sessions")
    for _ in range(_EVENTS):
        payload_of(leak.invoke({}))
    yield stage.process_list()
    held = len(stage.sessions())
    expect(held == _EVENTS, "each event leaves a session")
    yield Reveal(
        2,
        f"{measured(held)} sessions, and no process of the environment runs. The end of a handler closes nothing, "
        "and a frozen environment keeps what it has.",
    )

    closing = stage.add("close_at_end", timeout=1)
    yield Screen(Part.CODE, "So close it, whatever happens")
    yield Code("close_at_end/app.py", mark=("finally", "close()"))
    leak.recycle("fin")

    yield Screen(Part.RUN, "Three ends")
    rows = []
    for what, event in (
        ("an answer", {"seconds": 0}),
        ("an exception", {"fail": True}),
        ("a timeout", {"seconds": _SLOW}),
    ):
        result = closing.invoke(event)
        rows.append((what, _said_closed(result), str(_held_by(stage, "close_at_end"))))
    yield Table(("END", "FINALLY", "SESSIONS"), tuple(rows), numbers=(2,))
    expect([row[1] for row in rows] == ["reached", "reached", "never reached"], "a timeout does not reach the finally")
    expect(rows[2][2] == "1", "the server goes on with the statement")
    yield stage.process_list()
    yield Say(
        "A timeout kills the process where it stands. The server finds out when it has finished the report that "
        "nobody reads any more; until then it holds the session, and all of its locks."
    )
    stage.until(lambda: not stage.sessions(), "the server ends the session of a process that was killed")
    yield from _cure(stage)


def _held_by(stage: Stage, name: str) -> int:
    return sum(session.function == name for session in stage.sessions())


def _cure(stage: Stage) -> Story:
    careful = stage.add("close_in_time", timeout=1)
    yield Screen(Part.CURE, "Give up before Lambda does")
    yield Say("The function knows how much time it has left. The server can be told to stop before that.")
    yield Code("close_in_time/app.py", mark=("get_remaining_time", "limit_statements(connection"))

    yield Screen(Part.PROOF, "The same slow report")
    result = careful.invoke({"seconds": _SLOW})
    # Of an interrupted SLEEP, MySQL tells by its answer, MariaDB by an error.
    told = failure_of(result) if result.function_error else f"SLEEP was interrupted: {result.payload}"
    yield Step(measured(brief(told, 70)))
    yield Step(f"after {ms(result.report.duration_ms)}; the finally was {_said_closed(result)}")
    stage.until(lambda: not stage.sessions(), "the server ends the session that was closed")
    yield Step(f"sessions left: {measured(len(stage.sessions()))}")
    yield proven(
        "stopped in time, and closed; the environment lives on",
        result.report.status != "timeout" and _said_closed(result) == "reached",
    )
    fine = careful.invoke({"seconds": 0})
    yield Say(
        f"It costs a new connection for every event, {ms(fine.report.duration_ms)} in all for an event that does "
        "nothing else, here where the server is next door. The next lesson is about that."
    )


LESSON = Lesson(
    number=4,
    name="never-closed",
    title="Opened in the handler, and never closed",
    question=(
        "A handler opens a connection. Who closes it: the end of the handler, the freeze, a finally block, nobody?"
    ),
    tell=_tell,
    remember=(
        "The end of the handler closes nothing, and neither does the freeze.",
        "A finally block is reached after an answer and after an exception.",
        "It is not reached after a timeout: the process is killed.",
        "So let statements and drivers give up before the function has to.",
    ),
)
