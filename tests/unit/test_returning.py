"""Events that wait for an environment on its way back."""

from __future__ import annotations

import asyncio

from emulator.invocation import Invocation
from emulator.returning import Returning
from tests.support import in_loop, skip_time
from tests.unit.stage import Stage


def events(count: int) -> list[Invocation]:
    stage = Stage()
    return [stage.invocation().invocation for _ in range(count)]


@in_loop
async def test_the_first_to_come_is_the_first_to_go() -> None:
    """And who was taken is not served a second time when its patience would have been over."""
    late: list[Invocation] = []
    returning, (first, second) = Returning(late.append), events(2)
    returning.wait(first)
    returning.wait(second)
    assert len(returning) == 2
    assert returning.take() is first
    skip_time(0.26)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert late == [second]
    assert len(returning) == 0


@in_loop
async def test_who_has_nobody_to_wait_for_is_served_otherwise_at_once() -> None:
    """The first ones first, and as many stay as somebody comes back for."""
    late: list[Invocation] = []
    returning, waiting = Returning(late.append), events(3)
    for one in waiting:
        returning.wait(one)
    returning.serve_all_but(1)
    assert late == waiting[:2]
    assert returning.take() is waiting[2]
