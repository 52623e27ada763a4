"""All lessons, and how one is found."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from emulator.errors import LessonError
from emulator.lessons import catalogue
from emulator.lessons.catalogue import LESSONS, find_lessons
from emulator.lessons.stage import CODE


def test_they_are_numbered_and_each_has_a_file() -> None:
    """From 1 without gaps; the file of a lesson is called after its number and its name."""
    assert [lesson.number for lesson in LESSONS] == list(range(1, 17))
    files = sorted(path.stem for path in Path(catalogue.__file__).parent.glob("lesson_*.py"))
    assert files == [f"lesson_{one.number:02}_{one.name.replace('-', '_')}" for one in LESSONS]


@pytest.mark.parametrize("wanted", ["zombies", "7", "07", " Zombies ", "zom"])
def test_one_is_found_by_its_name_and_by_its_number(wanted: str) -> None:
    """Also by the beginning of its name, where no other begins like that."""
    assert [lesson.name for lesson in find_lessons(wanted)] == ["zombies"]


def test_all_of_them() -> None:
    """In their order."""
    assert find_lessons("all") == LESSONS


@pytest.mark.parametrize(("wanted", "complaint"), [("nothing", "no lesson 'nothing'"), ("17", "'17'"), ("", "''")])
def test_a_wrong_name_is_answered_with_those_that_there_are(wanted: str, complaint: str) -> None:
    """Each of them, with its number."""
    with pytest.raises(LessonError, match=complaint) as raised:
        find_lessons(wanted)
    assert all(f"{lesson.number:>4}  {lesson.name}" in raised.value.cure for lesson in LESSONS)


def test_a_beginning_of_two_names_is_not_guessed() -> None:
    """Both are named."""
    with pytest.raises(LessonError, match="could be counter or check-before-use"):
        find_lessons("c")


def test_every_function_of_a_lesson_is_used_by_one() -> None:
    """No folder of code is left over."""
    told = "".join(path.read_text() for path in Path(catalogue.__file__).parent.glob("lesson_*.py"))
    folders = {path.name for path in CODE.iterdir() if path.name not in ("layers", "__pycache__")}
    assert {folder for folder in folders if json.dumps(folder) not in told and f'"{folder}/' not in told} == set()


@pytest.mark.parametrize("path", sorted(CODE.rglob("*.py")), ids=lambda path: str(path.relative_to(CODE)))
def test_code_of_a_lesson_fits_on_a_screen(path: Path) -> None:
    """Beside the sign of a marked line there are 72 columns; and it is Python."""
    source = path.read_text()
    ast.parse(source)
    shown = [line for line in source.splitlines() if '"""' not in line]
    assert [line for line in shown if len(line) > 72] == []
