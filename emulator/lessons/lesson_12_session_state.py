"""Session state that leaks to the next request."""

from __future__ import annotations

from typing import Any

from emulator.lessons.blocks import Ask, Code, Part, Reveal, Say, Screen, Story, Table, expect, proven
from emulator.lessons.lesson import Lesson
from emulator.lessons.stage import Stage, payload_of

__all__ = ["LESSON"]

_WORDS = {0: "no", 1: "yes"}
_ANN = {"customer": "Ann"}


def _answers(rows: dict[str, dict[str, Any]]) -> Table:
    headings = tuple(next(iter(rows.values())))
    return Table(
        ("EVENT", *(heading.upper() for heading in headings)),
        tuple(
            (who, *(_WORDS.get(answer[heading], answer[heading]) for heading in headings))
            for who, answer in rows.items()
        ),
    )


def _tell(stage: Stage) -> Story:
    greeting = stage.add("greeting")
    yield Screen(Part.CODE, "What a customer wants, said to the session")
    yield Code("greeting/app.py", mark=("SET @customer", "SET time_zone", "GET_LOCK"), since="connection =")

    rows = {"Ann": payload_of(greeting.invoke(_ANN))}
    yield Screen(Part.RUN, "Ann has logged in")
    yield _answers(rows)
    yield Say("She is greeted by name, in her time zone, and her basket is locked for her.")
    yield Ask(
        "The next event is a guest's: nobody has logged in. Whom does the function greet?",
        ("a guest", "Ann"),
    )
    yield Screen(Part.RUN, "A guest")
    rows["a guest"] = payload_of(greeting.invoke({}))
    yield _answers(rows)
    expect(rows["a guest"]["customer"] == "Ann", "a guest is taken for Ann")
    yield Reveal(
        1,
        "The guest is taken for Ann. Variables, time zone, isolation level, temporary tables: all of that belongs to "
        "the session, and the session is handed from event to event.",
    )

    greeting.recycle()
    rows["a guest elsewhere"] = payload_of(greeting.invoke({}))
    yield Screen(Part.WHY, "Even where nobody shares it")
    yield _answers(rows)
    yield Say(
        "The last one was served by a new environment, with a session of its own: so no Ann. But named locks are "
        "the whole server's. Ann's was frozen with its session, and outlived its environment."
    )
    yield stage.process_list()
    expect(
        rows["a guest elsewhere"]["customer"] == "guest" and not rows["a guest elsewhere"]["basket is free"],
        "a named lock outlives its environment",
    )
    greeting.recycle("fin")
    stage.emulator.kill_zombies()
    stage.until(lambda: not stage.sessions(), "the server ends the zombie")
    yield from _cure(stage)


def _cure(stage: Stage) -> Story:
    greeting = stage.add("greeting_put_back")
    yield Screen(Part.CURE, "Put it back before you answer")
    yield Code(
        "greeting_put_back/app.py", mark=("finally", "= NULL", "RELEASE_ALL"), since="def handler", until="def greet"
    )

    yield Screen(Part.PROOF, "Ann, and two guests")
    rows = {"Ann": payload_of(greeting.invoke(_ANN)), "a guest": payload_of(greeting.invoke({}))}
    greeting.recycle()
    rows["a guest elsewhere"] = payload_of(greeting.invoke({}))
    yield _answers(rows)
    yield proven(
        "nothing of Ann is left for a guest, in the same environment or another",
        all(rows[guest]["customer"] == "guest" and rows[guest]["basket is free"] for guest in list(rows)[1:]),
    )
    yield Say(
        "Where the driver can reset the session (reset_session, resetConnection, change user), that is one call for "
        "all of it. Best of all: hand values over with the statement, and leave nothing in the session."
    )


LESSON = Lesson(
    number=12,
    name="session-state",
    title="Session state that leaks to the next request",
    question="A handler says something to its database session: a variable, a time zone, a lock. Who else gets that?",
    tell=_tell,
    remember=(
        "A connection that is used again brings its session along.",
        "That can be a wrong time, a lock that stays, or another one's data.",
        "Put it back before you answer, or reset the session.",
        "Better: nothing in the session that belongs to a customer.",
    ),
)
