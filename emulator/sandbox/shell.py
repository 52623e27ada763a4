"""The conversation with a container's first process: what it is told to start, and what it tells of ends.

The first process is a shell that only waits, in the foreground, for a second one, the *keeper*: so what loses its
parent inside is reaped, as any first process has to. The keeper starts what it is told to and goes on listening; each
runtime and each extension has a waiter beside it that tells how it ended.

==========================================  ==========================================================================
command                                     effect
==========================================  ==========================================================================
``begin N``                                 the first process starts the keeper of generation N; it tells ``begun N``
``end N``                                   the first process reaps what was killed, and tells ``over N``
``runtime``                                 ``started N PID runtime``, and one day ``ended N STATUS runtime``; or
                                            ``refused N REASON runtime``, if it is seen that it cannot be executed;
                                            or ``failed N STATUS runtime`` before its end, if the kernel has refused
``extension NAME``                          ``started N PID extension NAME``, ``ended N STATUS extension NAME``
``signal TERM PID``                         the signal is sent
==========================================  ==========================================================================

A reset kills everything but the first process, which cannot be killed from inside. That then listens itself, for
``end`` and ``begin``, and passes over all else, so a command that nobody had read yet is lost with its generation; and
a report of a waiter that was still writing when it was killed is known as old by the number of its generation.

Only what every POSIX shell has built in is used. Jobs in the background of such a shell ignore SIGINT and SIGQUIT, so
here the runtime and the extensions do (DIFFERS: they do not on AWS, where nobody sends them either); SIGTERM arrives.

DIFFERS: a text file without ``#!`` is run as a shell's script; on AWS it cannot be executed [C]. Where the shell is
bash, which forgets its traps before it executes, what the kernel refuses ends with bash's status 126 or 127; busybox
takes a program for another processor for a script, too.

A container that is made before it is known for whom begins with a shorter script, which says ``begun 0`` and waits for
one line; then it reads a file with the rest, and runs this script in its own place, as if it had been the first.

A function can write into the pipe of reports, which belongs to its own user. It fools only itself.
"""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

__all__ = [
    "ANONYMOUS",
    "DESTINY",
    "FORBIDDEN",
    "MISSING",
    "NO_PROGRAM",
    "RUNTIME",
    "WRONG_FOLDER",
    "CommandPipe",
    "Report",
    "Shell",
    "anonymous_script",
    "can_be_told",
    "destiny_script",
    "read_report",
    "script",
]

RUNTIME = ""
"""Who a report is about: the name of an extension, or this."""

WRONG_FOLDER, NO_PROGRAM, FORBIDDEN, MISSING = 1, 125, 126, 127
"""Why a runtime is refused: its working directory is none; what should be its program, or what that wants to be run
by, is no program for this machine; it may not be executed; there is none."""

ANONYMOUS = b"begun 0"
"""What the first process of an anonymous container says when it waits."""

DESTINY = "destiny"
"""The name of the file beside the pipes; and of the command to read it."""

_REPORT = re.compile(
    rb"(begun|over|started|ended|refused|failed) ([0-9]{1,9})(?: ([0-9]{1,9}) (?:runtime|extension (.+)))?", re.DOTALL
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Some cannot be set, some change what the shell does, some it sets itself.
_OF_SHELLS = re.compile(
    r"BASH.*|DIRSTACK|ENV|EPOCH(REALTIME|SECONDS)|E?UID|FUNCNAME|GROUPS|HISTCMD|HOSTNAME|IFS|LINENO|OLDPWD"
    r"|OPT(ARG|ERR|IND)|PIPESTATUS|POSIXLY_CORRECT|PPID|PS[0-9]|PWD|S?RANDOM|SECONDS|SHELLOPTS|SHLVL"
)
# Names with an underscore in front: a function's variable that is called "line" must not be overwritten by ours.
_SCRIPT = """
exec 2>/dev/null 3<{pipes}/commands 4>{pipes}/reports
while read -r _word _generation <&3; do
  if [ "$_word" = end ]; then
    (:)
    echo "over $_generation" >&4
  fi
  [ "$_word" = begin ] || continue
  (
    echo "begun $_generation" >&4
    while IFS= read -r _line <&3; do
      case $_line in
        runtime)
          (
            _why=
            {enter}
            [ -n "$_why" ] || case ${{1:-}} in
              */*)
                if [ ! -e "$1" ]; then _why={missing}
                elif [ ! -f "$1" ] || [ ! -x "$1" ]; then _why={forbidden}
                fi ;;
              *) [ -n "${{1:-}}" ] && command -v "$1" >/dev/null || _why={missing} ;;
            esac
            if [ -n "$_why" ]; then
              echo "refused $_generation $_why runtime" >&4
              exit
            fi
            (
              trap 'echo "failed $_generation $? runtime" >{pipes}/reports' EXIT
              {unset_for_runtime}exec "$@"
            ) >{pipes}/output 2>&1 3<&- 4>&- &
            echo "started $_generation $! runtime" >&4
            wait $!
            echo "ended $_generation $? runtime" >&4
          ) & ;;
        'extension '*)
          (
            ({unset_for_extensions}exec "{extensions}/${{_line#extension }}") >{pipes}/extensions 2>&1 3<&- 4>&- &
            echo "started $_generation $! $_line" >&4
            wait $!
            echo "ended $_generation $? $_line" >&4
          ) & ;;
        'signal '*)
          _line=${{_line#signal }}
          kill -"${{_line% *}}" "${{_line#* }}" ;;
      esac
    done
  )
done
"""


def script(pipes: str, extensions: str, *, unset: Iterable[str], hidden: Iterable[str], folder: str = "") -> str:
    """What the first process runs; its arguments are the command line of the runtime.

    Arguments:
        pipes: the folder of the named pipes, inside.
        extensions: the folder of the extensions, inside.
        unset: environment variables that nobody is to see: an engine sets some.
        hidden: those that extensions are not to see besides.
        folder: where the runtime works, if that is not where the container does.
    """
    unset, hidden = set(unset), set(hidden)
    return _SCRIPT.format(
        pipes=pipes,
        extensions=extensions,
        unset_for_runtime=_unset(unset),
        unset_for_extensions=_unset(unset | hidden),
        enter=_enter(folder),
        missing=MISSING,
        forbidden=FORBIDDEN,
    ).strip()


def anonymous_script(pipes: str) -> str:
    """What the first process runs while nobody knows for whom."""
    return (
        f"exec 2>/dev/null; echo '{ANONYMOUS.decode()}' >{pipes}/reports; "
        f"read -r _word <{pipes}/commands; . {pipes}/{DESTINY}"
    )


def destiny_script(variables: Mapping[str, str], folder: str, command: Sequence[str]) -> bytes:
    """What that process reads when it is known: the environment, the working directory, and what to be instead."""
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    # A shell that changes its folder leaves traces of that, which no other container has.
    lines += [f"cd {shlex.quote(folder)}", "unset OLDPWD PWD", f"exec {shlex.join(command)}"]
    return os.fsencode("\n".join(lines) + "\n")


def can_be_told(names: Iterable[str]) -> bool:
    """Whether a shell hands such variables on as they are: it has some of its own."""
    return not any(_OF_SHELLS.fullmatch(name) or not _NAME.fullmatch(name) for name in names)


def _enter(folder: str) -> str:
    if not folder:
        return ":"
    if not folder.startswith("/"):  # [C] it has to be absolute
        return f"_why={WRONG_FOLDER}"
    return f"cd {shlex.quote(folder)} && unset OLDPWD || _why={WRONG_FOLDER}"


def _unset(names: set[str]) -> str:
    # What is no name for a shell's variable is none that a shell hands on.
    known = sorted(name for name in names if _NAME.fullmatch(name))
    return f"unset {' '.join(known)}; " if known else ""


@dataclass(frozen=True, slots=True)
class Report:
    """One line of the shell: ``value`` is a process id as the container counts it, or an exit status."""

    word: str
    generation: int
    value: int = 0
    who: str = RUNTIME


def read_report(line: bytes) -> Report | None:
    """``None`` for what the shell does not say."""
    match = _REPORT.fullmatch(line)
    if match is None or (match[1] in (b"begun", b"over")) != (match[3] is None):
        return None
    return Report(match[1].decode(), int(match[2]), int(match[3] or 0), os.fsdecode(match[4] or b""))


class CommandPipe(Protocol):
    """The way to the shell."""

    def command(self, text: bytes) -> None:
        """Write it, whole; it waits there for the shell to read it."""
        ...


class Shell:
    """Our side of the conversation, for one container.

    Arguments:
        on_end: gets who has ended, and the status as a shell tells it; not of an old generation.
        on_refusal: gets why the runtime cannot be executed, likewise.
    """

    def __init__(self, on_end: Callable[[str, int], None], on_refusal: Callable[[int], None] | None = None) -> None:
        self._on_end = on_end
        self._on_refusal = on_refusal
        self._pipe: CommandPipe | None = None
        self._generation = 1
        self._pids: dict[str, int] = {}
        self._unstarted: dict[str, list[signal.Signals]] = {}
        self._failed: int | None = None
        self._has_keeper = False
        self.has_spoken = False
        self.is_read = asyncio.Event()
        """Cleared while a ``begin`` may still be unread, so that a kill now would not be the end of it."""
        self.is_read.set()

    def connect(self, pipe: CommandPipe) -> None:
        self._pipe = pipe

    async def end(self) -> None:
        """The end of a generation, all processes of which were killed: nothing is heard of it any more."""
        self.is_read.clear()
        self._tell(f"\nend {self._generation}")  # the line in which the keeper was killed ends here
        await self.is_read.wait()
        self._pids.clear()
        self._unstarted.clear()
        self._failed = None
        self._has_keeper = False
        self._generation += 1

    def start(self, who: str) -> None:
        """Have an extension, or the runtime, started; the first one of a generation comes with a keeper."""
        if not self._has_keeper:
            self._has_keeper = True
            self.is_read.clear()
            self._tell(f"begin {self._generation}")
        if who == RUNTIME:
            self._failed = None
        self._unstarted[who] = []
        self._tell(f"extension {who}" if who else "runtime")

    def signal(self, who: str, number: signal.Signals) -> None:
        """Nothing if it has ended, or was never started; one that is only just being started gets it then."""
        if (pid := self._pids.get(who)) is not None:
            self._tell(f"signal {number.name.removeprefix('SIG')} {pid}")
        elif who in self._unstarted:
            self._unstarted[who].append(number)

    def heard(self, line: bytes) -> None:
        """What the shell has said, or somebody else in its place."""
        report = read_report(line)
        self.has_spoken = self.has_spoken or report is not None
        if report is None or report.generation != self._generation:
            return
        match report.word:
            case "begun" | "over":
                self.is_read.set()
            case "started":
                self._pids[report.who] = report.value
                for number in self._unstarted.pop(report.who, []):
                    self.signal(report.who, number)
            case "refused" if self._unstarted.pop(report.who, None) is not None and self._on_refusal is not None:
                self._on_refusal(report.value)
            case "failed":  # its end is still to be told, perhaps its start, too
                self._failed = MISSING if report.value == MISSING else NO_PROGRAM
            case "ended" if self._pids.pop(report.who, None) is not None:
                if report.who == RUNTIME and self._failed is not None and self._on_refusal is not None:
                    self._on_refusal(self._failed)
                else:
                    self._on_end(report.who, report.value)

    def _tell(self, command: str) -> None:
        assert self._pipe is not None, "a shell is told something when there is a way to it"
        self._pipe.command(os.fsencode(f"{command}\n"))
