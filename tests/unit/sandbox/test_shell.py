"""The conversation with a container's shell: our side alone, and with the real shells of this machine."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest

from emulator.sandbox.freezer import descendants
from emulator.sandbox.pipes import Pipes
from emulator.sandbox.shell import (
    ANONYMOUS,
    DESTINY,
    FORBIDDEN,
    MISSING,
    NO_PROGRAM,
    RUNTIME,
    WRONG_FOLDER,
    Report,
    Shell,
    anonymous_script,
    can_be_told,
    destiny_script,
    read_report,
    script,
)
from tests.support import eventually, in_loop, require

# -- reports ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "report"),
    [
        (b"begun 3", Report("begun", 3)),
        (b"over 3", Report("over", 3)),
        (b"started 3 12 runtime", Report("started", 3, 12, RUNTIME)),
        (b"ended 3 137 runtime", Report("ended", 3, 137, RUNTIME)),
        (b"refused 3 127 runtime", Report("refused", 3, 127, RUNTIME)),
        (b"failed 3 126 runtime", Report("failed", 3, 126, RUNTIME)),
        (b"started 1 7 extension agent", Report("started", 1, 7, "agent")),
        (b"ended 1 0 extension with blanks ", Report("ended", 1, 0, "with blanks ")),
    ],
)
def test_a_report_is_read(line: bytes, report: Report) -> None:
    """Word, generation, number, and who it is about, whatever a file may be called."""
    assert read_report(line) == report


@pytest.mark.parametrize(
    "nonsense",
    [
        b"",
        b"begun",
        b"begun x",
        b"begun 1 2 runtime",
        b"over 1 2 runtime",
        b"ended 1",
        b"ended 1 runtime",
        b"ended 1 -1 runtime",
        b"ended 1 1 nobody",
        b"ended 1 1 extension ",
        b"ended 1 1 extension",
        b" ended 1 1 runtime",
        b"ended 1 1 runtime ",
        b"killed 1 1 runtime",
        "ended ² 1 runtime".encode(),
        b"ended 1 " + b"9" * 50 + b" runtime",
        b"\xff\x00",
    ],
)
def test_nonsense_is_no_report(nonsense: bytes) -> None:
    """A function can write there; what the shell would not say is passed over."""
    assert read_report(nonsense) is None


# -- our side ----------------------------------------------------------------------------------------------------


class Line:
    """A way to a shell that a test plays: what it was told, and what we said has ended."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.ended: list[tuple[str, int]] = []
        self.refused: list[int] = []
        self.shell = Shell(lambda who, status: self.ended.append((who, status)), self.refused.append)
        self.shell.connect(self)

    def command(self, text: bytes) -> None:
        self.told.append(text.decode())

    def says(self, *lines: str) -> None:
        for line in lines:
            self.shell.heard(line.encode())

    async def ends(self, generation: int) -> None:
        """Everything was killed, and the first process says that it has seen that."""
        asyncio.get_running_loop().call_soon(self.says, f"over {generation}")
        async with asyncio.timeout(30):
            await self.shell.end()


@pytest.fixture
def line() -> Line:
    return Line()


def test_commands_are_lines(line: Line) -> None:
    """Each one whole, the first one with a beginning before it."""
    line.shell.start(RUNTIME)
    line.shell.start("my agent")
    assert line.told == ["begin 1\n", "runtime\n", "extension my agent\n"]


def test_ends_are_told_with_who_has_ended(line: Line) -> None:
    """The runtime's and an extension's, once each."""
    line.shell.start(RUNTIME)
    line.shell.start("agent")
    line.says("begun 1", "started 1 10 runtime", "started 1 11 extension agent")
    line.says("ended 1 3 extension agent", "ended 1 137 runtime", "ended 1 0 runtime")
    assert line.ended == [("agent", 3), (RUNTIME, 137)]


def test_what_was_never_started_does_not_end(line: Line) -> None:
    """A function that says so fools nobody."""
    line.says("ended 1 0 runtime", "ended 1 0 extension agent")
    assert line.ended == []


def test_a_refusal_is_told_once(line: Line) -> None:
    """Of a runtime that was to be started; before, nobody has heard of the shell."""
    line.says("refused 1 127 runtime")
    assert line.refused == []
    line.shell.start(RUNTIME)
    line.says("refused 0 127 runtime", "refused 1 126 runtime", "refused 1 126 runtime")
    assert (line.refused, line.ended) == ([126], [])


def test_what_the_kernel_has_refused_ends_as_a_refusal(line: Line) -> None:
    """Once, whichever is heard first, its failure or its start; what is started next may end as it likes."""
    for lines in (("failed 1 126 runtime", "started 1 9 runtime"), ("started 1 9 runtime", "failed 1 127 runtime")):
        line.shell.start(RUNTIME)
        line.says(*lines, "ended 1 126 runtime")
    assert (line.refused, line.ended) == ([NO_PROGRAM, MISSING], [])
    line.shell.start(RUNTIME)
    line.says("started 1 9 runtime", "ended 1 126 runtime")
    assert line.ended == [(RUNTIME, 126)]


def test_a_shell_that_has_said_nothing_is_known(line: Line) -> None:
    """What a function writes there is no word of the shell's."""
    line.says("nonsense")
    assert not line.shell.has_spoken
    line.says("begun 1")
    assert line.shell.has_spoken


def test_a_signal_goes_to_the_process_that_was_started(line: Line) -> None:
    """By the number that the shell told; nothing is sent once it has ended."""
    line.shell.start(RUNTIME)
    line.says("started 1 10 runtime")
    line.shell.signal(RUNTIME, signal.SIGTERM)
    line.says("ended 1 143 runtime")
    line.shell.signal(RUNTIME, signal.SIGKILL)
    line.shell.signal("nobody", signal.SIGKILL)
    assert line.told[2:] == ["signal TERM 10\n"]


def test_a_signal_waits_for_what_is_just_being_started(line: Line) -> None:
    """It is not lost because the shell was slower than we."""
    line.shell.start("agent")
    line.shell.signal("agent", signal.SIGTERM)
    line.shell.signal("agent", signal.SIGKILL)
    assert line.told[2:] == []
    line.says("started 1 11 extension agent")
    assert line.told[2:] == ["signal TERM 11\n", "signal KILL 11\n"]


@in_loop
async def test_nothing_of_an_old_generation_is_told() -> None:
    """Reports that were still on their way at a reset are of processes that somebody has ended on purpose."""
    line = Line()
    line.shell.start(RUNTIME)
    line.says("begun 1", "started 1 10 runtime")
    await line.ends(1)
    line.shell.start(RUNTIME)
    line.says("ended 1 137 runtime", "begun 2", "started 2 10 runtime", "ended 1 137 runtime")
    assert line.ended == []
    line.says("ended 2 1 runtime")
    assert line.ended == [(RUNTIME, 1)]


@in_loop
async def test_it_is_known_when_nothing_unread_can_begin_any_more() -> None:
    """Before anything is started, and from the shell's word on; an old word does not count."""
    line = Line()
    assert line.shell.is_read.is_set()
    line.shell.start(RUNTIME)
    assert not line.shell.is_read.is_set()
    line.says("begun 1")
    assert line.shell.is_read.is_set()
    await line.ends(1)
    assert line.shell.is_read.is_set()
    line.shell.start(RUNTIME)
    line.says("begun 1", "over 1")
    assert not line.shell.is_read.is_set()
    assert line.told[-3:] == ["\nend 1\n", "begin 2\n", "runtime\n"]


# -- the script ------------------------------------------------------------------------------------------------


def test_only_names_of_shell_variables_are_unset() -> None:
    """Anything else in an image's environment would be a syntax error, or worse."""
    text = script("/p", "/e", unset={"HOME", "a.b", "x;reboot"}, hidden={"_HANDLER", ""})
    assert 'unset HOME; exec "$@"\n' in text
    assert 'unset HOME _HANDLER; exec "/e/' in text
    assert "reboot" not in text


FOREIGN = b"\x7fELF\2\1\1" + bytes(9) + b"\2\0\1\0" + bytes(100)
"""The beginning of a program for a processor that nobody has any more."""

SHELLS = [["dash"], ["bash", "--posix"], ["bash"], ["busybox", "sh"]]


class Played:
    """A real shell on this machine in the place of a container's first process.

    An anonymous one gets variables, folder and script only when it has started.
    """

    def __init__(
        self,
        folder: Path,
        shell: list[str],
        runtime: str,
        variables: dict[str, str],
        *,
        anonymous: bool = False,
        command: list[str] | None = None,
        working_directory: str = "",
    ) -> None:
        self.refused: list[int] = []
        self.ended: list[tuple[str, int]] = []
        self.output = self.extension_output = b""
        self.extensions = folder / "extensions"
        self.shell = Shell(lambda who, status: self.ended.append((who, status)), self.refused.append)
        self.pipes = Pipes(
            folder / "pipes",
            on_output=self._wrote,
            on_extension_output=self._extension_wrote,
            on_report=self._heard,
        )
        self.shell.connect(self.pipes)
        self.has_waited = False
        text = script(
            str(self.pipes.folder),
            str(self.extensions),
            unset={"HOME", "SHLVL"},
            hidden={"HIDDEN"},
            folder=working_directory,
        )
        command = [*shell, "-c", text, "lambda", *(["/bin/sh", "-c", runtime] if command is None else command)]
        variables = {"HIDDEN": "1", "line": "kept", **variables}
        self._process = subprocess.Popen(
            [*shell, "-c", anonymous_script(str(self.pipes.folder))] if anonymous else command,
            env={"PATH": os.environ["PATH"], "HOME": "/root"} | ({} if anonymous else variables),
            cwd="/" if anonymous else folder,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        if anonymous:
            (self.pipes.folder / DESTINY).write_bytes(destiny_script(variables, str(folder), command))
            self.pipes.command(f"{DESTINY}\n".encode())

    def add(self, name: str, text: str, mode: int = 0o755) -> None:
        self.extensions.mkdir(exist_ok=True)
        (self.extensions / name).write_text(text)
        (self.extensions / name).chmod(mode)

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until something was heard, that a shell says in its own time."""
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.002)

    def has_begun_times(self, times: int) -> bool:
        return self.output.count(b"run") == times == self.extension_output.count(b"up")

    def kill_all(self) -> None:
        """As a reset does: everything but the first process, until nothing is left."""

        def all_gone() -> bool:
            # By the session: here an orphan goes to the first process of the machine, not to this one.
            left = [pid for pid in psutil.pids() if pid != self._process.pid and is_in_session(pid, self._process.pid)]
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return not left

        eventually(all_gone, "the end of the generation")

    async def reset(self) -> None:
        self.kill_all()
        async with asyncio.timeout(30):
            await self.shell.end()
        assert descendants(self._process.pid) == []  # killed and reaped

    def close(self) -> None:
        self.pipes.close()
        self.kill_all()
        self._process.kill()
        self._process.wait(10)

    def _heard(self, line: bytes) -> None:
        self.has_waited = self.has_waited or line == ANONYMOUS
        self.shell.heard(line)

    def _wrote(self, piece: bytes) -> None:
        self.output += piece

    def _extension_wrote(self, piece: bytes) -> None:
        self.extension_output += piece


def is_in_session(pid: int, session: int) -> bool:
    """Whether it runs, and belongs there."""
    try:
        return os.getsid(pid) == session and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False


@pytest.fixture(params=SHELLS, ids=" ".join)
def program(request: pytest.FixtureRequest) -> list[str]:
    """A shell that images have, where this machine has it too."""
    shell: list[str] = request.param
    require(shutil.which(shell[0]), f"There is no {shell[0]} here.", "Run ./dev setup.")
    return shell


@contextlib.asynccontextmanager
async def playing(
    folder: Path, shell: list[str], runtime: str = "exit 0", *, anonymous: bool = False, **variables: str
) -> AsyncIterator[Played]:
    played = Played(folder, shell, runtime, variables, anonymous=anonymous)
    try:
        yield played
    finally:
        played.close()


@contextlib.asynccontextmanager
async def playing_command(
    folder: Path, shell: list[str], command: list[str], working_directory: str
) -> AsyncIterator[Played]:
    """With a runtime that is another program than a shell, or works elsewhere."""
    played = Played(folder, shell, "", {}, command=command, working_directory=working_directory)
    try:
        yield played
    finally:
        played.close()


def test_a_runtime_runs_prints_and_ends(tmp_path: Path, program: list[str]) -> None:
    """Its output and its status arrive; what nobody is to see is not in its environment, and nothing is changed."""

    @in_loop
    async def play() -> None:
        async with playing(tmp_path, program, 'echo "[$HOME] $line $HIDDEN"; echo to-stderr >&2; exit 3') as played:
            played.shell.start(RUNTIME)
            await played.until(lambda: played.ended)
            played.pipes.drain_output()
            assert played.ended == [(RUNTIME, 3)]
            assert played.output == b"[] kept 1\nto-stderr\n"

    play()


def test_extensions_run_beside_a_runtime(tmp_path: Path, program: list[str]) -> None:
    """Several at once; each one's end is told by its name, their output is apart, and they do not see everything."""

    @in_loop
    async def play() -> None:
        async with playing(tmp_path, program, "sleep 60") as played:
            played.add("one", '#!/bin/sh\necho "[$HOME$HIDDEN] $line"; exit 4\n')
            played.add("two and a half", "#!/bin/sh\nexit 5\n")
            played.add("stays", "#!/bin/sh\nexec sleep 60\n")
            for who in (RUNTIME, "one", "stays", "two and a half"):
                played.shell.start(who)
            await played.until(lambda: len(played.ended) == 2)
            played.pipes.drain_output()
            assert sorted(played.ended) == [("one", 4), ("two and a half", 5)]
            assert (played.output, played.extension_output) == (b"", b"[] kept\n")

    play()


@pytest.mark.parametrize(
    ("command", "folder", "reason"),
    [
        (["/no/such"], "", MISSING),
        (["no-such-program-anywhere"], "", MISSING),
        ([""], "", MISSING),
        ([], "", MISSING),
        (["/etc"], "", FORBIDDEN),
        (["/etc/passwd"], "", FORBIDDEN),
        (["/bin/echo"], "/no/such", WRONG_FOLDER),
        (["/bin/echo"], "bin", WRONG_FOLDER),
    ],
)
def test_a_runtime_that_cannot_be_executed_is_refused(
    tmp_path: Path, program: list[str], command: list[str], folder: str, reason: int
) -> None:
    """Nothing of it has run, and the shell goes on: it is started as often as one likes."""

    @in_loop
    async def play() -> None:
        async with playing_command(tmp_path, program, command, folder) as played:
            played.shell.start(RUNTIME)
            await played.until(lambda: played.refused)
            played.shell.start(RUNTIME)
            await played.until(lambda: len(played.refused) == 2)
            assert played.refused == [reason] * 2
            assert (played.ended, played.output) == ([], b"")

    play()


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"#!/no/such/shell\n", MISSING), (b"#!/bin/sh\r\n", MISSING), (FOREIGN, NO_PROGRAM)],
    ids=["interpreter", "line ends of Windows", "another processor"],
)
def test_a_runtime_that_the_kernel_refuses_is_refused(
    tmp_path: Path, program: list[str], content: bytes, reason: int
) -> None:
    """Which only shows when it is tried. Some shells do not tell, and it ends with a status of theirs."""
    tells = program[0] == "dash" or (program[0] == "busybox" and content != FOREIGN)
    (tmp_path / "program").write_bytes(content)
    (tmp_path / "program").chmod(0o755)

    @in_loop
    async def play() -> None:
        async with playing_command(tmp_path, program, [str(tmp_path / "program")], "") as played:
            played.shell.start(RUNTIME)
            await played.until(lambda: played.refused or played.ended)
            played.shell.start(RUNTIME)
            await played.until(lambda: len(played.refused) + len(played.ended) == 2)
            assert played.refused == ([reason] * 2 if tells else [])
            assert {status for _, status in played.ended} <= {2, 126, 127}

    play()


def test_a_status_of_the_programs_own_is_no_refusal(tmp_path: Path, program: list[str]) -> None:
    """Though it is one that shells have for what cannot be executed."""

    @in_loop
    async def play() -> None:
        async with playing_command(tmp_path, program, ["/bin/sh", "-c", "exit 126"], "") as played:
            played.shell.start(RUNTIME)
            await played.until(lambda: played.ended)
            assert (played.refused, played.ended) == ([], [(RUNTIME, 126)])

    play()


def test_a_runtime_works_where_it_is_told_to(tmp_path: Path, program: list[str]) -> None:
    """Without a trace of where the shell was before; a program is found by its name."""
    (tmp_path / "a folder").mkdir()

    @in_loop
    async def play() -> None:
        print_it = ["sh", "-c", 'pwd; echo "$PWD" "[$OLDPWD]"']
        where = str(tmp_path / "a folder")
        async with playing_command(tmp_path, program, print_it, where) as played:
            played.shell.start(RUNTIME)
            await played.until(lambda: played.ended)
            played.pipes.drain_output()
            assert played.output.decode() == f"{where}\n{where} []\n"

    play()


def test_what_cannot_be_executed_is_told(tmp_path: Path, program: list[str]) -> None:
    """126 for a file that may not be executed, 127 for one whose interpreter is not there, or that is missing."""

    @in_loop
    async def play() -> None:
        async with playing(tmp_path, program) as played:
            played.add("forbidden", "#!/bin/sh\n", mode=0o644)
            for who in ("forbidden", "missing"):
                played.shell.start(who)
            await played.until(lambda: len(played.ended) == 2)
            assert sorted(played.ended) == [("forbidden", 126), ("missing", 127)]

    play()


def test_sigterm_arrives_and_can_be_caught(tmp_path: Path, program: list[str]) -> None:
    """Shells make what they start in the background deaf to SIGINT; to SIGTERM it must not be."""

    @in_loop
    async def play() -> None:
        runtime = "trap 'echo caught; exit 7' TERM; echo ready; while :; do sleep 0.01; done"
        async with playing(tmp_path, program, runtime) as played:
            played.add("stays", "#!/bin/sh\necho up\nexec sleep 60\n")
            played.shell.start(RUNTIME)
            played.shell.start("stays")
            await played.until(lambda: b"ready" in played.output and b"up" in played.extension_output)
            played.shell.signal(RUNTIME, signal.SIGTERM)
            await played.until(lambda: played.ended)
            assert played.ended == [(RUNTIME, 7)]
            played.pipes.drain_output()
            assert played.output == b"ready\ncaught\n"
            played.shell.signal("stays", signal.SIGKILL)
            await played.until(lambda: len(played.ended) == 2)
            assert played.ended[1] == ("stays", 137)

    play()


def test_after_a_reset_everything_begins_anew(tmp_path: Path, program: list[str]) -> None:
    """Keeper and waiters are killed with the rest: no end is told, and the next generation starts and ends as ever."""

    @in_loop
    async def play() -> None:
        async with playing(tmp_path, program, "echo run; exec sleep 60") as played:
            played.add("agent", "#!/bin/sh\necho up\nexec sleep 60\n")
            for generation in range(1, 4):
                played.shell.start("agent")
                played.shell.start(RUNTIME)
                await played.until(lambda: played.has_begun_times(generation))  # noqa: B023 (awaited here)
                await played.shell.is_read.wait()
                await played.reset()
            played.shell.start(RUNTIME)
            await played.until(lambda: played.output.count(b"run") == 4)
            assert played.ended == []
            played.shell.signal(RUNTIME, signal.SIGKILL)
            await played.until(lambda: played.ended)
            assert played.ended == [(RUNTIME, 137)]

    play()


def test_commands_of_an_ended_generation_are_lost_with_it(tmp_path: Path, program: list[str]) -> None:
    """What nobody had read when everything was killed starts nothing in the next generation, half a line neither."""

    @in_loop
    async def play() -> None:
        async with playing(tmp_path, program, "echo run") as played:
            played.add("stays", "#!/bin/sh\nexec sleep 60\n")
            played.shell.start("stays")
            await played.shell.is_read.wait()
            played.kill_all()
            played.pipes.command(b"runtime\nrunti")
            async with asyncio.timeout(30):
                await played.shell.end()
            played.shell.start(RUNTIME)
            await played.until(lambda: played.ended)
            played.pipes.drain_output()
            assert (played.ended, played.output) == ([(RUNTIME, 0)], b"run\n")

    play()


TRICKY = {
    "QUOTES": """'single' "double" `back` $HOME \\ \\n""",
    "LINES": "first\n\nlast\n",
    "UMLAUT": "\xe4\u20ac",
    "EMPTY": "",
    "_HANDLER": "app.handler",
    "PATH": "/opt/mine:" + os.environ["PATH"],
    "LC_ALL": "C.UTF-8",
    "name": "kept",
}


def test_an_anonymous_shell_becomes_what_it_would_have_been(tmp_path: Path, program: list[str]) -> None:
    """Whatever its variables contain, its runtime finds the very same ones, and the same working directory."""
    seen = []

    @in_loop
    async def play(*, anonymous: bool) -> None:
        folder = tmp_path / "room"
        folder.mkdir()
        looking = 'pwd; env -0 | sort -z; tr "\\0" "\\n" </proc/self/status | grep "^Sig[^Q]"'
        async with playing(folder, program, looking, anonymous=anonymous, **TRICKY) as played:
            played.shell.start(RUNTIME)
            await played.until(lambda: played.ended)
            played.pipes.drain_output()
            assert played.ended == [(RUNTIME, 0)]
            assert played.has_waited is anonymous
            seen.append(played.output)
        shutil.rmtree(folder)

    play(anonymous=False)
    play(anonymous=True)
    assert seen[0] == seen[1]
    for name, value in TRICKY.items():
        assert f"{name}={value}\0".encode() in seen[1]


def test_an_anonymous_shell_does_all_the_rest_afterwards(tmp_path: Path, program: list[str]) -> None:
    """Extensions, and a reset, which kills everything but the first process."""

    @in_loop
    async def play() -> None:
        async with playing(tmp_path, program, "echo run; exec sleep 60", anonymous=True) as played:
            played.add("agent", "#!/bin/sh\necho up; exec sleep 60\n")
            for generation in range(1, 3):
                played.shell.start("agent")
                played.shell.start(RUNTIME)
                await played.until(functools.partial(played.has_begun_times, generation))
                await played.reset()
            assert played.ended == []

    play()


@pytest.mark.parametrize(
    "names", [["IFS"], ["COLOUR", "UID"], ["BASH_ENV"], ["BASH"], ["PWD"], ["OLDPWD"], ["not a name"], ["A", "PS4"]]
)
def test_what_a_shell_has_for_itself_cannot_be_told(names: list[str]) -> None:
    """A function with such variables gets a container that is made with them."""
    assert not can_be_told(names)


@pytest.mark.parametrize("names", [[], ["PATH", "HOME", "TZ", "_HANDLER", "LC_ALL", "SECONDS_TO_WAIT", "name"]])
def test_everything_else_can_be_told(names: list[str]) -> None:
    """Names of which a shell's are only a part, too."""
    assert can_be_told(names)
