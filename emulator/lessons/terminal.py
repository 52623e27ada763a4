"""A lesson in a terminal: one idea a screen and one key at a time, or from top to bottom where there are no keys."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field

from rich.console import Console, RenderableType
from rich.live import Live as Redrawn
from rich.padding import Padding
from rich.rule import Rule
from rich.text import Text

from emulator.errors import EmulatorError
from emulator.lessons.blocks import (
    Ask,
    Block,
    Check,
    Part,
    Picture,
    Reveal,
    Screen,
    Step,
    letter,
    plain,
)
from emulator.lessons.keys import BACK, NEXT, QUIT, Keys
from emulator.lessons.lesson import Lesson
from emulator.lessons.pictures import CONTENT_WIDTH, drawn

__all__ = ["Terminal"]

_MARGIN = 3
_FOOTER = 2  # lines at the bottom that are not for the content
_A_SECOND = 8  # times that a live picture is drawn
_GOES_ON = "space goes on  ·  ← back  ·  q ends"
_BLANK = Text(" ")
_LINES = Step | Check  # stand below each other without a gap


@dataclass(slots=True)
class _Page:
    """What is on one screen."""

    part: Part
    title: str
    blocks: list[Block] = field(default_factory=list)
    drawn: list[RenderableType] = field(default_factory=list)
    height: int = 0


class Terminal:
    """Shows one lesson. See :class:`emulator.lessons.telling.Shower`.

    Arguments:
        lesson: which one.
        url: of the emulator, where others can watch it.
        keys: waited for between two screens; without them nothing waits.
        questions: whether the reader is asked to guess; needs keys.
    """

    def __init__(
        self, console: Console, lesson: Lesson, url: str, *, keys: Keys | None = None, questions: bool = True
    ) -> None:
        self._console = console
        self._lesson, self._url = lesson, url
        self._keys = keys
        self._questions = questions and keys is not None
        self._pages: list[_Page] = []
        self._redrawn: Redrawn | None = None
        self._asked: Ask | None = None
        self._guess = ""
        self._fresh = False  # a guess was just made: the next screen needs no other key
        self.proved: list[Check] = []
        """Every claim that the lesson has proved so far."""

    def show(self, block: Block) -> bool:
        match block:
            case Screen():
                return self._turn(block)
            case Ask():
                return self._ask(block)
            case Reveal():
                self._reveal(block)
            case Check():
                self.proved.append(block)
        return self._put(block, drawn(block))

    def begin_live(self, picture: Callable[[], Picture]) -> None:
        if not self._console.is_terminal:
            return
        last: list[RenderableType] = [Text("…", "dim")]

        def look() -> RenderableType:
            with contextlib.suppress(EmulatorError):  # it cannot be asked now: the picture before will do
                last[0] = self._indented(drawn(picture()))
            return last[0]

        self._redrawn = Redrawn(
            console=self._console, get_renderable=look, refresh_per_second=_A_SECOND, transient=True
        )
        self._redrawn.start(refresh=True)

    def end_live(self) -> None:
        if self._redrawn is not None:
            redrawn, self._redrawn = self._redrawn, None
            redrawn.stop()

    def finish(self, prompt: str) -> bool:
        """Wait at the end of the lesson; ``False`` when the reader has had enough."""
        return self._wait(prompt) != QUIT

    # -- pages -------------------------------------------------------------------------------------------

    def _turn(self, screen: Screen) -> bool:
        if self._pages and not self._fresh and self._wait(_GOES_ON) == QUIT:
            return False
        self._fresh = False
        self._pages.append(_Page(screen.part, screen.title))
        self._draw(self._pages[-1])
        return True

    def _put(self, block: Block, picture: RenderableType) -> bool:
        page = self._pages[-1]
        gap = bool(page.blocks) and not (isinstance(block, _LINES) and isinstance(page.blocks[-1], _LINES))
        height = self._height_of(picture) + gap
        if self._keys is not None and page.blocks and page.height + height > self._console.height - _FOOTER:
            if not self._turn(Screen(page.part, page.title)):
                return False
            page, gap = self._pages[-1], False
            height = self._height_of(picture)
        page.blocks.append(block)
        page.height += height
        for line in ([_BLANK] if gap else []) + [picture]:
            page.drawn.append(line)
            self._print(line)
        return True

    def _draw(self, page: _Page) -> None:
        heading = self._heading(page)
        if self._keys is None:
            self._console.print()
            title = Text(f"{page.part} · {plain(page.title)}", "bold")
            self._console.print(Rule(title, align="left", style="dim"), width=self._width)
            if len(self._pages) == 1:
                self._print(Text(f"lesson {self._lesson.number}  {self._url}", "dim"))
            self._console.print()
        else:
            self._console.clear()
            for line in heading:
                self._print(line)
            self._footer("…")
        page.height = sum(self._height_of(line) for line in heading)
        for line in page.drawn:
            self._print(line)

    def _heading(self, page: _Page) -> list[RenderableType]:
        name = f"lesson {self._lesson.number} · {self._lesson.name}"
        first = Text.assemble(
            (name, "bold"), " " * max(2, CONTENT_WIDTH - len(name) - len(self._url)), (self._url, "dim")
        )
        parts = Text("  ").join(Text(part, "reverse" if part is page.part else "dim") for part in Part)
        return [first, parts, _BLANK, drawn(Screen(page.part, page.title)), _BLANK]

    def _wait(self, prompt: str) -> str:
        """Until the reader goes on; on the way back and forth through what has been."""
        if self._keys is None:
            return NEXT
        shown = last = len(self._pages) - 1
        self._keys.forget()
        self._footer(prompt)
        while True:
            pressed = self._keys.read()
            if pressed == QUIT or (pressed != BACK and shown == last):
                return pressed
            shown = max(0, shown - 1) if pressed == BACK else shown + 1
            self._draw(self._pages[shown])
            self._footer(prompt)

    # -- guesses -----------------------------------------------------------------------------------------

    def _ask(self, question: Ask) -> bool:
        self._asked, self._guess = None, ""
        if not self._questions:
            return True
        if not self._turn(Screen(self._pages[-1].part, "What do you think?")) or not self._put(
            question, drawn(question)
        ):
            return False
        letters = [letter(number) for number in range(len(question.choices))]
        pressed = self._wait(f"your guess: {', '.join(letters[:-1])} or {letters[-1]}  ·  space without one")
        self._asked, self._guess = question, pressed if pressed in letters else ""
        self._fresh = True
        return pressed != QUIT

    def _reveal(self, answer: Reveal) -> None:
        if self._asked is None:
            return
        right = letter(answer.choice)
        choice = self._asked.choices[answer.choice]
        if self._guess == right:
            verdict = Text(f"✓ you guessed {right}: {choice}", "bold green")
        elif self._guess:
            verdict = Text(f"✗ you guessed {self._guess}; it is {right}: {choice}", "bold yellow")
        else:
            verdict = Text(f"it is {right}: {choice}", "bold")
        self._put(answer, verdict)
        self._asked = None

    # -- printing ----------------------------------------------------------------------------------------

    def _indented(self, picture: RenderableType) -> RenderableType:
        return Padding(picture, (0, 0, 0, _MARGIN), expand=False)

    def _print(self, picture: RenderableType) -> None:
        self._console.print(self._indented(picture), width=self._width)

    @property
    def _width(self) -> int:
        return min(self._console.width, _MARGIN + CONTENT_WIDTH)

    def _height_of(self, picture: RenderableType) -> int:
        options = self._console.options.update(width=self._width - _MARGIN)
        return len(self._console.render_lines(picture, options))

    def _footer(self, text: str) -> None:
        """At the bottom of the screen; the cursor stays where it is."""
        dim, normal = ("", "") if self._console.no_color else ("\x1b[2m", "\x1b[0m")
        line = " " * _MARGIN + text.rjust(CONTENT_WIDTH)
        self._console.file.write(f"\x1b7\x1b[{self._console.height};1H\x1b[2K{dim}{line}{normal}\x1b8")
        self._console.file.flush()
