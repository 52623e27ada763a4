"""Our end of the fork server: a prepared process that is asked for runtimes (see ``fork_server_main.py``).

What cannot be forked is started in the ordinary way, and that is all that ever becomes of a failure here: a fork server
that has died is started anew, one that cannot start is told of in the notes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from emulator.sandbox.child import Child, start_process
from emulator.sandbox.fork_server_rules import Prepared, obstacle, path_of
from emulator.sandbox.process_settings import LOCALE, PROGRAMS, TIME_ZONE
from emulator.sandbox.warden import Warden

__all__ = ["ForkServer", "ForkedProcess"]

_PROGRAM = Path(__file__).with_name("fork_server_main.py")
_KEY = "fork-server"
_LARGEST = 1 << 18
# Seconds. To be asked and to answer takes one millisecond; the loop waits for it, as it waits for any start.
_PATIENCE = 2.0
_READY_WITHIN = 10.0


class ForkedProcess:
    """A child of ours that somebody else has forked, and that waits to be let go."""

    def __init__(self, pid: int, way: socket.socket) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._way = way
        self._said: bytes | None = None

    def is_in_groups(self) -> bool:
        """Whether it has joined them by itself. It leads its own session from then on."""
        if self._said is None:
            try:
                self._said = self._way.recv(1)
            except OSError:  # it has not been given the CPU for a long time
                self._said = b""
        return self._said == b"+"

    def release(self) -> None:
        """Let it become what it was forked for."""
        self.is_in_groups()  # what is not read when a socket is closed takes with it what was sent
        with self._way, contextlib.suppress(OSError):  # it has ended, which is heard elsewhere
            self._way.send(b"+")

    def wait(self) -> int:
        if self.returncode is None:
            try:
                _, status = os.waitpid(self.pid, 0)
            except ChildProcessError:  # somebody waits for all children of this process
                status = 0
            self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def kill(self) -> None:
        self._way.close()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


class ForkServer:
    """The prepared process, for as long as its owner lives.

    Arguments:
        warden: ends it if the emulator is killed.
    """

    def __init__(self, warden: Warden) -> None:
        self._warden = warden
        self._child: Child | None = None
        self._door: socket.socket | None = None
        self._errors = -1
        self._prepared: Prepared | None = None
        self._settled = asyncio.Event()
        self._trouble: str | None = None
        self._ordinary: dict[str, str] = {}

    @property
    def pid(self) -> int:
        """The prepared process; 0 while there is none."""
        return self._child.pid if self._child is not None else 0

    @property
    def notes(self) -> list[str]:
        """What a user should know: that it does not run, and which functions it does nothing for."""
        notes = [f"Fork server: {self._trouble}; runtimes are started in the ordinary way."] if self._trouble else []
        return notes + [
            f"Fork server: the runtime of {function} is started in the ordinary way: {reason}."
            for function, reason in self._ordinary.items()
        ]

    def start(self) -> None:
        """Begin to prepare a process; :meth:`ready` tells when that is over."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._errors, errors = os.pipe2(os.O_CLOEXEC)
        command: list[str | Path] = [sys.executable, "-P", _PROGRAM, str(theirs.fileno())]
        variables = {"PATH": PROGRAMS, "LANG": LOCALE, "TZ": TIME_ZONE}
        self._settled.clear()
        self._door = ours
        ours.settimeout(_PATIENCE)
        try:
            process = start_process(
                command, folder=Path("/"), variables=variables, output=errors, keep=[theirs.fileno()]
            )
            self._child = Child(process, on_end=self._ended)
        except OSError as error:
            self._give_up(f"it could not be started: {error}")
            return
        finally:
            theirs.close()
            os.close(errors)
        self._warden.keep(_KEY, pid=self._child.pid)
        asyncio.get_running_loop().add_reader(ours.fileno(), self._said_hello)

    async def ready(self) -> None:
        """Until it can be asked, or never will."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_READY_WITHIN):
                await self._settled.wait()

    async def close(self) -> None:
        """End it. What was forked runs on."""
        if self._child is not None:
            self._child.forget()
            self._child.signal(signal.SIGKILL)
            await self._child.wait()
            self._warden.drop(_KEY)
        self._child = None
        self._close_ends()

    def fork(
        self,
        function: str,
        command: Sequence[str | Path],
        *,
        folder: Path,
        variables: Mapping[str, str],
        output: int,
        groups: Sequence[Path],
        new_groups: bool,
    ) -> ForkedProcess | None:
        """A process that waits to be let go; ``None`` where only an ordinary start will do.

        Arguments:
            function: whose runtime it is.
            folder, variables, output: as for :func:`~emulator.sandbox.child.start_process`.
            groups: the folders of the control groups it is to be in.
            new_groups: whether nothing was ever killed in them.
        """
        if self._prepared is None or self._door is None:
            return None
        reason = obstacle(self._prepared, variables)
        if reason is not None:
            self._ordinary[function] = reason
            return None
        self._ordinary.pop(function, None)
        request = {
            "command": [str(word) for word in command],
            "folder": str(folder),
            "variables": dict(variables),
            "path": path_of(self._prepared, variables),
            "groups": [str(group) for group in groups],
            "new_groups": new_groups,
        }
        way, their_way = socket.socketpair()
        with their_way:
            pid = self._ask(json.dumps(request).encode(), [output, their_way.fileno()])
        if pid is None:
            way.close()  # if there is a fork of which nothing was heard, this ends it
            return None
        way.settimeout(_PATIENCE)
        return ForkedProcess(pid, way)

    def _ask(self, request: bytes, descriptors: list[int]) -> int | None:
        assert self._door is not None, "it is asked while it is there"
        try:
            socket.send_fds(self._door, [request], descriptors)
            pid = int(self._door.recv(_LARGEST) or b"0")
        except OSError:  # gone, or it does not answer, or the request is too large
            pid = 0
        if pid == 0 and self._child is not None:
            self._prepared = None  # its end is heard soon
            self._child.signal(signal.SIGKILL)
        return pid if pid > 0 else None

    def _said_hello(self) -> None:
        assert self._door is not None, "the reader goes with the socket"
        asyncio.get_running_loop().remove_reader(self._door.fileno())
        try:
            said = json.loads(self._door.recv(_LARGEST) or b"{}")
        except (OSError, ValueError):
            said = {}
        if "path" in said:
            self._prepared = Prepared(tuple(said["path"]), frozenset(said["modules"]), said["home"])
            self._trouble = None
            self._settled.set()
        elif "obstacle" in said:
            self._trouble = said["obstacle"]

    def _ended(self, code: int) -> None:
        was_ready = self._prepared is not None or self._settled.is_set()
        last_words = self._last_words()
        self._warden.drop(_KEY)
        self._child = None
        self._close_ends()
        if was_ready:
            self.start()
        else:
            self._give_up(self._trouble or f"it ended at its start with status {code}{last_words}")

    def _give_up(self, trouble: str) -> None:
        self._trouble = trouble
        self._close_ends()
        self._settled.set()

    def _last_words(self) -> str:
        os.set_blocking(self._errors, False)
        try:
            said = os.read(self._errors, 1 << 16).decode(errors="replace").strip()
        except BlockingIOError:
            return ""
        return f" ({said.splitlines()[-1]})" if said else ""

    def _close_ends(self) -> None:
        self._prepared = None
        if self._door is not None:
            asyncio.get_running_loop().remove_reader(self._door.fileno())
            self._door.close()
            self._door = None
        if self._errors >= 0:
            os.close(self._errors)
            self._errors = -1
