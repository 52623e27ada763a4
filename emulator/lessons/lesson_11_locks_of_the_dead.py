"""Locks of the dead: a transaction that was left open."""

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
    brief,
    expect,
    measured,
    ms,
    proven,
    span,
)
from emulator.lessons.lesson import Lesson
from emulator.lessons.stage import Stage, failure_of, payload_of

__all__ = ["LESSON"]

_LOCK_WAIT = 1  # seconds
_STOCK = 100


def _locks(stage: Stage) -> Table:
    return Table(
        ("SESSION", "COMMAND", "ENVIRONMENT", "", "ROWS LOCKED"),
        tuple(
            (
                str(session.id),
                session.command,
                (session.environment or "")[:8],
                "✝ zombie" if session.zombie else f"❄ {session.environment_state}",
                str(session.locked_rows or 0),
            )
            for session in stage.sessions()
        ),
        numbers=(0, 4),
    )


def _tell(stage: Stage) -> Story:
    stage.table("stock", "item INT PRIMARY KEY, n INT")
    stage.execute(f"INSERT INTO stock VALUES (1, {_STOCK:d})")  # noqa: S608 (a number of ours)
    shop = stage.add("unfinished")
    yield Screen(Part.CODE, "Something is missing here")
    yield Code("unfinished/app.py", mark=("autocommit", "UPDATE"))

    yield Screen(Part.RUN, "One order")
    sold = shop.invoke({"item": 1})
    yield Step(f"the function says: {payload_of(sold)}")
    left = stage.number("SELECT n FROM stock")
    yield Step(f"still in stock: {measured(left)} of {measured(_STOCK)}")
    yield _locks(stage)
    yield Say(
        "Without a commit nothing is sold. The transaction is open, its environment is frozen, and the row is locked."
    )
    expect(left == _STOCK, "nothing was sold")

    shop.recycle()
    yield Ask(
        "Now Lambda recycles that environment without a word. Another customer wants the same item. What happens?",
        ("it is sold, the locks went with the environment", "it waits, and then it fails", "it waits for ever"),
    )
    yield Screen(Part.RUN, "The next order, in a new environment")
    begin = time.monotonic()
    failed = shop.invoke({"item": 1})
    waited = (time.monotonic() - begin) * 1000
    yield Step(f"after {ms(waited)}: {measured(brief(failure_of(failed), 54))}")
    yield _locks(stage)
    expect("1205" in failure_of(failed), "the row is locked by a zombie")
    zombie = next(session for session in stage.sessions() if session.zombie)
    yield Reveal(
        1,
        "The lock belongs to a zombie. The server keeps it, as nobody has told it that its owner is dead. "
        f"(The other one waited for innodb_lock_wait_timeout, {span(_LOCK_WAIT)} here.)",
    )
    yield Say(
        f"The server gives the dead one up in {span(zombie.drops_in or 0.0)}. Until then nobody can buy this item."
    )
    shop.recycle("fin")
    killed = stage.emulator.kill_zombies()
    stage.until(lambda: not stage.sessions(), "the server ends the zombie")
    yield Step(f"first aid is KILL: {measured(len(killed))} zombie ended, and its locks are gone")
    yield from _cure(stage)


def _cure(stage: Stage) -> Story:
    shop = stage.add("finished")
    yield Screen(Part.CURE, "Nothing is left open")
    yield Code("finished/app.py", mark=("commit()", "finally", "rollback()"))

    yield Screen(Part.PROOF, "The same two orders, the same recycling")
    payload_of(shop.invoke({"item": 1}))
    shop.recycle()
    begin = time.monotonic()
    second = shop.invoke({"item": 1})
    waited = (time.monotonic() - begin) * 1000
    left = stage.number("SELECT n FROM stock")
    yield Step(f"the second order: {payload_of(second)}, after {ms(waited)} with its cold start")
    yield Step(f"still in stock: {measured(left)}")
    yield _locks(stage)
    yield proven("there is a zombie again, but without a transaction it locks nothing", left == _STOCK - 2)


LESSON = Lesson(
    number=11,
    name="locks-of-the-dead",
    title="Locks of the dead",
    question=(
        "An environment is recycled in the middle of a transaction. What becomes of its locks, and who waits for them?"
    ),
    tell=_tell,
    remember=(
        "A transaction that is open at the answer is frozen with its locks.",
        "After a silent recycling the dead hold them until the server gives up.",
        "Commit or roll back before every answer, in a finally block.",
        "A timeout in the middle is milder: the living kernel closes its sockets.",
    ),
    server={"innodb_lock_wait_timeout": _LOCK_WAIT},
)
