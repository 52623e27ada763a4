"""Raising ``max_connections``, by instance class."""

from __future__ import annotations

from emulator.database.profiles import PROFILES
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
    given,
    measured,
    proven,
)
from emulator.lessons.lesson import Lesson
from emulator.lessons.stage import Stage, failure_of

__all__ = ["LESSON"]

_SIZES = [
    PROFILES[f"db.{name}"] for name in ("t3.micro", "t3.small", "t3.medium", "m5.large", "m5.xlarge", "r5.xlarge")
]
_MICRO, _SMALL = _SIZES[:2]
_POOL = 16
_STORM = 5
_EVENT = {"seconds": 0.05}


def _tell(stage: Stage) -> Story:
    pool = stage.add("pool", environment={"POOL_SIZE": str(_POOL)})
    yield Screen(Part.WHY, "How many a server takes goes by its memory")
    yield Table(
        ("CLASS", "MEMORY", "CONNECTIONS", f"ENVIRONMENTS WITH {_POOL} EACH"),
        tuple(
            (size.name, f"{size.memory} GiB", str(size.max_connections), str(size.max_connections // _POOL))
            for size in _SIZES
        ),
        numbers=(1, 2, 3),
    )
    yield Say(
        "These are the defaults of RDS for MySQL as users have seen them; yours may differ by version. The last column "
        "is for a function that opens a pool, as our shop's does."
    )
    yield Screen(Part.CODE, "A function with a pool")
    yield Code("pool/app.py", mark=("POOL_SIZE", "pool = "))
    yield Step(f"max_connections is set to that of a {given(_MICRO.name)}: {measured(stage.limit)}")
    yield Step(f"POOL_SIZE = {measured(_POOL)}")

    yield Ask(
        f"{_STORM} events come at the same time. What does a {_MICRO.name} say?",
        ("it serves them all", "it refuses some", "it refuses all"),
    )
    yield Screen(Part.RUN, "The storm")
    yield Live(lambda: stage.gauge("now", _MICRO.max_connections))
    storm = stage.storm(pool, _STORM, lambda _: _EVENT)
    yield Bars((stage.bar("after it", missing=_POOL * len(storm.failed)),), _MICRO.max_connections)
    yield Step(f"served: {measured(len(storm.served))}; failed: {measured(len(storm.failed))}")
    yield Step(measured(failure_of(storm.failed[0])))
    expect(storm.served and "1040" in failure_of(storm.failed[0]), "a micro serves some of the storm")
    yield Reveal(
        1,
        f"{measured(_STORM)} environments ask for {measured(_STORM * _POOL)} connections. Those who come too late fail "
        "in their init.",
    )
    pool.recycle("fin")
    yield from _cure(stage)


def _cure(stage: Stage) -> Story:
    pool = stage.function("pool")
    stage.set_server("max_connections", _SMALL.max_connections)
    yield Screen(Part.CURE, "The next larger one")
    yield Step(f"max_connections is set to that of a {given(_SMALL.name)}: {measured(stage.limit)}")
    yield Live(lambda: stage.gauge("now", _SMALL.max_connections))
    storm = stage.storm(pool, _STORM, lambda _: _EVENT)
    first = stage.bar("the same storm")
    yield Bars((first,), _SMALL.max_connections)
    yield proven(f"all {measured(len(storm.served))} events were served", len(storm.served) == _STORM)

    yield Screen(Part.WHY, "Until the next time")
    pool.recycle()
    between = stage.bar("recycled")
    again = stage.storm(pool, _STORM, lambda _: _EVENT)
    yield Bars(
        (first, between, stage.bar("the storm again", missing=_POOL * len(again.failed))), _SMALL.max_connections
    )
    yield Step(f"served: {measured(len(again.served))}; failed: {measured(len(again.failed))}")
    yield Say(
        "Twice the memory, twice the price, and one silent recycling later it is full again. More connections buy "
        "time; they do not change what each environment takes. The next lesson does."
    )
    expect(again.failed, "a larger limit is full after the next recycling")


LESSON = Lesson(
    number=8,
    name="max-connections",
    title="Raising max_connections",
    question="The server says Too many connections. How far does a larger one carry?",
    tell=_tell,
    remember=(
        "How many connections a server takes goes by its memory, and its price.",
        "Divide by what one environment opens: so many events at a time.",
        "Zombies take their share of it, and grow with it.",
        "Raise it to gain time; change what an environment takes to be cured.",
    ),
    server={"max_connections": _MICRO.max_connections},
)
