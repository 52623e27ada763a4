"""Who shows a lesson gets its blocks in order, and what is drawn live begins and ends in time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest

from emulator.embedded import Emulator
from emulator.lessons import telling
from emulator.lessons.blocks import Bars, Block, Live, Picture, Say
from emulator.lessons.lesson import Lesson
from emulator.lessons.telling import tell

STAYS, GOES = Bars((), limit=1), Bars((), limit=2)


class Noted:
    """Writes down what it is asked for."""

    def __init__(self, enough: Block | None = None) -> None:
        self.notes: list[Any] = []
        self._enough = enough

    def show(self, block: Block) -> bool:
        self.notes.append(block)
        return block is not self._enough

    def begin_live(self, picture: Callable[[], Picture]) -> None:
        self.notes.append(("begin", picture()))

    def end_live(self) -> None:
        self.notes.append("end")


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A stage without an emulator: only its beginning and its end."""
    moments: list[str] = []

    @contextmanager
    def open_stage(_emulator: Emulator) -> Iterator[Any]:
        moments.append("open")
        try:
            yield type("Stage", (), {"prepare": lambda _self, _server: moments.append("prepared")})()
        finally:
            moments.append("closed")

    monkeypatch.setattr(telling, "open_stage", open_stage)
    return moments


def lesson(*blocks: Block) -> Lesson:
    return Lesson(number=1, name="n", title="t", question="q", tell=lambda _stage: iter(blocks), remember=("r",))


def run(one: Lesson, shower: Noted) -> bool:
    return tell(one, cast(Emulator, None), shower)


@pytest.mark.usefixtures("stages")
def test_a_live_picture_ends_with_the_next_block() -> None:
    """One that stays is shown once more as it is then; the other makes room."""
    shower = Noted()
    assert run(lesson(Live(lambda: STAYS, stays=True), Say("a"), Live(lambda: GOES), Say("b")), shower)
    begin = shower.notes.index(("begin", STAYS))
    assert shower.notes[begin : begin + 7] == [
        ("begin", STAYS),
        "end",
        STAYS,
        Say("a"),
        ("begin", GOES),
        "end",
        Say("b"),
    ]


def test_a_reader_who_has_enough_ends_the_lesson(stages: list[str]) -> None:
    """No other block is asked for, and the stage is cleared."""
    enough = Say("enough")
    shower = Noted(enough)
    assert not run(lesson(enough, Say("more")), shower)
    assert shower.notes[-1] is enough
    assert stages == ["open", "prepared", "closed"]


def test_what_fails_while_something_is_drawn_live_ends_the_drawing(stages: list[str]) -> None:
    """And the stage is cleared."""

    def fails(_stage: Any) -> Iterator[Block]:
        yield Live(lambda: STAYS)
        raise RuntimeError("no")

    shower = Noted()
    with pytest.raises(RuntimeError, match="no"):
        run(Lesson(number=1, name="n", title="t", question="q", tell=fails, remember=()), shower)
    assert shower.notes[-1] == "end"
    assert stages[-1] == "closed"
