"""All lessons, and how to find one."""

from __future__ import annotations

from emulator.errors import LessonError
from emulator.lessons import (
    lesson_01_counter,
    lesson_02_tmp,
    lesson_03_background,
    lesson_04_never_closed,
    lesson_05_open_once,
    lesson_06_check_before_use,
    lesson_07_zombies,
    lesson_08_max_connections,
    lesson_09_pool_size,
    lesson_10_pool_reaper,
    lesson_11_locks_of_the_dead,
    lesson_12_session_state,
    lesson_13_sigterm,
    lesson_14_reserved_concurrency,
    lesson_15_failed_init,
    lesson_16_behind_nat,
)
from emulator.lessons.blocks import plain
from emulator.lessons.lesson import Lesson

__all__ = ["LESSONS", "find_lessons"]

LESSONS: tuple[Lesson, ...] = (
    lesson_01_counter.LESSON,
    lesson_02_tmp.LESSON,
    lesson_03_background.LESSON,
    lesson_04_never_closed.LESSON,
    lesson_05_open_once.LESSON,
    lesson_06_check_before_use.LESSON,
    lesson_07_zombies.LESSON,
    lesson_08_max_connections.LESSON,
    lesson_09_pool_size.LESSON,
    lesson_10_pool_reaper.LESSON,
    lesson_11_locks_of_the_dead.LESSON,
    lesson_12_session_state.LESSON,
    lesson_13_sigterm.LESSON,
    lesson_14_reserved_concurrency.LESSON,
    lesson_15_failed_init.LESSON,
    lesson_16_behind_nat.LESSON,
)
"""In their order."""


def find_lessons(wanted: str) -> tuple[Lesson, ...]:
    """The lesson of a name, the unmistakable beginning of one, or a number; ``all`` for all of them.

    Raises:
        LessonError: there is none; the cure lists them.
    """
    word = wanted.strip().lower().replace("_", "-")
    if word == "all":
        return LESSONS
    if word.isdecimal():
        found = [lesson for lesson in LESSONS if lesson.number == int(word)]
    else:
        found = [lesson for lesson in LESSONS if lesson.name == word]
        found = found or [lesson for lesson in LESSONS if word and lesson.name.startswith(word)]
    if len(found) == 1:
        return tuple(found)
    listed = "\n".join(f"{lesson.number:>4}  {lesson.name:<22}{plain(lesson.title)}" for lesson in LESSONS)
    many = f"{wanted!r} could be {' or '.join(lesson.name for lesson in found)}" if found else ""
    raise LessonError(many or f"there is no lesson {wanted!r}", cure=f"These are there, and all:\n{listed}")
