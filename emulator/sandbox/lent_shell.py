"""A shell for images that have none, as those made ``FROM scratch`` and distroless ones: this machine's own, lent.

It is copied once, with the libraries that it needs and the loader that finds them, into a folder that such containers
have read-only. The loader is told by its arguments where they are, so no variable of the function's knows of it, and
nothing is asked of the image but to be for a processor of this machine's kind.
"""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from emulator.errors import SandboxError

__all__ = ["IMAGES_OWN", "PLACE", "LentShell", "interpreter_of", "lend_shell", "libraries_in"]

IMAGES_OWN = ("/bin/sh",)
"""The command of the shell that nearly every image has."""

PLACE = "/run/lambda-freezer-shell"
"""Where a container has the lent one."""

_OURS = Path("/bin/sh")
_PROGRAM, _LOADER = "sh", "loader"
_LIBRARY = re.compile(r"^\s*(\S+) => (/\S+)", re.MULTILINE)
_PATIENCE = 10.0  # seconds
_INTERPRETER = 3  # PT_INTERP: the entry of an ELF program's table that names its loader
# By the class of the file: where its header has the offset of that table, and the size and number of its entries;
# and where an entry has the offset and size of what it tells of.
_LAYOUTS = {1: ("<28xI10xHH", "<4xI8xI"), 2: ("<32xQ14xHH", "<8xQ16xQ")}


@dataclass(frozen=True, slots=True)
class LentShell:
    """What was copied.

    Attributes:
        folder: where it is on this machine.
        command: what starts it in a container that has that folder at :data:`PLACE`.
    """

    folder: Path
    command: tuple[str, ...]


def lend_shell(folder: Path, shell: Path = _OURS) -> LentShell:
    """Copy this machine's shell with all that it needs, and try the copy.

    Arguments:
        folder: where to; it is made.
        shell: by default that of this machine.

    Raises:
        SandboxError: it is none that can be lent, with the reason.
    """
    try:
        folder.mkdir(exist_ok=True)
        loader = interpreter_of(shell)
        _copy(shell, folder / _PROGRAM)
        if loader is not None:
            _copy(loader, folder / _LOADER)
            for name, place in libraries_in(_said([str(loader), "--list", str(shell)])).items():
                _copy(place, folder / name)
        folder.chmod(0o755)
        _said([*_command(str(folder), has_loader=loader is not None), "-c", ":"])
    except (OSError, ValueError, struct.error, subprocess.SubprocessError) as error:
        raise SandboxError(f"the {shell} of this machine cannot be lent to a container: {error}") from error
    return LentShell(folder, _command(PLACE, has_loader=loader is not None))


def interpreter_of(program: Path) -> Path | None:
    """The loader that an ELF program names; ``None`` for one that needs none.

    Raises:
        ValueError: it is no ELF program of the common byte order.
        OSError: it cannot be read.
    """
    content = program.read_bytes()
    layout = _LAYOUTS.get(content[4]) if content[:4] == b"\x7fELF" and content[5] == 1 else None
    if layout is None:
        raise ValueError(f"{program} is no program of Linux")
    header, entry = layout
    offset, size, number = struct.unpack_from(header, content)
    for begin in range(offset, offset + size * number, size):
        if int.from_bytes(content[begin : begin + 4], "little") == _INTERPRETER:
            start, length = struct.unpack_from(entry, content, begin)
            return Path(content[start : start + length].rstrip(b"\0").decode())
    return None


def libraries_in(listing: str) -> dict[str, Path]:
    """What a loader lists: names of libraries, with their places. The kernel's own has none, the loader no name."""
    return {name: Path(place) for name, place in _LIBRARY.findall(listing) if "/" not in name}


def _command(folder: str, *, has_loader: bool) -> tuple[str, ...]:
    program = f"{folder}/{_PROGRAM}"
    return (f"{folder}/{_LOADER}", "--library-path", folder, program) if has_loader else (program,)


def _copy(source: Path, place: Path) -> None:
    shutil.copyfile(source, place)
    place.chmod(0o755)


def _said(command: Sequence[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=True, env={}).stdout
