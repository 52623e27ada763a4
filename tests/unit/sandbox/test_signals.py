"""Asking real processes to end, and how long one waits for them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from emulator.sandbox.signals import terminate
from tests.support import in_loop

PATIENCE = 50.0  # seconds; far more than any of this takes

# Ends as it is asked to: politely, or not at all; says when it is ready to be asked.
_PROGRAM = """
import os, signal, sys
how = sys.argv[1]
if how == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
elif how == "tidies up":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(42))
print("ready", flush=True)
sys.stdin.read()
"""


class Processes:
    """Children that are asked to end; killed and reaped at the end of the test."""

    def __init__(self) -> None:
        self.children: list[subprocess.Popen[bytes]] = []

    def start(self, how: str = "polite") -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _PROGRAM, how], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.children.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        return process

    def end(self) -> None:
        for process in self.children:
            process.kill()
            process.wait(10)
            for stream in (process.stdin, process.stdout):
                assert stream is not None
                stream.close()


@contextlib.contextmanager
def processes() -> Iterator[Processes]:
    started = Processes()
    try:
        yield started
    finally:
        started.end()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize(("how", "code"), [("polite", -signal.SIGTERM), ("tidies up", 42)])
def test_whoever_ends_is_waited_for_and_no_longer(how: str, code: int) -> None:
    """All of them, each in its own way, well before patience is at its end."""

    @in_loop
    async def play() -> None:
        with processes() as started:
            asked = [started.start(how) for _ in range(3)]
            begin = time.monotonic()
            assert await terminate([process.pid for process in asked], PATIENCE)
            assert time.monotonic() - begin < PATIENCE / 2
            assert [process.wait(0) for process in asked] == [code] * 3

    play()


@in_loop
async def test_whoever_does_not_listen_uses_up_the_patience() -> None:
    """And not more than that; the others have ended all the same."""
    with processes() as started:
        polite, deaf = started.start(), started.start("deaf")
        begin = time.monotonic()
        assert not await terminate([deaf.pid, polite.pid], 0.2)
        assert time.monotonic() - begin > 0.19  # a loop counts from the begin of its round
        assert polite.wait(PATIENCE) == -signal.SIGTERM
        assert deaf.poll() is None


@in_loop
async def test_a_stopped_process_is_asked_and_ends_when_it_goes_on() -> None:
    """A signal to somebody who is frozen waits for the thaw; so the thaw has to come first."""
    with processes() as started:
        stopped = started.start()
        os.kill(stopped.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, stopped.pid, os.WSTOPPED | os.WNOWAIT)
        assert not await terminate([stopped.pid], 0.05)
        os.kill(stopped.pid, signal.SIGCONT)
        assert await terminate([stopped.pid], PATIENCE)


@in_loop
async def test_processes_that_have_ended_already_need_no_patience() -> None:
    """Gone for good, or dead and not yet reaped by their parent; and nobody at all."""
    with processes() as started:
        gone, dead = started.start(), started.start()
        for process in (gone, dead):
            process.kill()
        gone.wait(10)
        os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)
        begin = time.monotonic()
        assert await terminate([gone.pid, dead.pid], PATIENCE)
        assert await terminate([], PATIENCE)
        assert time.monotonic() - begin < PATIENCE / 2


@in_loop
async def test_the_loop_goes_on_while_one_waits() -> None:
    """Other environments are served meanwhile."""
    with processes() as started:
        deaf = started.start("deaf")
        waiting = asyncio.create_task(terminate([deaf.pid], PATIENCE))
        async with asyncio.timeout(PATIENCE / 2):
            for _ in range(100):
                await asyncio.sleep(0)
        assert not waiting.done()
        deaf.kill()
        assert await waiting


@in_loop
async def test_no_descriptor_is_left() -> None:
    """However it went."""
    with processes() as started:
        await terminate([], PATIENCE)
        polite, deaf = started.start(), started.start("deaf")
        before = descriptors()
        await terminate([polite.pid, deaf.pid, 2**22 - 3], 0.05)
        assert descriptors() == before
