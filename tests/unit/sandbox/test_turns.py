"""Turns at starting: how many at once, in which order, and that nobody holds others up by waiting."""

from __future__ import annotations

import asyncio

from emulator.sandbox.turns import Turn, Turns
from tests.support import in_loop, skip_time


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@in_loop
async def test_the_next_begins_when_one_has_started() -> None:
    """First come, first served; and giving back twice is giving back once."""
    turns, begun = Turns(at_once=1), list[int]()
    held: list[Turn] = []

    async def begin(number: int) -> None:
        held.append(await turns.take(lambda: True))
        begun.append(number)

    tasks = [asyncio.create_task(begin(number)) for number in range(3)]
    await settle()
    assert begun == [0]
    held[0].give_back()
    held[0].give_back()
    await settle()
    assert begun == [0, 1]
    held[1].give_back()
    await asyncio.gather(*tasks)
    held[2].give_back()


@in_loop
async def test_who_does_not_use_the_cpu_loses_the_turn() -> None:
    """And who does keeps it, however long."""
    busy = True
    turns = Turns(at_once=1)
    await turns.take(lambda: busy)
    waiting = asyncio.create_task(turns.take(lambda: False))
    for _ in range(3):
        skip_time(1)
        await settle()
    assert not waiting.done()
    busy = False
    skip_time(1)
    async with asyncio.timeout(30):
        (await waiting).give_back()


@in_loop
async def test_who_gives_up_waiting_takes_no_turn() -> None:
    """An environment can be ended before it has begun."""
    turns = Turns(at_once=1)
    first = await turns.take(lambda: True)
    impatient = asyncio.create_task(turns.take(lambda: True))
    await settle()
    impatient.cancel()
    await settle()
    first.give_back()
    async with asyncio.timeout(30):
        (await turns.take(lambda: True)).give_back()
