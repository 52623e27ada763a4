"""The command ``lesson``, as a person uses it: printed, at a terminal key by key, and interrupted."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.lessons.catalogue import LESSONS
from tests.needs import need_database, need_engine
from tests.support import eventually

_DEADLINE = 40.0
_CONTROL = re.compile(rb"\x1b(?:[78]|\[[0-9;?]*[A-Za-z])")


def lesson(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "emulator", "lesson", *arguments],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=55,
        check=False,
    )


class Terminal:
    """A terminal of 80 times 24 with a lesson in it."""

    def __init__(self, *arguments: str) -> None:
        # Short: the database's socket has a path below it.
        self._stack = contextlib.ExitStack()
        self.temporary = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="lf-", dir="/tmp")))
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self._before = termios.tcgetattr(theirs)
        self._theirs = theirs
        self.process = subprocess.Popen(
            [sys.executable, "-m", "emulator", "lesson", *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            env={**os.environ, "TMPDIR": str(self.temporary), "TERM": "xterm-256color"},
        )
        self.written = b""

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._ours)
        os.close(self._theirs)
        self._stack.close()

    def press(self, key: str) -> None:
        os.write(self._ours, key.encode())

    def wait_for(self, pattern: str, since: int = 0) -> re.Match[bytes]:
        """Until it is written behind a place."""
        end = time.monotonic() + _DEADLINE
        wanted = re.compile(pattern.encode())
        while (found := wanted.search(self.written, since)) is None:
            so_far = _CONTROL.sub(b" ", self.written[since:]).decode(errors="replace")
            assert time.monotonic() < end, f"{pattern!r} was not written, but {so_far}"
            self._read(0.1)
        return found

    def wait_for_prompt(self, since: int) -> tuple[int, str]:
        """Until the lesson waits for a key: the place behind it, and for which."""
        found = self.wait_for("space goes on|your guess|any key ends", since)
        return found.end(), found[0].decode()

    def wait_for_the_end(self) -> int:
        """The exit status; what was written until then has been read."""
        end = time.monotonic() + _DEADLINE
        while self.process.poll() is None:
            assert time.monotonic() < end, "the lesson does not end"
            self._read(0.05)
        while self._read(0.05):
            pass
        return self.process.returncode

    @property
    def is_as_before(self) -> bool:
        """Echo and lines; and neither the other screen nor a hidden cursor is left over."""
        pairs = ((b"\x1b[?1049h", b"\x1b[?1049l"), (b"\x1b[?25l", b"\x1b[?25h"))
        closed = all(self.written.rfind(first) <= self.written.rfind(last) for first, last in pairs)
        return closed and termios.tcgetattr(self._theirs) == self._before

    def _read(self, timeout: float) -> bool:
        ready, _, _ = select.select([self._ours], [], [], timeout)
        if ready:
            self.written += os.read(self._ours, 65536)
        return bool(ready)


@pytest.fixture
def terminal(request: pytest.FixtureRequest) -> Iterator[Terminal]:
    need_database()
    made = Terminal(*request.param)
    try:
        yield made
    finally:
        made.close()


def test_the_list_and_a_wrong_name() -> None:
    """Every lesson with its number; what is not there is answered with the same list, and status 2."""
    listed, wrong = lesson("--list"), lesson("nothing")
    assert listed.returncode == 0
    assert wrong.returncode == 2
    assert "no lesson 'nothing'" in wrong.stderr
    for one in LESSONS:
        assert re.search(rf"{one.number}  {one.name} ", listed.stdout)
        assert re.search(rf"{one.number}  {one.name} ", wrong.stderr)


@pytest.mark.parametrize("sandbox", ["process", pytest.param("container", marks=pytest.mark.container)])
def test_printed_where_there_is_no_terminal(sandbox: str) -> None:
    """From the question to what to take home, plain, without a guess; with the address of its emulator."""
    need_database()
    if sandbox == "container":
        need_engine()
    done = lesson("sigterm", "--sandbox", sandbox)
    assert done.returncode == 0, done.stdout + done.stderr
    order = ["question · Closing on SIGTERM", "http://127.0.0.1:", "signals that arrived: 0", "✓", "To take home"]
    places = [done.stdout.index(text) for text in order]
    assert places == sorted(places)
    assert "What do you think?" not in done.stdout
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize("terminal", [["behind-nat"]], indirect=True)
def test_key_by_key(terminal: Terminal) -> None:
    """A screen for each idea, a guess that is judged, and in the end the terminal as before, with what was proved."""
    guessed = False
    place, prompt = terminal.wait_for_prompt(0)
    while prompt != "any key ends":
        is_question = prompt == "your guess" and not guessed
        guessed = guessed or is_question
        terminal.press("a" if is_question else " ")
        place, prompt = terminal.wait_for_prompt(place)
    terminal.press(" ")
    assert terminal.wait_for_the_end() == 0
    assert terminal.is_as_before
    text = _CONTROL.sub(b"", terminal.written).decode()
    assert "✓ you guessed a: both think that they are connected" in text
    assert "✓" in text[text.rindex("lesson 16 ·") :]


@pytest.mark.parametrize(
    ("terminal", "moment"),
    [
        pytest.param(["counter"], "starting the emulator", id="at the start"),
        pytest.param(["counter"], "space goes on", id="at a screen"),
        pytest.param(["zombies", "--no-keys"], "wave 1", id="in a storm"),
    ],
    indirect=["terminal"],
)
def test_an_interruption_leaves_nothing(terminal: Terminal, moment: str) -> None:
    """Whenever it comes: the terminal is as before, and no process and no file is left."""
    terminal.wait_for(moment)
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.wait_for_the_end() == 130
    assert terminal.is_as_before
    eventually(lambda: not list(terminal.temporary.iterdir()), "the end of all temporary files", 10)
    assert "Traceback" not in terminal.written.decode()
