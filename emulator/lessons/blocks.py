"""What a lesson is told in: blocks of text, code, pictures and questions. Pure data.

No number is typed into a text. It was measured in this run, or it was given: by a setting, by the database or by what
is known of AWS. Both are marked where they stand in a text, so that a page can be compared without its figures, and a
test can look for figures that came from nowhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from emulator.errors import LessonError
from emulator.model import Session
from emulator.spans import in_words

__all__ = [
    "Ask",
    "Bar",
    "Bars",
    "Block",
    "Check",
    "Code",
    "Live",
    "Part",
    "Picture",
    "Reveal",
    "Say",
    "Screen",
    "Segment",
    "Sessions",
    "Step",
    "Story",
    "Table",
    "brief",
    "expect",
    "given",
    "letter",
    "measured",
    "ms",
    "plain",
    "proven",
    "segments",
    "short",
    "span",
]

# Signs for private use: they mark figures inside of ordinary strings.
_MEASURED, _GIVEN, _END = "\ue000", "\ue001", "\ue002"
_MARKED = re.compile(f"([{_MEASURED}{_GIVEN}])([^{_END}]*){_END}")


class Part(StrEnum):
    """Where in its course a lesson is."""

    QUESTION = "question"
    CODE = "code"
    RUN = "run"
    WHY = "why"
    CURE = "cure"
    PROOF = "proof"
    REMEMBER = "remember"


@dataclass(frozen=True, slots=True)
class Screen:
    """One idea. It begins a screen of its own, and waits for a key before it does."""

    part: Part
    title: str


@dataclass(frozen=True, slots=True)
class Say:
    """A paragraph."""

    text: str


@dataclass(frozen=True, slots=True)
class Step:
    """One line of what just happened."""

    text: str


@dataclass(frozen=True, slots=True)
class Code:
    """A file of the function.

    Attributes:
        path: below ``code/``.
        mark: pieces of the lines to look at.
        since: a piece of the first line to show; the imports before it are left out.
        until: a piece of the first line that is not shown any more; nothing for the end.
    """

    path: str
    mark: tuple[str, ...] = ()
    since: str = ""
    until: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows below headings. ``numbers`` are the columns that are written to the right."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Sessions:
    """The server's own list of sessions.

    Attributes:
        limit: how many functions can hold at once; nothing where that is not the subject.
    """

    sessions: tuple[Session, ...]
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Bar:
    """One moment of a plot, or one thing that is compared.

    Attributes:
        living: what environments hold that are there; or a length, where nothing is counted.
        zombies: what those hold that are gone.
        missing: what was asked for and not given.
        figure: what stands at the end of the bar; the sum where it is empty.
    """

    label: str
    living: float
    zombies: int = 0
    missing: int = 0
    figure: str = ""


@dataclass(frozen=True, slots=True)
class Bars:
    """Bars below each other; time goes down.

    Attributes:
        limit: drawn as a line through all of them.
        counts: what ``living`` stands for in the legend; nothing for lengths, which need no legend.
    """

    bars: tuple[Bar, ...]
    limit: int | None = None
    counts: str = "held by an environment"


@dataclass(frozen=True, slots=True)
class Live:
    """A picture that is drawn again and again until the next block comes.

    Attributes:
        stays: it stands there afterwards, as it was in the end; else the next blocks take its place.
    """

    picture: Callable[[], Picture]
    stays: bool = False


@dataclass(frozen=True, slots=True)
class Ask:
    """A guess, before the run that answers it."""

    text: str
    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reveal:
    """Which choice it was; the text can be read without the question, too."""

    choice: int
    text: str


@dataclass(frozen=True, slots=True)
class Check:
    """A claim that this run has proved."""

    claim: str


Picture: TypeAlias = Sessions | Bars | Table
Block: TypeAlias = Screen | Say | Step | Code | Table | Sessions | Bars | Live | Ask | Reveal | Check
Story: TypeAlias = Iterator[Block]


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a text: words, or a figure and where it comes from."""

    text: str
    measured: bool = False
    given: bool = False


def measured(value: object) -> str:
    """A figure of this run, for a text."""
    return f"{_MEASURED}{value}{_END}"


def given(value: object) -> str:
    """A figure that this run was given: a setting, a limit of AWS, a number of an error."""
    return f"{_GIVEN}{value}{_END}"


def ms(milliseconds: float) -> str:
    """A measured length, short ones with a digit behind the point."""
    return measured(f"{milliseconds:.1f} ms" if milliseconds < 100 else f"{milliseconds:.0f} ms")


def span(seconds: float) -> str:
    """A measured span of time in words: ``2 h 11 min``."""
    return measured(in_words(seconds))


def short(identity: str) -> str:
    """The beginning of an environment's or a request's id, as tables show it."""
    return measured(identity[:8])


def brief(text: str, length: int = 60) -> str:
    """The beginning of what a program said, for a line of its own."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def letter(choice: int) -> str:
    """What a choice is called: a, b, c."""
    return "abcdefgh"[choice]


def segments(text: str) -> Sequence[Segment]:
    """A text in pieces, in order."""
    found: list[Segment] = []
    place = 0
    for match in _MARKED.finditer(text):
        if match.start() > place:
            found.append(Segment(text[place : match.start()]))
        found.append(Segment(match[2], measured=match[1] == _MEASURED, given=match[1] == _GIVEN))
        place = match.end()
    if place < len(text):
        found.append(Segment(text[place:]))
    return found


def plain(text: str) -> str:
    """A text without its marks."""
    return "".join(segment.text for segment in segments(text))


def expect(condition: object, claim: str) -> None:
    """Stop a lesson that does not show what it says.

    Raises:
        LessonError: the condition does not hold.
    """
    if not condition:
        raise LessonError(
            f"the lesson did not show that {plain(claim)}",
            cure="On a machine under heavy load, try again; else it is a fault of the lesson, please report it.",
        )


def proven(claim: str, condition: object) -> Check:
    """A claim to show, if this run proves it.

    Raises:
        LessonError: it does not.
    """
    expect(condition, claim)
    return Check(claim)
