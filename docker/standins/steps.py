"""Running the steps of a build: visibly, one build at a time, with nothing left behind."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

LOCK_FILE = Path("/run/lambda-freezer-build-images.lock")


class BuildError(Exception):
    """A build step failed. The message is one sentence about what, then the end of the step's output."""


@contextlib.contextmanager
def step(image: str, what: str) -> Iterator[None]:
    """Say what is being done, and afterwards how long it took."""
    begun = time.monotonic()
    line = f"{image:<10} {what}"
    if sys.stdout.isatty():
        print(f"{line} ...", end="\r", flush=True)
    outcome = "failed after"
    try:
        yield
        outcome = "took"
    finally:
        print(f"{line}: {outcome} {time.monotonic() - begun:.1f} s", flush=True)


def run(what: str, command: Sequence[str | Path]) -> None:
    """Run one command, silently. When we are interrupted, it ends first, with every process it started.

    Raises BuildError with the end of its output where it fails.
    """
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        process_group=0,
    )
    try:
        output, _ = child.communicate()
    except BaseException:
        end_group(child)
        raise
    if child.returncode:
        lines = re.sub(r"\x1b\[[0-9;]*m", "", output).splitlines()[-20:]
        tail = "".join(f"\n    {line}" for line in lines)
        raise BuildError(f"{what} failed ({command[0]} ended with status {child.returncode}):{tail}")


def end_group(child: subprocess.Popen[str]) -> None:
    """End a command and all it started: by request, after 10 s by force."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.communicate(timeout=10)
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


@contextlib.contextmanager
def scratch_folder(within: Path | None = None) -> Iterator[Path]:
    """A folder that is gone afterwards, whatever happens. It never follows a mount out of itself."""
    folder = Path(tempfile.mkdtemp(prefix="lambda-freezer-image-", dir=within))
    try:
        yield folder
    finally:
        subprocess.run(["rm", "-rf", "--one-file-system", folder], check=False)


@contextlib.contextmanager
def only_one_at_a_time() -> Iterator[None]:
    """Wait until no other run builds on this machine."""
    with LOCK_FILE.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("waiting for another run that is building images", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
