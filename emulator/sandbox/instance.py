"""Who we are on this machine: the identity of one running emulator, and the folder it may fill.

Everything an emulator makes outside its own memory carries its identity, so that the next start can tell
what a killed emulator left behind from what a living one still uses.
"""

from __future__ import annotations

import os
import platform
import secrets
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["LABEL", "Instance", "is_abandoned", "owner_of_this_process", "sweep_folders"]

LABEL = "lambda-freezer"
_PREFIX = "lambda-freezer-"
_OWNER_FILE = "owner"


def owner_of_this_process() -> str:
    """``machine/boot/namespace/pid/start``: a name that no other process ever has, here or elsewhere."""
    pid = os.getpid()
    return f"{_machine_id()}/{_boot_id()}/{_pid_namespace()}/{pid}/{_start_time(pid)}"


def is_abandoned(owner: str) -> bool:
    """Whether the process that ``owner`` names has ended.

    A process of another machine (engines can be shared) or of another process namespace (an emulator in a
    container) cannot be looked up from here: it is given the benefit of the doubt.
    """
    try:
        machine, boot, namespace, pid, start = owner.split("/")
    except ValueError:
        return False
    if machine != _machine_id():
        return False
    if boot != _boot_id():
        return True
    if namespace != _pid_namespace():
        return False
    try:
        return _start_time(int(pid)) != start
    except (OSError, ValueError):
        return True


def _machine_id() -> str:
    try:
        return Path("/etc/machine-id").read_text().strip() or platform.node()
    except OSError:
        return platform.node()


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _pid_namespace() -> str:
    return str(Path("/proc/self/ns/pid").stat().st_ino)


def _start_time(pid: int) -> str:
    # The command name, in parentheses, may hold blanks: count the fields after it. Field 22 is the start.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


class Instance:
    """The identity of this emulator and its private folder; the folder goes when it is closed."""

    def __init__(self) -> None:
        self.id = secrets.token_hex(4)
        self.owner = owner_of_this_process()
        self.folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{self.id}-"))
        (self.folder / _OWNER_FILE).write_text(self.owner)

    @property
    def labels(self) -> dict[str, str]:
        """What marks containers and networks as ours."""
        return {f"{LABEL}.instance": self.id, f"{LABEL}.owner": self.owner}

    def make_folder(self, name: str, mode: int = 0o700) -> Path:
        path = self.folder / name
        path.mkdir(mode=mode, parents=True)
        path.chmod(mode)
        return path

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def sweep_folders() -> list[Path]:
    """Remove the folders of emulators that were killed; answers which."""
    removed = []
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        try:
            owner = (folder / _OWNER_FILE).read_text()
        except OSError:
            continue
        if is_abandoned(owner):
            shutil.rmtree(folder, ignore_errors=True)
            removed.append(folder)
    return removed
