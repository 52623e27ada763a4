"""What every lesson has: a number, a title, a question, a story, and what to take home."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from emulator.lessons.blocks import Part, Say, Screen, Step, Story
from emulator.lessons.stage import Stage

__all__ = ["Lesson"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """One lesson.

    Arguments:
        number: from 1.
        name: what it is called on the command line.
        title: a few words.
        question: what a reader should ask himself, in one or two sentences.
        tell: runs it on a stage, block by block.
        remember: what to take home, a sentence each.
        server: variables of the database server for this lesson, set for all (``SET GLOBAL``).
        path: what lies between the functions and the server, as in ``[database]``.
    """

    number: int
    name: str
    title: str
    question: str
    tell: Callable[[Stage], Story]
    remember: tuple[str, ...]
    server: Mapping[str, int] = field(default_factory=dict)
    path: str = "direct"

    @property
    def settings(self) -> dict[str, dict[str, Any]]:
        """What its emulator has to be started with; lessons with the same can share one."""
        return {"database": {"path": self.path}}

    def story(self, stage: Stage) -> Story:
        """The whole of it, from the question to what to take home.

        Raises:
            LessonError: it does not show what it says.
        """
        yield Screen(Part.QUESTION, self.title)
        yield Say(self.question)
        stage.prepare(self.server)
        yield from self.tell(stage)
        yield Screen(Part.REMEMBER, "To take home")
        for sentence in self.remember:
            yield Step(sentence)
