"""The pipes between us and a container's shell, with the test in the shell's place."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from emulator.sandbox.pipes import Pipes
from tests.support import in_loop


class Ours:
    """Our end, and what it has heard, in order."""

    def __init__(self, folder: Path) -> None:
        self.heard: list[str | int] = []
        self._fresh = asyncio.Event()
        self.pipes = Pipes(folder / "pipes", on_output=self._output, on_ended=self._note)

    def _output(self, piece: bytes) -> None:
        self._note(piece.decode())

    def _note(self, what: str | int) -> None:
        self.heard.append(what)
        self._fresh.set()

    async def hears(self, *expected: str | int) -> None:
        """Wait for so many things, and nothing else."""
        async with asyncio.timeout(5):
            while len(self.heard) < len(expected):
                self._fresh.clear()
                await self._fresh.wait()
        assert self.heard == list(expected)


@contextmanager
def theirs(ours: Ours, name: str) -> Iterator[int]:
    """The other end of one of the pipes, opened as the shell opens it."""
    flags = os.O_RDONLY | os.O_NONBLOCK if name == "start" else os.O_WRONLY
    descriptor = os.open(ours.pipes.folder / name, flags)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def write(ours: Ours, name: str, text: bytes) -> None:
    """Open, write and close, as a redirection does."""
    with theirs(ours, name) as descriptor:
        os.write(descriptor, text)


@in_loop
async def test_the_pipes_are_there_for_a_user_without_our_rights(tmp_path: Path) -> None:
    """Commands can be read, ends and output be written, by anybody; whatever the mask of this process is."""
    before = os.umask(0o077)
    try:
        ours = Ours(tmp_path)
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode for path in ours.pipes.folder.iterdir()}
    assert all(stat.S_ISFIFO(mode) for mode in modes.values())
    assert {name: stat.S_IMODE(mode) for name, mode in modes.items()} == {
        "start": 0o644,
        "ended": 0o622,
        "output": 0o622,
    }
    assert stat.S_IMODE(ours.pipes.folder.stat().st_mode) == 0o755
    ours.pipes.close()


@in_loop
async def test_a_command_waits_for_the_shell_to_come(tmp_path: Path) -> None:
    """Given before anybody reads; each command is one line, and none is there twice."""
    ours = Ours(tmp_path)
    ours.pipes.start()
    with theirs(ours, "start") as shell:
        assert os.read(shell, 100) == b"start\n"
        with pytest.raises(BlockingIOError):  # not its end: the shell waits for the next command
            os.read(shell, 100)
        ours.pipes.start()
        assert os.read(shell, 100) == b"start\n"
    ours.pipes.close()


@in_loop
async def test_output_and_ends_go_on_over_two_generations(tmp_path: Path) -> None:
    """Between one runtime and the next nobody holds the other end, and that is not the end of the pipe."""
    ours = Ours(tmp_path)
    write(ours, "output", b"the first\n")
    await ours.hears("the first\n")
    with theirs(ours, "ended") as shell:
        os.write(shell, b"137\n")
        await ours.hears("the first\n", 137)
        write(ours, "output", b"the second\n")
        await ours.hears("the first\n", 137, "the second\n")
        os.write(shell, b"0\n")
        await ours.hears("the first\n", 137, "the second\n", 0)
    ours.pipes.close()


@in_loop
async def test_output_can_be_fetched_without_a_round_of_the_loop(tmp_path: Path) -> None:
    """What was printed before an answer is there with the answer."""
    ours = Ours(tmp_path)
    write(ours, "output", b"just before\n")
    assert ours.heard == []
    ours.pipes.output.drain()
    assert ours.heard == ["just before\n"]
    ours.pipes.close()


@in_loop
async def test_an_end_may_come_in_pieces_and_several_at_once(tmp_path: Path) -> None:
    """A line is a line, however it arrives."""
    ours = Ours(tmp_path)
    write(ours, "ended", b"13")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert ours.heard == []
    write(ours, "ended", b"7\n1\n0\n25")
    await ours.hears(137, 1, 0)
    write(ours, "ended", b"5\n")
    await ours.hears(137, 1, 0, 255)
    ours.pipes.close()


NONSENSE = [b"", b"-1", b"+1", b"1 ", b" 1", b"1.0", b"killed", b"\xff\x00", "²".encode(), b"1000", b"9" * 5_000]


@pytest.mark.parametrize("nonsense", NONSENSE, ids=lambda value: repr(value[:8]))
@pytest.mark.parametrize("in_pieces", [False, True], ids=["at once", "in pieces"])
def test_nonsense_is_not_an_end(tmp_path: Path, nonsense: bytes, in_pieces: bool) -> None:
    """A function can write there; what is no exit status is dropped, and the next line is read as ever."""

    @in_loop
    async def play_it() -> None:
        ours = Ours(tmp_path)
        half = len(nonsense) // 2 if in_pieces else 0
        write(ours, "ended", nonsense[:half])
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        write(ours, "ended", nonsense[half:] + b"\n3\n")
        await ours.hears(3)
        ours.pipes.close()

    play_it()


@in_loop
async def test_a_line_without_an_end_takes_no_memory(tmp_path: Path) -> None:
    """Somebody who writes for ever without a newline only spoils that one line, also if its end looks like one."""
    ours = Ours(tmp_path)
    with theirs(ours, "ended") as shell:
        for _ in range(64):
            os.write(shell, b"1" * 4096)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert len(ours.pipes._line) < 10
        os.write(shell, b"7\n42\n")
        await ours.hears(42)
    ours.pipes.close()


@in_loop
async def test_closing_reads_the_rest_and_gives_every_descriptor_back(tmp_path: Path) -> None:
    """Closing twice is as once."""
    before = set(os.listdir("/proc/self/fd"))
    ours = Ours(tmp_path)
    write(ours, "output", b"last words\n")
    ours.pipes.close()
    ours.pipes.close()
    assert ours.heard == ["last words\n"]
    assert set(os.listdir("/proc/self/fd")) == before
