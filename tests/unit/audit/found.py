"""Facts of an audit, to change one thing of."""

from __future__ import annotations

import dataclasses
from typing import Any

from emulator.audit.facts import Course, Facts, Setting, Step

__all__ = ["FACTS", "SETTING", "course", "facts"]

SETTING = Setting(
    function="orders",
    sandbox="process",
    freezer="signals",
    database="MariaDB 10.11.19, a private server on port 20001",
    limit=66,
    limit_of="db.t3.micro",
    concurrency=10,
    pool=None,
    wait_timeout=28_800,
    keepalive=7875,
)
FACTS = Facts(
    setting=SETTING,
    at_rest=(1, 1, 1),
    opened=(1, 0, 0),
    most=1,
    still_growing=False,
    left_by_recycle=0,
    open_transactions=0,
    locked_rows=0,
    leftovers=(),
    not_looked_at="",
    courses=(),
    storm=None,
    seconds=4.2,
)


def facts(**changes: Any) -> Facts:
    """The facts of a function without fault, but for these; settings by their own names."""
    of_setting = {key: changes.pop(key) for key in list(changes) if hasattr(SETTING, key)}
    return dataclasses.replace(FACTS, setting=dataclasses.replace(SETTING, **of_setting), **changes)


def course(condition: str, steps: str, *, code: int | None = 2013, held: int = 1, **changes: Any) -> Course:
    """A course as its signs: ``+`` for an invocation that worked, ``-`` for one that failed."""
    made = tuple(Step(True) if sign == "+" else Step(False, code, "it failed", **changes) for sign in steps)
    return Course(condition, condition.replace("-", " "), held, 1, made)
