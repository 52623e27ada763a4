"""The main job, shown in a terminal: what happens to a MySQL connection when its environment is frozen.

Everything on the screen is measured in that run, on a real function, a real sandbox and a real server.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from emulator.interrupts import reading_modules

with reading_modules():
    from rich.console import Console, RenderableType
    from rich.padding import Padding
    from rich.rule import Rule
    from rich.text import Text

    from emulator import screen
    from emulator.config import Settings, load_settings
    from emulator.embedded import Emulator, InvocationResult
    from emulator.errors import EmulatorError
    from emulator.model import Session
    from emulator.sandbox.freezer import descendants
    from emulator.sandbox.probe import cpu_time
    from emulator.spans import in_words

__all__ = ["main"]

_SAMPLES = Path("sample_functions")
_BRIEF = 1.2  # seconds, for the eye: the age of a sleeping session must be seen to grow


class _Story:
    """Tells one step after the other, each with the server's own list of sessions before it and after it."""

    def __init__(self, console: Console, emulator: Emulator) -> None:
        self._console = console
        self._emulator = emulator
        self._number = 0

    @contextmanager
    def step(self, title: str, sentence: str) -> Iterator[None]:
        self._number += 1
        self._console.print()
        self._console.print(Rule(Text(f"{self._number}  {title}", "bold"), align="left", style="dim"))
        self._say(Text(sentence))
        before = self._emulator.connections()
        yield
        self._console.print(Padding(self._sessions(before, self._emulator.connections()), (1, 0, 0, 3)))
        self._say(screen.connections_summary(asdict(self._emulator.connections_summary())))

    def tell(self, *parts: str | Text | tuple[str, str]) -> None:
        self._say(Text.assemble(("→ ", "bold cyan"), *parts))

    def served(self, result: InvocationResult) -> None:
        if result.function_error is not None:
            raise EmulatorError(
                f"the sample function failed: {result.raw_payload.decode(errors='replace')}",
                cure="./dev setup puts what the samples import beside them.",
            )
        how = "cold start" if result.cold_start else "warm"
        report = result.report
        took = f"{report.duration_ms:.1f} ms" + (f" after {report.init_ms:.0f} ms of init" if report.init_ms else "")
        self.tell(
            "connection ",
            (str(result.payload["connection_id"]), "bold"),
            f" in environment {result.environment_id[:8]} ({how}, {took})",
        )

    def _say(self, text: RenderableType) -> None:
        self._console.print(Padding(text, (0, 0, 0, 3)))

    def _sessions(self, before: Sequence[Session], after: Sequence[Session]) -> RenderableType:
        """One row a session: what the server said of it before the step, and what it says now."""
        if not before and not after:
            return Text("the server has no sessions of functions, before and after", "dim")
        table = screen.plain_table("SESSION", "BEFORE", "AFTER", "FUNCTION", "ENVIRONMENT", "")
        table.columns[0].justify = "right"
        then, now = ({session.id: session for session in sessions} for sessions in (before, after))
        for number in sorted(then | now):
            session = now.get(number) or then[number]
            state = screen.environment_of(asdict(session)) if number in now else Text("session closed", "dim")
            table.add_row(
                str(number),
                _command(then.get(number)),
                _command(now.get(number)),
                session.function or "–",
                (session.environment or "–")[:8],
                state,
            )
        return table


def _command(session: Session | None) -> Text:
    if session is None:
        return Text("–", "dim")
    return Text(f"{session.command} {max(0.0, session.seconds):.1f} s", "" if session.command == "Sleep" else "green")


def main(arguments: Sequence[str] | None = None) -> int:
    """Tell the story; 0 when it came out as told."""
    parser = argparse.ArgumentParser(prog="./dev demo", description=__doc__.splitlines()[0])
    parser.add_argument("--sandbox", choices=["auto", "container", "process"], default="auto")
    parser.add_argument("--samples", type=Path, default=_SAMPLES, help="the folder of sample functions")
    chosen = parser.parse_args(arguments)
    console = Console(highlight=False)
    try:
        settings, base = load_settings(chosen.samples / "lambda-freezer.toml")
        settings = settings.with_values({"emulator": {"port": _port(settings), "sandbox": chosen.sandbox}})
        with console.status("starting the emulator and a database server"):
            emulator = Emulator(settings, base=base)
            emulator.__enter__()
        with _closing(emulator):
            _tell(console, emulator)
            _farewell(console, emulator)
    except EmulatorError as error:
        screen.print_error(console, error)
        return 2
    except KeyboardInterrupt:
        console.print(Text("stopped; nothing is left running", "dim"))
        return 130
    return 0


@contextmanager
def _closing(emulator: Emulator) -> Iterator[None]:
    try:
        yield
    finally:
        emulator.__exit__(None, None, None)


def _tell(console: Console, emulator: Emulator) -> None:
    console.print(Text.assemble(("lambda-freezer ", "bold"), (emulator.endpoint_url, "bold cyan")))
    console.print(screen.status_lines(asdict(emulator.status())))
    story = _Story(console, emulator)
    orders = emulator.function("connect_once")

    with story.step(
        "A cold start opens a connection", "The function connects outside its handler, once per environment."
    ):
        first = orders.invoke({})
        story.served(first)

    with story.step(
        "The environment is frozen, the connection is not",
        "No process of it runs. The server knows nothing of that: its session sleeps, and keeps its slot.",
    ):
        frozen = next(e for e in orders.environments() if e.id == first.environment_id)
        used = _cpu_time_of_all(frozen.sandbox.pid)
        time.sleep(_BRIEF)
        story.tell(
            "environment ",
            (frozen.id[:8], "bold"),
            " is ",
            screen.state_text(frozen.state),
            f"; in the last {_BRIEF} s it used "
            f"{(_cpu_time_of_all(frozen.sandbox.pid) - used) / 1e6:.1f} ms of CPU time",
        )

    with story.step("The next event thaws it", "Whatever was declared outside the handler is still there."):
        second = orders.invoke({})
        story.served(second)
        same = second.payload["connection_id"] == first.payload["connection_id"]
        story.tell("the same connection as before" if same else "another connection: the first one was lost")

    with story.step(
        "Two at once",
        "An environment serves one event at a time, so two at once are two environments, and two connections.",
    ):
        for result in orders.invoke_parallel([{"seconds": 0.3}, {"seconds": 0.3}]):
            story.served(result)

    with story.step(
        "The bug that fills the server",
        "Another function connects in every invocation and never closes. Four calls, one environment:",
    ):
        for _ in range(4):
            story.served(emulator.invoke("connect_per_invocation", {}))

    with story.step("Recycled", "Lambda ends environments without a word: no signal, no handler, no close()."):
        recycled = [*orders.recycle().recycled, *emulator.recycle("connect_per_invocation").recycled]
        story.tell(f"{len(recycled)} environments are gone, and the server has not heard of it")
    if zombies := [session for session in emulator.connections() if session.zombie]:
        story.tell(
            f"{len(zombies)} zombies hold their slots until the server gives them up, the first in ",
            (in_words(min(zombie.drops_in or 0.0 for zombie in zombies)), "bold"),
            "; every cold start until then adds to them",
        )


def _cpu_time_of_all(pid: int) -> int:
    """Nanoseconds that a process and all its descendants have run."""
    return sum(cpu_time(process) for process in [pid, *descendants(pid)])


def _farewell(console: Console, emulator: Emulator) -> None:
    url = emulator.endpoint_url
    console.print()
    console.print(Rule(Text("Go on yourself", "bold"), align="left", style="dim"))
    stays = sys.stdin.isatty() and sys.stdout.isatty()
    program = _program()
    if not stays:
        _code(console, f"{program} up --config sample_functions/lambda-freezer.toml")
    _code(console, f"curl -d '{{}}' {url}/2015-03-31/functions/connect_once/invocations")
    _code(console, f"aws lambda invoke --endpoint-url {url} --function-name connect_once /dev/stdout")
    _code(console, f"{program} connections --endpoint {url}")
    if stays:
        console.print()
        console.input(Text("   the emulator runs at that address until you press Enter ", "dim"))


def _program() -> str:
    """The command as it can be typed here."""
    if shutil.which("lambda-freezer") is not None:
        return "lambda-freezer"
    path = Path(sys.executable).with_name("lambda-freezer")
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _code(console: Console, line: str) -> None:
    # Never wrapped: it is there to be copied.
    console.print(Text(f"   {line}", "cyan"), soft_wrap=True)


def _port(settings: Settings) -> int:
    """The usual port if nobody has it, else any."""
    import socket

    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((settings.emulator.host, settings.emulator.port))
        except OSError:
            return 0
    return settings.emulator.port


if __name__ == "__main__":
    raise SystemExit(main())
