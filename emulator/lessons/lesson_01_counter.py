"""Module state survives from one event to the next, and what ends it."""

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
    Table,
    expect,
    measured,
    proven,
    short,
)
from emulator.lessons.lesson import Lesson
from emulator.lessons.stage import Stage, payload_of

__all__ = ["LESSON"]


def _tell(stage: Stage) -> Story:
    counter = stage.add("counter", timeout=1)
    yield Screen(Part.CODE, "A counter outside the handler")
    yield Code("counter/app.py", mark=("count = 0", "count += 1"))

    yield Screen(Part.RUN, "One event after the other")
    first = counter.invoke({})
    for result in (first, counter.invoke({}), counter.invoke({})):
        how = "cold start" if result.cold_start else "warm"
        count = measured(payload_of(result))
        yield Step(f"count {count}, {how}, in environment {short(result.environment_id)}")
    yield Say(
        "Between two events the environment is frozen, with all its memory. The next event thaws it, and the module "
        "goes on where it was."
    )
    expect(payload_of(result) == 3 and result.environment_id == first.environment_id, "the count goes on")

    count = payload_of(result)
    yield Ask(
        "Now two events come at the same time. What do they count?",
        (f"{count + 1} and {count + 2}", f"{count + 1} and 1", "1 and 1"),
    )
    yield Screen(Part.RUN, "Two at the same time")
    both = stage.storm(counter, 2, lambda _: {"seconds": 0.2}).served
    for result in both:
        yield Step(f"count {measured(payload_of(result))} in environment {short(result.environment_id)}")
    expect(sorted(payload_of(result) for result in both) == [1, count + 1], "two at once have a count each")
    yield Reveal(
        1,
        "An environment serves one event at a time. The second event got a new environment, and a new environment "
        "has a memory of its own.",
    )

    yield Screen(Part.WHY, "What ends it")
    rows = []
    for what, event in (("an exception", {"fail": True}), ("a timeout", {"seconds": 9})):
        ended = counter.invoke(event)
        expect(ended.function_error, f"{what} is an error")
        after = counter.invoke({})
        same = after.environment_id == ended.environment_id
        kept = payload_of(after) > 1
        rows.append((what, "the same" if same else "another", "goes on" if kept else "begins anew"))
    counter.recycle()
    after = counter.invoke({})
    rows.append(("a recycling", "another", "goes on" if payload_of(after) > 1 else "begins anew"))
    yield Table(("AFTER", "ENVIRONMENT", "COUNT"), tuple(rows))
    yield Say(
        "A timeout or a crash ends the processes. A recycling ends the environment: after some minutes without an "
        "event, after some hours in any case, or because you deployed new code."
    )
    expect(
        [row[2] for row in rows] == ["goes on", "begins anew", "begins anew"], "a timeout and a recycling end the count"
    )
    yield from _cure(stage)


def _cure(stage: Stage) -> Story:
    stage.table("counter", "n INT")
    stage.execute("INSERT INTO counter VALUES (0)")
    counter = stage.add("counter_in_database")
    yield Screen(Part.CURE, "Keep it where environments can lose it")
    yield Say("What has to be right is kept outside: here in the database, in one statement.")
    yield Code("counter_in_database/app.py", mark=("UPDATE",))

    yield Screen(Part.PROOF, "Two at the same time, and a recycling")
    events = [*stage.storm(counter, 2).served]
    counter.recycle()
    events.append(counter.invoke({}))
    for result in events:
        yield Step(f"count {measured(payload_of(result))} in environment {short(result.environment_id)}")
    counted = sorted(payload_of(result) for result in events)
    environments = len({result.environment_id for result in events})
    yield proven(
        f"{measured(len(events))} events in {measured(environments)} environments were counted to "
        f"{measured(counted[-1])}",
        counted == [1, 2, 3] and environments == 3,
    )


LESSON = Lesson(
    number=1,
    name="counter",
    title="A counter that goes on, and what ends it",
    question=(
        "A function counts in a global variable. What does it count when events come one after the other, when they "
        "come together, and after something went wrong?"
    ),
    tell=_tell,
    remember=(
        "What stands outside the handler lives as long as its environment.",
        "Each environment has its own. Nobody tells you how many there are.",
        "A timeout, a crash or a recycling ends it, without a word to your code.",
        "So: fine for a cache and for connections, wrong for what must be right.",
    ),
)
