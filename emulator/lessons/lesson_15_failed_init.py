"""A failed init connects twice."""

from __future__ import annotations

from emulator.lessons.blocks import Ask, Code, Part, Reveal, Say, Screen, Step, Story, expect, measured, proven
from emulator.lessons.lesson import Lesson
from emulator.lessons.stage import Stage, failure_of, payload_of

__all__ = ["LESSON"]

_EVENTS = 4


def _tell(stage: Stage) -> Story:
    stage.table("starts", "at DATETIME")
    broken = stage.add("broken_init")
    yield Screen(Part.CODE, "It connects, and then it fails")
    yield Code("broken_init/app.py", mark=("connect(", "INSERT", "PRICES"))

    yield Ask(
        "A setting is missing, so the module raises. One event comes. How often is the server connected to?",
        ("never", "once", "twice"),
    )
    yield Screen(Part.RUN, "One event")
    failed = broken.invoke({})
    yield Step(f"what the client gets: {failed.payload['errorType']} {failure_of(failed)}")
    opened, starts = stage.opened(broken), stage.number("SELECT COUNT(*) FROM starts")
    yield Step(f"connections opened: {measured(opened)}; rows in the table: {measured(starts)}")
    phases = [line.split("Phase: ")[1].split("\t")[0] for line in broken.logs().splitlines() if "Phase: " in line]
    yield Step(f"the log has an INIT_REPORT for each phase: {', '.join(phases)}")
    expect(opened == starts == 2 and phases == ["init", "invoke"], "a failed init runs twice")
    yield Reveal(
        2,
        "Lambda tries a failed init once more, inside of the invocation. All that stands outside the handler is done "
        "twice: connections, rows, messages.",
    )

    yield Screen(Part.WHY, "And again with each event")
    for _ in range(_EVENTS - 1):
        broken.invoke({})
    opened, starts = stage.opened(broken), stage.number("SELECT COUNT(*) FROM starts")
    yield Step(f"after {measured(_EVENTS)} events: {measured(opened)} connections, {measured(starts)} rows")
    yield Step(f"environments: {measured(len({e.id for e in broken.environments()}))}")
    yield Say(
        "The environment stays, and every event begins with its init. A missing setting becomes a load on the "
        "database, by just the function that cannot use it."
    )
    expect(opened > _EVENTS, "every event connects again")
    stage.until(lambda: not stage.sessions(), "the server ends the sessions of failed inits")
    yield from _cure(stage)


def _cure(stage: Stage) -> Story:
    stage.execute("DELETE FROM starts")
    careful = stage.add("careful_init")
    yield Screen(Part.CURE, "First what can fail, then what is felt")
    yield Code("careful_init/app.py", mark=("PRICES", "cache", "connection()"))

    yield Screen(Part.PROOF, "Without the setting, and with it")
    failed = careful.invoke({})
    opened = stage.opened(careful)
    yield Step(f"without: {failed.payload['errorType']}; connections opened: {measured(opened)}")
    expect(failed.function_error and opened == 0, "a failed init does not connect")
    careful = stage.add("careful_init", environment={"PRICES": "prices.json"})
    for _ in range(_EVENTS):
        payload_of(careful.invoke({}))
    opened, starts = stage.opened(careful), stage.number("SELECT COUNT(*) FROM starts")
    yield Step(f"with it: events {measured(_EVENTS)}, connections {measured(opened)}, rows {measured(starts)}")
    yield proven(
        "an init that fails touches nothing, and one that works connects once", opened == 1 and starts == _EVENTS
    )


LESSON = Lesson(
    number=15,
    name="failed-init",
    title="A failed init connects twice",
    question="A module connects to the database and then raises an error. How often does that happen for one event?",
    tell=_tell,
    remember=(
        "A failed init is run again within the invocation: everything twice.",
        "The next event begins with it once more.",
        "Check settings first, connect when you need it, and once.",
        "Nothing that counts or writes belongs outside the handler.",
    ),
)
