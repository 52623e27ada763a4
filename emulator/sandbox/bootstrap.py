"""The program that a function with an OS-only runtime brings: where it is, and why it cannot be executed.

The words are those of AWS's agent, which is written in Go [R]; they reach the client and the log.
"""

from __future__ import annotations

import errno
import platform
from collections.abc import Iterator, Mapping
from pathlib import Path

from emulator.model import Function
from emulator.sandbox.base import ExitStatus

__all__ = [
    "PLACES",
    "REFUSALS",
    "are_emulated",
    "find_bootstrap",
    "launch_error",
    "missing_bootstrap",
    "name_on_lambda",
    "obstacle",
    "refused",
    "wrong_folder",
    "wrong_machine",
]

PLACES = ("/var/task/bootstrap", "/opt/bootstrap")
"""Where it may be, in this order [D]."""

_WORDS: Mapping[int, str] = {
    errno.ENOENT: "no such file or directory",
    errno.EACCES: "permission denied",
    errno.ENOEXEC: "exec format error",
}
REFUSALS = frozenset(_WORDS)
"""The kernel's numbers for a program that cannot be executed, whoever asks."""

_MAGIC, _SCRIPT = b"\x7fELF", b"#!"
_MACHINES = {"x86_64": 62, "aarch64": 183}  # ELF's numbers, by the kernel's names
_EMULATORS = Path("/proc/sys/fs/binfmt_misc")


def find_bootstrap(function: Function, opt: Path | None) -> tuple[str, Path] | None:
    """Its name on Lambda and its place here; ``None`` where there is none.

    Arguments:
        opt: the merged layers.
    """
    return next(((name, here) for name, here in _candidates(function, opt) if here.exists()), None)


def name_on_lambda(here: Path, function: Function, opt: Path | None) -> str:
    """By which name a function knows a file of this machine."""
    for place, folder in zip(PLACES, (function.code, opt), strict=True):
        if folder is not None and here.is_relative_to(folder):
            return str(Path(place).parent / here.relative_to(folder))
    return str(here)


def missing_bootstrap() -> ExitStatus:
    """There is none [R]."""
    return ExitStatus(code=ExitStatus.NOT_FOUND, launch_error=f"Couldn't find valid bootstrap(s): [{' '.join(PLACES)}]")


def launch_error(program: str, error: OSError) -> ExitStatus:
    """How the kernel has refused to execute a program, as its end.

    Arguments:
        program: under its name on Lambda.
    """
    return _refused(program, error.errno, error.strerror or str(error))


def refused(program: str, *, forbidden: bool) -> ExitStatus:
    """An image's program cannot be executed, or there is none; one without a path is looked for in ``PATH`` [R]."""
    if forbidden or "/" in program:
        return _refused(program, errno.EACCES if forbidden else errno.ENOENT)
    words = f'exec: "{program}": executable file not found in $PATH'
    return ExitStatus(code=ExitStatus.NOT_FOUND, launch_error=words)


def wrong_machine(program: str) -> ExitStatus:
    """An image is made for another processor [R]."""
    return _refused(program, errno.ENOEXEC)


def wrong_folder(folder: str) -> ExitStatus:
    """The working directory is none [C]."""
    words = f"the working directory doesn't exist: {folder}"
    if not folder.startswith("/"):
        words = f"the working directory '{folder}' is invalid, it needs to be an absolute path"
    return ExitStatus(code=ExitStatus.NOT_FOUND, launch_error=words, wrong_folder=True)


def obstacle(program: str, here: Path) -> ExitStatus | None:
    """Why Lambda's user could not execute it, as far as that can be seen without trying; ``None`` where nothing is.

    Arguments:
        program: its name on Lambda.
        here: its place on this machine.
    """
    try:
        mode = here.stat().st_mode
        if here.is_dir() or not mode & 0o001:
            return _refused(program, errno.EACCES)
        with here.open("rb") as file:
            beginning = file.read(20)
    except OSError as error:
        return launch_error(program, error)
    if beginning.startswith(_SCRIPT):
        return None
    if beginning.startswith(_MAGIC) and _is_for_this_machine(beginning):
        return None
    return _refused(program, errno.ENOEXEC)


def are_emulated() -> bool:
    """Whether programs for other processors run here."""
    return any(_EMULATORS.glob("qemu-*"))


def _refused(program: str, number: int | None, words: str = "") -> ExitStatus:
    code = ExitStatus.NOT_FOUND if number == errno.ENOENT else ExitStatus.CANNOT_EXECUTE
    return ExitStatus(code=code, launch_error=f"fork/exec {program}: {_WORDS.get(number or 0, words.lower())}")


def _candidates(function: Function, opt: Path | None) -> Iterator[tuple[str, Path]]:
    for name, folder in zip(PLACES, (function.code, opt), strict=True):
        if folder is not None:
            yield name, folder / "bootstrap"


def _is_for_this_machine(header: bytes) -> bool:
    """By the ELF header; what is made for another machine may be emulated here."""
    is_big = header[5:6] == b"\x02"
    wanted = int.from_bytes(header[18:20], "big" if is_big else "little")
    here = _MACHINES.get(platform.machine())
    return here is None or wanted == here or are_emulated()
