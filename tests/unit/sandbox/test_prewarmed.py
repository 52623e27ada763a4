"""The pool of prewarmed sandboxes, with vessels that only remember what was done to them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from emulator.errors import EngineError
from emulator.sandbox.prewarmed import Prewarmed
from emulator.sandbox.vessel import Vessel
from tests.support import in_loop


class FakeVessel:
    """Starts when it is told that it has."""

    def __init__(self, key: str) -> None:
        self.key, self.image = key, ""
        self.may_start = asyncio.Event()
        self.fail_with: EngineError | None = None
        self.is_removed = False
        self.end: Callable[[int], None] = lambda _code: None

    async def start_anonymous(self, image: str, on_exit: Callable[[int], None]) -> None:
        self.image, self.end = image, on_exit
        await self.may_start.wait()
        if self.fail_with is not None:
            raise self.fail_with

    async def remove(self) -> None:
        self.is_removed = True


class Yard:
    """A pool of a given size, and all vessels that it has asked for."""

    def __init__(self, size: int = 2) -> None:
        self.made: list[FakeVessel] = []
        self.pool = Prewarmed(size, self._make)

    def _make(self, key: str) -> Vessel:
        self.made.append(FakeVessel(key))
        return cast(Vessel, self.made[-1])

    async def started(self, count: int, *, then: int) -> None:
        """Let the vessel of this number start; ``then`` so many were asked for, and no more."""
        self.made[count - 1].may_start.set()
        await self.asked_for(then)

    async def asked_for(self, count: int) -> None:
        for _ in range(20):  # rounds of the loop; nothing here waits for anything else
            await asyncio.sleep(0)
        assert len(self.made) == count

    @property
    def notes(self) -> list[str]:
        return list(self.pool.notes)

    def take(self, image: str = "image") -> FakeVessel | None:
        return cast("FakeVessel | None", self.pool.take(image))


@in_loop
async def test_it_is_filled_one_at_a_time() -> None:
    """For every image that is wanted, in the background, and no further."""
    yard = Yard()
    async with yard.pool:
        await yard.asked_for(0)
        yard.pool.want("image")
        yard.pool.want("other")
        assert yard.take() is None
        await yard.asked_for(1)
        await yard.started(1, then=2)
        await yard.started(2, then=3)
        await yard.started(3, then=4)
        await yard.started(4, then=4)
        assert [vessel.image for vessel in yard.made] == ["image", "image", "other", "other"]
        assert len({vessel.key for vessel in yard.made}) == 4
        assert yard.pool.notes == (
            "2 of 2 prewarmed sandboxes wait for image.",
            "2 of 2 prewarmed sandboxes wait for other.",
        )
    assert all(vessel.is_removed for vessel in yard.made)


@in_loop
async def test_another_comes_when_the_one_that_was_taken_has_settled() -> None:
    """Its init needs the processor more; the oldest is taken first."""
    yard = Yard()
    async with yard.pool:
        yard.pool.want("image")
        await yard.asked_for(1)
        await yard.started(1, then=2)
        await yard.started(2, then=2)
        assert yard.take() is yard.made[0]
        assert yard.take() is yard.made[1]
        assert yard.take() is None
        assert yard.take("never wanted") is None
        await yard.asked_for(2)
        yard.pool.settled(cast(Vessel, yard.made[0]))
        await yard.asked_for(2)
        yard.pool.settled(cast(Vessel, yard.made[1]))
        await yard.asked_for(3)
    assert [vessel.is_removed for vessel in yard.made] == [False, False, True]  # the taken ones are their takers'


@in_loop
async def test_one_that_does_not_start_is_told_and_tried_again_when_one_is_wanted() -> None:
    """Not before, or it would go on for ever."""
    yard = Yard()
    async with yard.pool:
        yard.pool.want("image")
        await yard.asked_for(1)
        yard.made[0].fail_with = EngineError("the engine is asleep")
        await yard.started(1, then=1)
        assert yard.made[0].is_removed
        assert yard.notes == [
            "0 of 2 prewarmed sandboxes wait for image.",
            "A prewarmed sandbox for image is missing: the engine is asleep.",
        ]
        assert yard.take() is None
        await yard.asked_for(2)
        await yard.started(2, then=3)
        assert yard.notes == ["1 of 2 prewarmed sandboxes wait for image."]


@in_loop
async def test_one_that_ends_while_it_waits_is_removed() -> None:
    """Somebody has killed it; nobody gets it."""
    yard = Yard(size=1)
    async with yard.pool:
        yard.pool.want("image")
        await yard.asked_for(1)
        await yard.started(1, then=1)
        yard.made[0].end(137)
        await yard.asked_for(1)
        assert yard.made[0].is_removed
        assert "one has ended that nobody had used" in yard.pool.notes[1]
        assert yard.take() is None
        await yard.asked_for(2)


@in_loop
async def test_an_image_whose_vessels_are_unfit_has_none_any_more() -> None:
    """What has failed once would fail for everybody."""
    yard = Yard()
    async with yard.pool:
        yard.pool.want("image")
        await yard.asked_for(1)
        await yard.started(1, then=2)
        assert yard.take() is yard.made[0]
        yard.pool.unfit("image", "it has no /opt")
        yard.pool.settled(cast(Vessel, yard.made[0]))
        await yard.started(2, then=2)  # the one that was on its way
        assert yard.made[1].is_removed
        assert yard.take() is None
        await yard.asked_for(2)
        assert yard.pool.notes == ("A prewarmed sandbox for image is missing: it has no /opt.",)


@in_loop
async def test_leaving_it_ends_what_is_on_its_way() -> None:
    """And removes what there was of it."""
    yard = Yard()
    async with yard.pool:
        yard.pool.want("image")
        await yard.asked_for(1)
    assert yard.made[0].is_removed


@in_loop
async def test_where_there_are_none_nothing_happens() -> None:
    """None are wanted, or none are possible, which is told."""
    for size, impossible, notes in (
        (0, "", ()),
        (0, "it is dark", ()),
        (2, "it is dark", ("No prewarmed sandboxes: it is dark. Environments start from nothing.",)),
    ):
        yard = Yard(size)
        async with yard.pool:
            yard.pool.impossible = impossible
            yard.pool.want("image")
            await yard.asked_for(0)
            assert yard.take() is None
            assert yard.pool.notes == notes
