"""Pages of lessons: written, and compared without their figures."""

from __future__ import annotations

import pytest

from emulator.lessons.blocks import (
    Ask,
    Bar,
    Bars,
    Block,
    Check,
    Code,
    Part,
    Reveal,
    Say,
    Screen,
    Step,
    measured,
)
from emulator.lessons.catalogue import LESSONS
from emulator.lessons.page import Recorder, differences, file_name, index, page

LESSON = LESSONS[0]


def told(count: int = 3, word: str = "sessions") -> list[Block]:
    return [
        Screen(Part.QUESTION, "Title"),
        Say(
            f"There are {measured(count)} {word}, and then some more words so that the paragraph has to be wrapped " * 2
        ),
        Screen(Part.CODE, "Code"),
        Code("counter/app.py", since="count = 0", until="def"),
        Ask("How many?", ("one", "two")),
        Reveal(1, "It was so."),
        Step(f"one {measured('(1040, *)')}"),
        Check("proved"),
        Bars((Bar("now", count), Bar("later", count + 2))),
    ]


def test_a_page_is_the_same_but_for_its_figures() -> None:
    """Other figures are no difference, another word is one, and so is a part that is missing."""
    written = page(LESSON, told(3))
    assert differences(LESSON, told(12345), written) == []
    (one,) = differences(LESSON, told(3, "zombies"), written)
    assert "3 zombies" in one
    assert differences(LESSON, told(3)[:-1], written)
    assert differences(LESSON, told(3), written.replace("count = 0", "count = 1"))
    assert differences(LESSON, told(3), written.replace("later", "sooner"))


def test_what_a_page_consists_of() -> None:
    """Figures stand out, questions have their choices, code its source, and pages lead to each other."""
    text = page(LESSON, told())
    assert text.startswith(f"# 1. {LESSON.title}\n")
    assert "There are **3** sessions" in text
    assert "- a) one\n- b) two" in text
    assert "**It is b.** It was so." in text
    assert "- one **(1040, *)**\n- ✓ proved\n" in text
    assert "[`counter/app.py`](../../emulator/lessons/code/counter/app.py)\n\n```python\ncount = 0" in text
    assert text.endswith(f"{file_name(LESSONS[1])})\n")
    assert all(len(line) <= 120 for line in text.splitlines() if not line.startswith("["))


def test_the_index_has_every_lesson() -> None:
    """With a link to its page."""
    assert [lesson.name for lesson in LESSONS if f"({file_name(lesson)})" not in index()] == []


def test_a_recorder_keeps_what_is_shown() -> None:
    """And draws nothing."""
    recorder = Recorder()
    recorder.begin_live(lambda: pytest.fail("nobody looks"))
    recorder.end_live()
    assert recorder.show(Say("words"))
    assert recorder.blocks == [Say("words")]


def test_no_figure_of_a_lesson_is_typed_in() -> None:
    """In questions and in what to take home there are none; in what is told, see the docs' own test."""
    assert [
        lesson.name for lesson in LESSONS if any(map(str.isdigit, lesson.question + "".join(lesson.remember)))
    ] == []
