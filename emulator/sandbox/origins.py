"""Where a function's connections come from: our end of the pipe on which its runtime tells the lines of code."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from emulator.sandbox.output import OutputPipe

__all__ = [
    "CONTAINER_FOLDER",
    "RUNTIME_FOLDER",
    "SCRIPT",
    "OnOrigin",
    "OriginPipe",
    "container_search_path",
    "read_origin",
]

SCRIPT = Path(__file__).with_name("origins_main.py")
"""What the runtime loads."""

CONTAINER_FOLDER = "sitecustomize"
"""Below the folder of the pipes: where a container's Python finds the same."""

RUNTIME_FOLDER = "/var/runtime"
"""[C] What AWS's bootstrap puts into ``PYTHONPATH`` itself where nothing is."""

OnOrigin = Callable[[int, int, str], None]
"""Gets the port of the function's own end, that of the other end, and the place: ``app.py:12 in handler``."""

_LINE = re.compile(rb"([0-9]{1,5}) ([0-9]{1,5}) (.{1,2000})")
_LONGEST = 2200  # bytes: two ports and the longest place


def read_origin(line: bytes) -> tuple[int, int, str] | None:
    """Both ports and the place; ``None`` for what no runtime of ours says."""
    match = _LINE.fullmatch(line)
    return (int(match[1]), int(match[2]), match[3].decode(errors="replace")) if match is not None else None


def container_search_path(pipes: str, variables: Mapping[str, str]) -> str:
    """``PYTHONPATH`` for a container; the runtime gives itself back what was there before any code is run."""
    return f"{pipes}/{CONTAINER_FOLDER}:{variables.get('PYTHONPATH') or RUNTIME_FOLDER}"


class OriginPipe:
    """Our end of the pipe, which is made at ``path``; anybody may write into it, and fools only itself."""

    def __init__(self, path: Path, on_origin: OnOrigin) -> None:
        self._on_origin = on_origin
        self._rest = b""
        os.mkfifo(path)
        path.chmod(0o622)
        # Writable too: without a writer, which there is for moments only, the pipe would be at its end.
        self._pipe = OutputPipe(os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC), self._heard)

    def drain(self) -> None:
        """Hand on what was told so far."""
        self._pipe.drain()

    def close(self) -> None:
        self._pipe.close()

    def _heard(self, piece: bytes) -> None:
        *lines, rest = (self._rest + piece).split(b"\n")
        self._rest = rest[: _LONGEST + 1]
        for line in lines:
            if (origin := read_origin(line)) is not None:
                self._on_origin(*origin)
