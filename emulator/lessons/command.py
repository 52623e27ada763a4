"""What ``lambda-freezer lesson`` does."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from rich.console import Console
from rich.text import Text

from emulator import screen
from emulator.embedded import Emulator
from emulator.lessons.catalogue import LESSONS
from emulator.lessons.keys import Keyboard
from emulator.lessons.lesson import Lesson
from emulator.lessons.pictures import drawn, styled
from emulator.lessons.telling import tell
from emulator.lessons.terminal import Terminal

__all__ = ["list_lessons", "run_lessons"]


def list_lessons(console: Console) -> None:
    """One line a lesson, and how to begin."""
    table = screen.plain_table("", "NAME", "")
    table.columns[0].justify = "right"
    for lesson in LESSONS:
        table.add_row(str(lesson.number), Text(lesson.name, "bold"), styled(lesson.title))
    console.print(table)
    console.print()
    console.print(Text(f"lambda-freezer lesson {LESSONS[0].name}  ·  lesson {LESSONS[0].number}  ·  lesson all", "dim"))


def run_lessons(
    lessons: Sequence[Lesson],
    console: Console,
    *,
    questions: bool = True,
    keys: bool | None = None,
    sandbox: str = "process",
    port: int = 0,
) -> None:
    """Tell lessons in this terminal, one after another.

    Arguments:
        questions: whether the reader is asked to guess; without keys nobody is.
        keys: one idea a screen, with a key between two; by default where there is a terminal.
        sandbox: ``process``, which is faster, or ``container``.
        port: of the emulator; 0 for any.

    Raises:
        LessonError: one did not show what it says.
    """
    terminal = console.is_terminal and sys.stdin.isatty()
    told: list[tuple[Lesson, Terminal]] = []
    try:
        for settings, group in itertools.groupby(lessons, key=lambda lesson: lesson.settings):
            emulator = _emulator({**settings, "emulator": {"sandbox": sandbox, "port": port}}, console)
            with emulator as running, _screens(console, terminal if keys is None else keys) as keyboard:
                for lesson in group:
                    shower = Terminal(console, lesson, running.endpoint_url, keys=keyboard, questions=questions)
                    told.append((lesson, shower))
                    if not tell(lesson, running, shower) or not shower.finish(_prompt(lesson, lessons)):
                        return
    finally:
        if terminal:
            _tell_what_was_proved(console, told)


def _prompt(lesson: Lesson, lessons: Sequence[Lesson]) -> str:
    after = lessons[lessons.index(lesson) + 1 :]
    return f"space goes on to lesson {after[0].number}  ·  ← back  ·  q ends" if after else "any key ends  ·  ← back"


@contextmanager
def _emulator(settings: dict[str, dict[str, Any]], console: Console) -> Iterator[Emulator]:
    with ExitStack() as stack:
        emulator = Emulator(settings)
        with console.status("starting the emulator and a database server"):
            stack.enter_context(emulator)
        yield emulator


@contextmanager
def _screens(console: Console, keys: bool) -> Iterator[Keyboard | None]:
    """A screen of its own and a keyboard; what the terminal had before comes back afterwards, whatever happens."""
    if not keys:
        yield None
        return
    with Keyboard() as keyboard:
        console.set_alt_screen(True)
        console.show_cursor(False)
        try:
            yield keyboard
        finally:
            console.show_cursor(True)
            console.set_alt_screen(False)


def _tell_what_was_proved(console: Console, told: Sequence[tuple[Lesson, Terminal]]) -> None:
    """What stays in the terminal when the screens are gone."""
    for lesson, shower in told:
        if shower.proved:
            console.print(styled(f"lesson {lesson.number} · {lesson.title}", "bold"))
            for claim in shower.proved:
                console.print(drawn(claim))
