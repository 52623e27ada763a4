"""A process of a process sandbox, from its start to its end."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from emulator.sandbox.child import Child
from tests.support import in_loop


def test_what_cannot_be_followed_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a free descriptor nobody would ever hear of its end, or could end it."""
    begun: list[int] = []

    def no_descriptor_left(pid: int) -> int:
        begun.append(pid)
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "pidfd_open", no_descriptor_left)

    @in_loop
    async def start() -> None:
        with Path(os.devnull).open("wb") as output, pytest.raises(OSError, match="Too many open files"):
            Child(
                ["sleep", "60"],
                folder=tmp_path,
                variables=dict(os.environ),
                output=output.fileno(),
                on_end=lambda _code: None,
            )

    start()
    with pytest.raises(ProcessLookupError):
        os.kill(begun[0], 0)
