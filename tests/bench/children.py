"""Programs that the bench starts: each in a session of its own, and none outlives the bench."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from tests.bench.errors import BenchError

__all__ = ["child", "ends_as_interrupt", "free_port", "wait_until"]

_PATIENCE = 60.0  # seconds for a program to end by itself


@contextlib.contextmanager
def child(
    command: Sequence[str | Path],
    *,
    variables: Mapping[str, str] | None = None,
    folder: Path | None = None,
    answers: bool = False,
) -> Iterator[subprocess.Popen[str]]:
    """A running program, ended at the end: asked first, then killed with all of its session.

    Arguments:
        variables: its environment; else ours.
        folder: where it runs.
        answers: its standard output is read; else nobody does, and what it writes goes nowhere.

    Raises:
        BenchError: it failed while it was needed; with the end of what it complained of.
    """
    with tempfile.TemporaryFile("w+", errors="replace") as complaints:
        process = subprocess.Popen(
            [str(word) for word in command],
            env=dict(variables) if variables is not None else None,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if answers else subprocess.DEVNULL,
            stderr=complaints,
            text=True,
            start_new_session=True,
        )
        try:
            yield process
        except (OSError, AssertionError, BenchError) as error:
            ended = process.poll() is not None
            if isinstance(error, BenchError) and not ended:
                raise  # of another one, inside our block
            complaints.seek(0)
            said = complaints.read()[-1000:].strip() or "nothing"
            state = f"has ended with {process.returncode}" if ended else "runs"
            raise BenchError(f"{error}; {Path(command[0]).name} {state} and said: {said}") from error
        finally:
            _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        pass
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], bool], what: str, *, seconds: float = 30.0, every: float = 0.001) -> None:
    """Look again and again.

    Raises:
        BenchError: it has not come about in time.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise BenchError(f"within {seconds:g} s this did not happen: {what}")
        time.sleep(every)


@contextlib.contextmanager
def ends_as_interrupt() -> Iterator[None]:
    """Let SIGTERM be what Ctrl-C is, so that everything is ended in either case.

    A shell has its background jobs ignore Ctrl-C, which they are sent by nobody but on purpose: they listen again.
    """

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
