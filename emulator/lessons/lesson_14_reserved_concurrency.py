"""Reserved concurrency as a cure for storms."""

from __future__ import annotations

from emulator.lessons.blocks import (
    Ask,
    Bars,
    Code,
    Live,
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
)
from emulator.lessons.lesson import Lesson
from emulator.lessons.stage import Stage, failure_of

__all__ = ["LESSON"]

_LIMIT = 10
_RESERVED = 8
_STORM = 16
_LATER = 10  # minutes


def _orders(stage: Stage) -> int:
    return stage.number("SELECT COUNT(*) FROM orders")


def _tell(stage: Stage) -> Story:
    stage.table("orders", "id INT PRIMARY KEY")
    yield Screen(Part.CODE, "One connection for each environment")
    yield Code("order/app.py", mark=("connect(", "INSERT"))
    yield Say(
        f"For this lesson the server takes {measured(stage.limit)} sessions of functions. The function may have as "
        "many environments as it likes."
    )

    free = stage.add("order_without_limit", "order")
    yield Screen(Part.RUN, "A storm of orders")
    yield Step(f"{measured(_STORM)} events at the same time")
    yield Live(lambda: stage.gauge("now", _LIMIT))
    storm = stage.storm(free, _STORM)
    yield Bars((stage.bar("the storm", missing=len(storm.failed)),), _LIMIT)
    ordered = _orders(stage)
    yield Step(f"ordered: {measured(ordered)}; failed: {measured(len(storm.failed))}")
    yield Step(measured(failure_of(storm.failed[0])))
    yield Say("The failed ones had an environment, an init and a bill. And whoever else uses this database fails, too.")
    expect(storm.failed and "1040" in failure_of(storm.failed[0]), "the storm fills the server")
    free.recycle("fin")
    stage.until(lambda: not stage.sessions(), "the server ends the sessions of the first storm")

    reserved = stage.add("order", reserved_concurrency=_RESERVED)
    yield Screen(Part.CURE, "Fewer at a time than the server can take")
    yield Step(f"reserved_concurrency = {measured(_RESERVED)}")
    yield Say("No more environments of this function than that, whatever comes. It costs nothing.")
    yield Ask(
        f"The same storm: {_STORM} events. What happens to those that find no place?",
        (
            "they wait inside Lambda until one is free",
            "they are refused before they start",
            "they fail in the function",
        ),
    )
    stage.execute("DELETE FROM orders")
    yield Screen(Part.RUN, "The same storm")
    yield Live(lambda: stage.gauge("now", _LIMIT))
    storm = stage.storm(reserved, _STORM)
    peak = stage.bar("the storm")
    yield Bars((peak,), _LIMIT)
    ordered = _orders(stage)
    yield Step(
        f"ordered: {measured(ordered)}; failed: {measured(len(storm.failed))}; refused: {measured(storm.throttled)}"
    )
    expect(not storm.failed and storm.throttled == _STORM - _RESERVED == _STORM - ordered, "the rest is refused")
    yield Reveal(
        1,
        "Lambda answers them with the status Too Many Requests, before anything has begun. The caller may try again "
        "without a doubt: nothing is half done.",
    )

    yield Screen(Part.PROOF, "Or let Lambda try again")
    stage.execute("DELETE FROM orders")
    yield Say(f"The same {measured(_STORM)} orders as asynchronous events: nobody waits for their answers.")
    for number in range(1, _STORM + 1):
        reserved.send({"id": number})
    rows = [("just sent", *_look(stage))]
    stage.emulator.fast_forward(minutes=_LATER)
    stage.until(lambda: _orders(stage) == _STORM, "all of them are served in the end")
    rows.append((f"{_LATER} minutes later", *_look(stage)))
    yield Table(("", "ORDERED", "NOT DONE YET", "SESSIONS"), tuple(rows), numbers=(1, 2, 3))
    most = len(reserved.environments())
    yield proven(
        f"all {measured(_orders(stage))} were served in the end, by {measured(most)} environments",
        most <= _RESERVED,
    )


def _look(stage: Stage) -> tuple[str, str, str]:
    """Orders in the table, events that are not done, sessions."""
    waiting = len(stage.function("order").queue())
    return str(_orders(stage)), str(waiting), str(len(stage.sessions()))


LESSON = Lesson(
    number=14,
    name="reserved-concurrency",
    title="Reserved concurrency as a cure",
    question="More events come than the database has connections. Where should the surplus wait?",
    tell=_tell,
    remember=(
        "Reserved concurrency is a limit: so many environments, and no more.",
        "Set it to max_connections, divided by what an environment opens.",
        "Leave room for zombies, for deployments and for people.",
        "What is refused has not begun: it can be sent again, or queued.",
    ),
    server={"max_connections": _LIMIT},
)
