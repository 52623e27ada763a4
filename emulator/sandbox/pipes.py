"""The named pipes between us and the shell of a container: commands, reports, and output of two kinds."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from emulator.sandbox.output import OutputPipe

__all__ = ["Pipes"]

_LONGEST_REPORT = 300  # bytes: a word, two numbers, and the longest name that a file can have


class Pipes:
    """Our ends of them, in a folder that is mounted into the container.

    Arguments:
        folder: is made, with the pipes in it; its user there has no rights of ours.
        on_output: gets what the runtime writes.
        on_extension_output: gets what external extensions write.
        on_report: gets what the shell has to say, line by line.
    """

    def __init__(
        self,
        folder: Path,
        *,
        on_output: Callable[[bytes], None],
        on_extension_output: Callable[[bytes], None],
        on_report: Callable[[bytes], None],
    ) -> None:
        self.folder = folder
        self._on_report = on_report
        self._line = b""
        folder.mkdir(mode=0o755)
        folder.chmod(0o755)
        for name, mode in {"commands": 0o644, "reports": 0o622, "output": 0o622, "extensions": 0o622}.items():
            os.mkfifo(folder / name)
            (folder / name).chmod(mode)
        # Non-blocking, or opening would wait for the other end, which comes with the container. For reading as
        # well where we write, or that would be refused until then.
        self._commands = os.open(folder / "commands", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._output = OutputPipe(self._reading_end("output"), on_output)
        self._extensions = OutputPipe(self._reading_end("extensions"), on_extension_output)
        self._reports = OutputPipe(self._reading_end("reports"), self._heard)

    def command(self, text: bytes) -> None:
        """Tell the shell something; it waits in the pipe for the shell to come."""
        if self._commands >= 0:
            os.write(self._commands, text)

    def drain_output(self) -> None:
        """Hand on what was written so far."""
        self._output.drain()
        self._extensions.drain()

    def close(self) -> None:
        if self._commands >= 0:
            os.close(self._commands)
            self._commands = -1
        for pipe in (self._output, self._extensions, self._reports):
            pipe.close()

    def _reading_end(self, name: str) -> int:
        # Writable too: without any writer, between one runtime and the next, the pipe would be at its end.
        return os.open(self.folder / name, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def _heard(self, piece: bytes) -> None:
        # A function may write nonsense there, and fools only itself: no more is kept than shows that it is none.
        *lines, rest = (self._line + piece).split(b"\n")
        self._line = rest[: _LONGEST_REPORT + 1]
        for line in lines:
            if len(line) <= _LONGEST_REPORT:
                self._on_report(line)
