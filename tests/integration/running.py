"""Emulators as a user starts them: the command in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PROGRAM", "Up", "command", "start_up"]

PROGRAM = str(Path(sys.executable).with_name("lambda-freezer"))
_ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)")


@dataclass
class Up:
    """A running ``lambda-freezer up`` and what it has printed so far."""

    process: subprocess.Popen[str]
    endpoint: str
    output: Path

    def run(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Another command against this emulator."""
        return command(*arguments, "--endpoint", self.endpoint, stdin=stdin)


def command(*arguments: str, stdin: str | None = None, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run ``lambda-freezer`` to its end."""
    return subprocess.run(
        [PROGRAM, *arguments], input=stdin, capture_output=True, text=True, timeout=50, check=False, cwd=cwd
    )


@contextmanager
def start_up(folder: Path, *arguments: str, wait: bool = True) -> Iterator[Up]:
    """``lambda-freezer up`` on a free port, until the end of the block; killed if it does not stop."""
    output = folder / f"up-{time.monotonic_ns()}"
    with output.open("w") as file:
        process = subprocess.Popen(
            [PROGRAM, "up", "--port", "0", *arguments],
            stdout=file,
            stderr=file,
            stdin=subprocess.DEVNULL,
            text=True,
            cwd=folder,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
    try:
        yield Up(process, _endpoint(process, output) if wait else "", output)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def _endpoint(process: subprocess.Popen[str], output: Path) -> str:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if (match := _ADDRESS.search(output.read_text())) is not None:
            return match[0]
        assert process.poll() is None, output.read_text()
        time.sleep(0.01)
    raise AssertionError(f"the emulator did not start: {output.read_text()}")
