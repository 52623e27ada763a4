"""Every lesson is told for real: it shows what it says, fits on its screens, and its page says the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from emulator import Emulator
from emulator.lessons.blocks import Ask, Block, Check, Code, Reveal, Say, Screen, Step, segments
from emulator.lessons.catalogue import LESSONS
from emulator.lessons.keys import NEXT
from emulator.lessons.lesson import Lesson
from emulator.lessons.page import Recorder, differences, file_name, index
from emulator.lessons.pictures import source_of
from emulator.lessons.telling import tell
from emulator.lessons.terminal import Terminal
from tests.needs import need_database

PAGES = Path(__file__).parent.parent.parent / "docs" / "lessons"


class Stages:
    """Emulators, one for all lessons that can share it."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._emulators: dict[str, Emulator] = {}

    def emulator(self, lesson: Lesson) -> Emulator:
        if lesson.path not in self._emulators:
            settings = {**lesson.settings, "emulator": {"sandbox": "process", "port": 0, "seed": 1}}
            self._emulators[lesson.path] = self._stack.enter_context(Emulator(settings))
        return self._emulators[lesson.path]


@pytest.fixture(scope="module")
def stages() -> Iterator[Stages]:
    """Lessons leave nothing behind, so they can follow each other."""
    need_database()
    with ExitStack() as stack:
        yield Stages(stack)


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)
def test_lesson(lesson: Lesson, stages: Stages) -> None:
    """Its claims hold, it proves at least one, and all that is said of it elsewhere is what it says now."""
    recorder, emulator = Recorder(), stages.emulator(lesson)
    assert tell(lesson, emulator, recorder)
    assert emulator.connections() == ()
    assert sum(isinstance(block, Check) for block in recorder.blocks) >= 1
    assert _typed_in(recorder.blocks) == []
    _check_screens(lesson, recorder.blocks)
    written = (PAGES / file_name(lesson)).read_text(encoding="utf-8")
    assert differences(lesson, recorder.blocks, written) == [], "./dev lessons writes the pages anew"


def test_index() -> None:
    """The list of the pages is the one of the lessons, and no page is left over."""
    assert (PAGES / "README.md").read_text(encoding="utf-8") == index(), "./dev lessons writes the pages anew"
    assert {path.name for path in PAGES.iterdir()} == {"README.md", *map(file_name, LESSONS)}


def _typed_in(blocks: list[Block]) -> list[str]:
    """Texts with a figure that is neither measured nor given."""
    texts = []
    for block in blocks:
        match block:
            case Say(text) | Step(text) | Check(text) | Reveal(text=text) | Screen(title=text):
                texts.append(text)
    return [
        text
        for text in texts
        if any(
            character.isdigit()
            for segment in segments(text)
            if not (segment.measured or segment.given)
            for character in segment.text
        )
    ]


class _Patient:
    """A reader who goes on, and counts how often that was wanted."""

    pressed = 0

    def forget(self) -> None:
        """He presses nothing before he is asked to."""

    def read(self) -> str:
        self.pressed += 1
        return NEXT


def _check_screens(lesson: Lesson, blocks: list[Block]) -> None:
    """At 80 times 24 each idea has one screen, and code is not wrapped."""
    reader = _Patient()
    console = Console(width=80, height=24, file=StringIO(), force_terminal=True)
    terminal = Terminal(console, lesson, "http://127.0.0.1:65535", keys=reader)
    assert all(terminal.show(block) for block in blocks)
    ideas = sum(isinstance(block, Screen) for block in blocks) - 1 + sum(isinstance(block, Ask) for block in blocks)
    assert reader.pressed == ideas, "a screen was too small for its idea"
    for block in blocks:
        if isinstance(block, Code):
            assert [line for line in source_of(block) if len(line) > 72] == [], block.path
