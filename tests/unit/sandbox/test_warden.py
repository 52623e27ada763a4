"""The warden: what an emulator leaves running ends with it, however it ends."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from emulator.sandbox.warden import Warden
from tests.support import eventually
from tests.unit.sandbox.busy import is_alive, own_group

# Stands for the emulator: keeps what it is told, a child of its own included, and waits to be killed.
_EMULATOR = """
import json, subprocess, sys
from pathlib import Path
from emulator.sandbox.warden import Warden

groups, folders = json.loads(sys.argv[1])
with Warden() as warden:
    child = subprocess.Popen(["sleep", "600"], start_new_session=True)
    warden.keep("child", pid=child.pid)
    warden.keep("rest", groups=[Path(g) for g in groups], folders=[Path(f) for f in folders])
    print(json.dumps([warden.pid, child.pid]), flush=True)
    sys.stdin.read()
"""

# Leaves its parent, its session and its process group, as a daemon does; only its control group still has it.
_DAEMON = """
import os, sys, time
sys.stdin.buffer.read(1)  # until it is in its group
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
print(os.getpid(), flush=True)
time.sleep(600)
"""


@dataclass
class Parent:
    """A process that stands for the emulator, its warden, and the child that it keeps."""

    process: subprocess.Popen[bytes]
    warden: int
    child: int


@contextlib.contextmanager
def emulating(*, groups: list[Path] | None = None, folders: list[Path] | None = None) -> Iterator[Parent]:
    kept = json.dumps([[str(path) for path in paths or ()] for paths in (groups, folders)])
    with subprocess.Popen(
        [sys.executable, "-P", "-c", _EMULATOR, kept], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        parent = Parent(process, *json.loads(process.stdout.readline()))
        try:
            yield parent
        finally:
            process.kill()
            with contextlib.suppress(ProcessLookupError):  # as it should be; a warden that failed left it
                os.killpg(parent.child, signal.SIGKILL)


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process group that does nothing for ten minutes."""
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as process:
        yield process
        process.kill()


@contextlib.contextmanager
def daemon_in(group_folders: list[Path]) -> Iterator[int]:
    """The pid of a process that has detached itself from everything but its control group."""
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _DAEMON], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for folder in group_folders:
            (folder / "cgroup.procs").write_text(str(process.pid))
        process.stdin.write(b"\n")
        process.stdin.flush()
        pid = int(process.stdout.readline())
        try:
            yield pid
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def test_a_killed_emulator_takes_its_process_groups_with_it() -> None:
    """No signal can be caught from SIGKILL; the pipe to the warden ends all the same."""
    with emulating() as parent:
        assert is_alive(parent.child)
        parent.process.kill()
        parent.process.wait(10)
        eventually(lambda: not is_alive(parent.child), "the end of the child")
        eventually(lambda: not is_alive(parent.warden), "the end of the warden")


@pytest.mark.parametrize("tree", ["v2", "v1"])
@pytest.mark.parametrize("frozen", [False, True], ids=["running", "frozen"])
def test_a_killed_emulator_takes_detached_processes_of_a_group_with_it(tree: str, frozen: bool) -> None:
    """A daemon that left its parent and its session ends as well, frozen or not, and the group is removed."""
    with own_group(v2=tree == "v2", v1=tree == "v1") as group, daemon_in(group.folders()) as daemon:
        (folder,) = group.folders()
        if frozen and tree == "v2":
            (folder / "cgroup.freeze").write_text("1")
        elif frozen:
            (folder / "freezer.state").write_text("FROZEN")
        with emulating(groups=[folder]) as parent:
            assert is_alive(daemon)
            parent.process.kill()
            eventually(lambda: not is_alive(daemon), "the end of the daemon")
            eventually(lambda: not folder.exists(), "the removal of the group")


def test_a_killed_emulator_takes_its_folders_with_it(tmp_path: Path) -> None:
    """With all that is in them; what was not kept stays."""
    kept, other = tmp_path / "kept", tmp_path / "other"
    for folder in (kept, other):
        (folder / "env-1" / "tmp").mkdir(parents=True)
        (folder / "env-1" / "tmp" / "file").write_text("x")
    with emulating(folders=[kept]) as parent:
        parent.process.kill()
        eventually(lambda: not kept.exists(), "the removal of the folder")
    assert (other / "env-1" / "tmp" / "file").exists()


def test_leaving_normally_ends_what_is_still_kept(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    """The end of the block is the end of everything, and of the warden itself."""
    folder = tmp_path / "kept"
    folder.mkdir()
    with Warden() as warden:
        warden.keep("all", pid=sleeper.pid, folders=[folder])
        pid = warden.pid
        assert is_alive(pid)
    assert sleeper.wait(10) == -signal.SIGKILL
    assert not folder.exists()
    assert not is_alive(pid)


def test_what_was_dropped_is_left_alone(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """Somebody else ended it, or its number may be another's by now."""
    with Warden() as warden:
        warden.keep("sleeper", pid=sleeper.pid, folders=[tmp_path])
        warden.drop("sleeper")
        warden.drop("never kept")
    assert sleeper.poll() is None
    assert tmp_path.exists()


def test_keeping_under_a_known_key_replaces_what_was_kept(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """The last word counts."""
    with Warden() as warden:
        warden.keep("one", pid=sleeper.pid)
        warden.keep("one", folders=[tmp_path / "x"])
    assert sleeper.poll() is None


def test_the_warden_is_deaf_to_what_ends_programs(sleeper: subprocess.Popen[bytes]) -> None:
    """Ctrl-C, a closed terminal and a polite kill are for the emulator; the warden comes after it."""
    with Warden() as warden:
        warden.keep("sleeper", pid=sleeper.pid)
        eventually(lambda: os.getsid(warden.pid) == warden.pid, "a session of its own")
        eventually(lambda: _ignores(warden.pid, signal.SIGHUP), "ignoring of signals")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(warden.pid, number)
        assert is_alive(warden.pid)
    assert sleeper.wait(10) == -signal.SIGKILL


def test_a_killed_warden_is_replaced_and_the_new_one_knows_everything(tmp_path: Path) -> None:
    """At the next word to it; what was kept and dropped before is as it was."""
    folders = [tmp_path / name for name in ("before", "dropped", "after")]
    for folder in folders:
        folder.mkdir()
    with Warden() as warden:
        warden.keep("before", folders=[folders[0]])
        warden.keep("dropped", folders=[folders[1]])
        warden.drop("dropped")
        first = warden.pid
        os.kill(first, signal.SIGKILL)
        eventually(lambda: not is_alive(first), "the end of the first warden")
        warden.keep("after", folders=[folders[2]])
        assert warden.pid != first
        assert is_alive(warden.pid)
    assert [folder.exists() for folder in folders] == [False, True, False]


def test_a_warden_that_was_killed_is_no_trouble_at_the_end() -> None:
    """Leaving the block finds it dead and goes on."""
    with Warden() as warden:
        pid = warden.pid
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: not is_alive(pid), "the end of the warden")


def _ignores(pid: int, number: signal.Signals) -> bool:
    """Whether a process ignores a signal, by the kernel's own mask."""
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("SigIgn:"))
    return bool(int(line.split()[1], 16) >> (number - 1) & 1)
