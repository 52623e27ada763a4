"""Runs a lesson on a stage and has it shown, block by block."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from emulator.embedded import Emulator
from emulator.lessons.blocks import Block, Live, Picture
from emulator.lessons.lesson import Lesson
from emulator.lessons.stage import open_stage

__all__ = ["Shower", "tell"]


class Shower(Protocol):
    """Who shows blocks: a terminal, or who writes a page."""

    def show(self, block: Block) -> bool:
        """The next block; may wait for a reader. ``False`` when that one has had enough."""
        ...

    def begin_live(self, picture: Callable[[], Picture]) -> None:
        """Draw this again and again from now on."""
        ...

    def end_live(self) -> None:
        """No more; the picture as it is then comes as a block."""
        ...


def tell(lesson: Lesson, emulator: Emulator, shower: Shower) -> bool:
    """Run a lesson; ``False`` when the reader left before its end. Nothing of it is left on the emulator.

    Raises:
        LessonError: it did not show what it says.
    """
    with open_stage(emulator) as stage:
        live: Live | None = None
        try:
            for block in lesson.story(stage):
                goes_on = True
                if live is not None:
                    shower.end_live()
                    goes_on = not live.stays or shower.show(live.picture())
                    live = None
                if isinstance(block, Live):
                    live = block
                    shower.begin_live(block.picture)
                else:
                    goes_on = goes_on and shower.show(block)
                if not goes_on:
                    return False
        finally:
            if live is not None:
                shower.end_live()
    return True
