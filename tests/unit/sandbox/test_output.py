"""The output pipe: complete, in order, and never a way to hold the loop."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator

import pytest

from emulator.sandbox.output import OutputPipe
from tests.support import in_loop


@pytest.fixture
def ends() -> Iterator[tuple[int, int]]:
    """The reading and the writing end of a pipe; the reading one belongs to who is under test."""
    reading, writing = os.pipe()
    yield reading, writing
    try:
        os.close(writing)
    except OSError:
        return


@in_loop
async def test_what_is_written_arrives_without_being_asked_for(ends: tuple[int, int]) -> None:
    """The loop reads as it comes."""
    arrived, seen = asyncio.Event(), bytearray()

    def hear(piece: bytes) -> None:
        seen.extend(piece)
        arrived.set()

    pipe = OutputPipe(ends[0], hear)
    os.write(ends[1], b"hello\n")
    async with asyncio.timeout(30):
        await arrived.wait()
    assert bytes(seen) == b"hello\n"
    pipe.close()


@in_loop
async def test_a_drain_has_everything_that_was_written_before_it(ends: tuple[int, int]) -> None:
    """Without a round of the loop: what a function printed before its answer is there with the answer."""
    seen = bytearray()
    pipe = OutputPipe(ends[0], seen.extend)
    written = bytes(range(256)) * 1_000
    writer = threading.Thread(target=os.write, args=(ends[1], written), daemon=True)
    writer.start()
    writer.join(5)
    assert not writer.is_alive(), "the pipe took less than a chatty function writes"
    pipe.drain()
    assert bytes(seen) == written
    pipe.drain()
    assert bytes(seen) == written
    pipe.close()


@in_loop
async def test_a_drain_ends_though_somebody_goes_on_writing(ends: tuple[int, int]) -> None:
    """A background thread that prints without pause must not hold the emulator for ever."""
    seen = 0

    def hear(piece: bytes) -> None:
        nonlocal seen
        seen += len(piece)
        assert seen <= 1 << 20, "it read far more than the pipe held when it began"
        os.write(ends[1], piece)  # as fast as we read

    pipe = OutputPipe(ends[0], hear)
    os.write(ends[1], b"y" * 4096)
    pipe.drain()
    assert seen == 4096
    pipe.close()


@in_loop
async def test_the_last_writers_end_is_noticed_once(ends: tuple[int, int]) -> None:
    """A pipe at its end is "readable" for ever; the loop must not be busy with it."""
    pieces: list[bytes] = []
    pipe = OutputPipe(ends[0], pieces.append)
    os.write(ends[1], b"last words")
    os.close(ends[1])
    for _ in range(5):
        await asyncio.sleep(0.001)
    assert pieces == [b"last words"]
    assert not asyncio.get_running_loop().remove_reader(ends[0]), "it is still being watched"
    pipe.close()


@in_loop
async def test_closing_reads_the_rest_and_gives_the_descriptor_back(ends: tuple[int, int]) -> None:
    """Closing twice is as once, and draining afterwards is nothing."""
    seen = bytearray()
    pipe = OutputPipe(ends[0], seen.extend)
    os.write(ends[1], b"rest")
    pipe.close()
    pipe.close()
    pipe.drain()
    assert bytes(seen) == b"rest"
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(ends[0])


@in_loop
async def test_a_flood_is_read_in_pieces_with_room_for_others(ends: tuple[int, int]) -> None:
    """One piece a round of the loop: something else runs between them."""
    order: list[str] = []
    pipe = OutputPipe(ends[0], lambda piece: order.append("piece"))
    os.set_blocking(ends[1], False)
    os.write(ends[1], b"x" * (3 << 16))
    for _ in range(6):
        await asyncio.sleep(0)
        order.append("other")
    assert order.count("piece") == 3
    assert "piece piece" not in " ".join(order)
    pipe.close()
