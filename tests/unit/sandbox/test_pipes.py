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
        self.heard: list[str] = []
        self._fresh = asyncio.Event()
        self.pipes = Pipes(
            folder / "pipes",
            on_output=lambda piece: self._note("runtime", piece),
            on_extension_output=lambda piece: self._note("extension", piece),
            on_report=lambda line: self._note("report", line),
        )

    def _note(self, whose: str, what: bytes) -> None:
        self.heard.append(f"{whose}: {what.decode(errors='replace')}")
        self._fresh.set()

    async def hears(self, *expected: str) -> None:
        """Wait for so many things, and nothing else."""
        async with asyncio.timeout(30):
            while len(self.heard) < len(expected):
                self._fresh.clear()
                await self._fresh.wait()
        assert self.heard == list(expected)


@contextmanager
def theirs(ours: Ours, name: str) -> Iterator[int]:
    """The other end of one of the pipes, opened as the shell opens it."""
    flags = os.O_RDONLY | os.O_NONBLOCK if name == "commands" else os.O_WRONLY
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
    """Commands can be read, reports and output be written, by anybody; whatever the mask of this process is."""
    before = os.umask(0o077)
    try:
        ours = Ours(tmp_path)
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode for path in ours.pipes.folder.iterdir()}
    assert all(stat.S_ISFIFO(mode) for mode in modes.values())
    assert {name: stat.S_IMODE(mode) for name, mode in modes.items()} == {
        "commands": 0o644,
        "reports": 0o622,
        "output": 0o622,
        "extensions": 0o622,
    }
    assert stat.S_IMODE(ours.pipes.folder.stat().st_mode) == 0o755
    ours.pipes.close()


@in_loop
async def test_a_command_waits_for_the_shell_to_come(tmp_path: Path) -> None:
    """Given before anybody reads; each command is one line, and none is there twice."""
    ours = Ours(tmp_path)
    ours.pipes.command(b"begin 1\n")
    ours.pipes.command(b"runtime\n")
    with theirs(ours, "commands") as shell:
        assert os.read(shell, 100) == b"begin 1\nruntime\n"
        with pytest.raises(BlockingIOError):  # not its end: the shell waits for the next command
            os.read(shell, 100)
        ours.pipes.command(b"runtime\n")
        assert os.read(shell, 100) == b"runtime\n"
    ours.pipes.close()


@in_loop
async def test_a_command_after_the_end_is_for_nobody(tmp_path: Path) -> None:
    """Somebody asks for a signal when everything has been given back."""
    ours = Ours(tmp_path)
    ours.pipes.close()
    ours.pipes.command(b"signal TERM 7\n")
    assert ours.heard == []


@in_loop
async def test_output_and_reports_go_on_over_two_generations(tmp_path: Path) -> None:
    """Between one runtime and the next nobody holds the other end, and that is not the end of the pipe."""
    ours = Ours(tmp_path)
    write(ours, "output", b"the first\n")
    await ours.hears("runtime: the first\n")
    with theirs(ours, "reports") as shell:
        os.write(shell, b"ended 1 137 runtime\n")
        write(ours, "output", b"the second\n")
        os.write(shell, b"ended 2 0 runtime\n")
        async with asyncio.timeout(30):
            while len(ours.heard) < 4:
                await asyncio.sleep(0)
    assert [line for line in ours.heard if line.startswith("report")] == [
        "report: ended 1 137 runtime",
        "report: ended 2 0 runtime",
    ]
    assert "runtime: the second\n" in ours.heard
    ours.pipes.close()


@in_loop
async def test_both_kinds_of_output_can_be_fetched_without_a_round_of_the_loop(tmp_path: Path) -> None:
    """What was printed before an answer is there with the answer; and whose it is, is known."""
    ours = Ours(tmp_path)
    write(ours, "output", b"just before\n")
    write(ours, "extensions", b"as well\n")
    assert ours.heard == []
    ours.pipes.drain_output()
    assert ours.heard == ["runtime: just before\n", "extension: as well\n"]
    ours.pipes.close()


@in_loop
async def test_a_report_may_come_in_pieces_and_several_at_once(tmp_path: Path) -> None:
    """A line is a line, however it arrives."""
    ours = Ours(tmp_path)
    write(ours, "reports", b"ended 1 13")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert ours.heard == []
    write(ours, "reports", b"7 runtime\none\ntwo\nth")
    await ours.hears("report: ended 1 137 runtime", "report: one", "report: two")
    write(ours, "reports", b"ree\n")
    await ours.hears("report: ended 1 137 runtime", "report: one", "report: two", "report: three")
    ours.pipes.close()


@in_loop
async def test_a_line_without_an_end_takes_no_memory(tmp_path: Path) -> None:
    """Somebody who writes for ever without a newline only spoils that one line, also if its end looks like one."""
    ours = Ours(tmp_path)
    with theirs(ours, "reports") as shell:
        for _ in range(64):
            os.write(shell, b"1" * 4096)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert len(ours.pipes._line) < 500
        os.write(shell, b"7\nended 1 42 runtime\n")
        await ours.hears("report: ended 1 42 runtime")
    ours.pipes.close()


@in_loop
async def test_closing_reads_the_rest_and_gives_every_descriptor_back(tmp_path: Path) -> None:
    """Closing twice is as once."""
    before = set(os.listdir("/proc/self/fd"))
    ours = Ours(tmp_path)
    write(ours, "output", b"last words\n")
    ours.pipes.close()
    ours.pipes.close()
    assert ours.heard == ["runtime: last words\n"]
    assert set(os.listdir("/proc/self/fd")) == before
