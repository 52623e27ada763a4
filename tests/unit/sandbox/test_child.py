"""Processes of a process sandbox: their ends, their limits, and that none is left unheard of."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from pathlib import Path

import psutil
import pytest

from emulator.sandbox.child import Child, start_process
from tests.support import in_loop


def start(folder: Path, program: str, ends: list[int]) -> Child:
    """A Python program; its output goes nowhere."""
    with Path(os.devnull).open("wb") as nowhere:
        process = start_process(
            [sys.executable, "-I", "-S", "-c", program], folder=folder, variables={}, output=nowhere.fileno()
        )
    return Child(process, on_end=ends.append)


async def end_of(child: Child) -> None:
    async with asyncio.timeout(10):
        await child.wait()


@in_loop
async def test_an_end_is_told_once(tmp_path: Path) -> None:
    """With the exit status."""
    ends: list[int] = []
    child = start(tmp_path, "raise SystemExit(3)", ends)
    await end_of(child)
    assert ends == [3]
    assert not child.is_running
    child.signal(signal.SIGKILL)  # it is gone already


@in_loop
async def test_a_signal_reaches_the_whole_group(tmp_path: Path) -> None:
    """And its end is told as that signal."""
    ends: list[int] = []
    child = start(tmp_path, "import os, time\nos.fork()\ntime.sleep(60)", ends)
    async with asyncio.timeout(10):
        while not (inside := psutil.Process(child.pid).children()):
            await asyncio.sleep(0.002)
    child.signal(signal.SIGKILL)
    await end_of(child)
    assert ends == [-signal.SIGKILL]
    assert psutil.wait_procs(inside, timeout=10)[1] == []


@in_loop
async def test_nobody_is_told_of_a_forgotten_end(tmp_path: Path) -> None:
    """Also if it has happened already, and has not been heard of."""
    ends: list[int] = []
    child = start(tmp_path, "", ends)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    child.forget()
    await end_of(child)
    assert ends == []


@in_loop
async def test_limits_are_lowered_and_never_raised(tmp_path: Path) -> None:
    """To Lambda's, where the machine's are not lower still."""
    ends: list[int] = []
    child = start(tmp_path, "import time\ntime.sleep(60)", ends)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert resource.prlimit(child.pid, resource.RLIMIT_NOFILE) == (1024, 1024) if hard > 1024 else (hard, hard)
    assert resource.prlimit(child.pid, resource.RLIMIT_STACK)[1] == resource.getrlimit(resource.RLIMIT_STACK)[1]
    assert resource.prlimit(child.pid, resource.RLIMIT_CORE) == resource.getrlimit(resource.RLIMIT_CORE)
    child.signal(signal.SIGKILL)
    await end_of(child)


@in_loop
async def test_what_cannot_be_watched_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a free descriptor nobody would hear of its end: it is ended at once, and reaped."""
    opened: list[int] = []

    def none_free(pid: int) -> int:
        opened.append(pid)
        raise OSError("too many open files")

    monkeypatch.setattr(os, "pidfd_open", none_free)
    with pytest.raises(OSError, match="too many open files"):
        start(tmp_path, "import time\ntime.sleep(60)", [])
    assert not psutil.pid_exists(opened[0])
