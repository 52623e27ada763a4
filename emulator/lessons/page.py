"""Lessons as pages of the docs, written from a run; and whether a page still says what its lesson says.

``python -m emulator.lessons.page docs/lessons`` writes all of them.
"""

from __future__ import annotations

import argparse
import itertools
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from io import StringIO
from pathlib import Path

from rich.console import Console

from emulator.embedded import Emulator
from emulator.lessons.blocks import Ask, Block, Check, Code, Picture, Reveal, Say, Screen, Step, letter, plain, segments
from emulator.lessons.catalogue import LESSONS
from emulator.lessons.lesson import Lesson
from emulator.lessons.pictures import CONTENT_WIDTH, drawn, source_of
from emulator.lessons.telling import tell

__all__ = ["Recorder", "differences", "file_name", "index", "main", "page"]

_WIDTH = 120
_SOURCES = "../../emulator/lessons/code"
_SEED = 1  # so that a page written anew differs in its times only
_FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
_IDENTITY = re.compile(r"\b[0-9a-f]{8}\b")
_WORD = re.compile(r"[^\W\d_]{4,}")


class Recorder:
    """Shows nothing and keeps every block. See :class:`emulator.lessons.telling.Shower`."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []

    def show(self, block: Block) -> bool:
        self.blocks.append(block)
        return True

    def begin_live(self, picture: Callable[[], Picture]) -> None:
        """Nobody looks."""

    def end_live(self) -> None:
        """Nobody looked."""


def file_name(lesson: Lesson) -> str:
    """Of its page."""
    return f"{lesson.number:02}-{lesson.name}.md"


def page(lesson: Lesson, blocks: Sequence[Block]) -> str:
    """A lesson that was told, in Markdown."""
    return _joined(_with_figures(part) for part in _parts(lesson, blocks))


def index() -> str:
    """The list of all pages."""
    rows = "\n".join(
        f"| {lesson.number} | [{plain(lesson.title)}]({file_name(lesson)}) | {lesson.question} |" for lesson in LESSONS
    )
    return _joined(
        [
            "# Lessons",
            _filled(
                "What freezing does to database connections, in short lessons. Each runs real code on a real server, "
                "asks for a guess, names the cure and shows it working:"
            ),
            "```sh\nlambda-freezer lesson --list\nlambda-freezer lesson zombies   # or its number, or all\n```",
            _filled(
                "In a terminal it shows one idea a screen and waits for a key, so that it can be told from a "
                "projector; `--no-questions` leaves the guesses out, `--no-keys` prints it from top to bottom, "
                "`--sandbox container` runs the functions in containers, and `--port` fixes the address of "
                "the lesson's emulator."
            ),
            f"| | lesson | question |\n|---|---|---|\n{rows}",
            _filled(
                "The pages are written by `./dev lessons` from the lessons themselves; bold figures are of that run."
            ),
        ]
    )


def differences(lesson: Lesson, blocks: Sequence[Block], written: str) -> list[str]:
    """What a page that was written before says otherwise than the lesson does now, but for measured figures."""
    now, before = list(_parts(lesson, blocks)), _split(written)
    found = []
    for new, old in itertools.zip_longest(now, before, fillvalue=""):
        if not _says_the_same(new, old):
            found.append(f"now:  {plain(new)}\npage: {old}")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run every lesson and write its page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args(arguments).folder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "README.md").write_text(index(), encoding="utf-8")
    for lesson in LESSONS:
        with Emulator({**lesson.settings, "emulator": {"sandbox": "process", "port": 0, "seed": _SEED}}) as emulator:
            recorder = Recorder()
            tell(lesson, emulator, recorder)
        (folder / file_name(lesson)).write_text(page(lesson, recorder.blocks), encoding="utf-8")
        sys.stdout.write(f"{folder / file_name(lesson)}\n")
    return 0


# -- Markdown ------------------------------------------------------------------------------------------------


def _parts(lesson: Lesson, blocks: Sequence[Block]) -> list[str]:
    """Paragraphs, with the marks of figures still in them."""
    parts = [
        f"# {lesson.number}. {lesson.title}",
        f"`lambda-freezer lesson {lesson.name}` shows this page in a terminal, from a run of its own.",
    ]
    choices: tuple[str, ...] = ()
    for block in blocks[1:]:  # the first is the title
        match block:
            case Screen():
                parts.append(f"## {block.title}")
            case Say():
                parts.append(block.text)
            case Step() | Check():
                line = f"- ✓ {block.claim}" if isinstance(block, Check) else f"- {block.text}"
                if parts[-1].startswith("- "):
                    parts[-1] += f"\n{line}"
                else:
                    parts.append(line)
            case Ask():
                choices = block.choices
                listed = "\n".join(f"- {letter(number)}) {choice}" for number, choice in enumerate(choices))
                parts += [f"*What do you think?* {block.text}", f"{listed}"]
            case Reveal():
                parts.append(f"**It is {letter(block.choice)}.** {block.text}")
            case Code():
                parts += [f"[`{block.path}`]({_SOURCES}/{block.path})", _code(block)]
            case _:
                parts.append(f"```text\n{_output(block)}\n```")
    return [*parts, _links(lesson)]


def _code(code: Code) -> str:
    lines = "\n".join(source_of(code))
    return f"```python\n{lines}\n```"


def _links(lesson: Lesson) -> str:
    place = LESSONS.index(lesson)
    links = ["[all lessons](README.md)"]
    if place > 0:
        links.insert(0, f"[← {plain(LESSONS[place - 1].title)}]({file_name(LESSONS[place - 1])})")
    if place + 1 < len(LESSONS):
        links.append(f"[{plain(LESSONS[place + 1].title)} →]({file_name(LESSONS[place + 1])})")
    return " · ".join(links)


def _output(block: Block) -> str:
    console = Console(width=CONTENT_WIDTH, file=StringIO(), color_system=None, highlight=False)
    with console.capture() as captured:
        console.print(drawn(block))
    return "\n".join(line.rstrip() for line in captured.get().rstrip().split("\n"))


def _with_figures(part: str) -> str:
    if part.startswith(("```", "#", "[")):
        return plain(part)
    lines = part.split("\n") if part.startswith("- ") else [part]
    return "\n".join(
        _filled("".join(f"**{piece.text}**" if piece.measured else piece.text for piece in segments(line)))
        for line in lines
    )


def _filled(text: str) -> str:
    indent = "  " if text.startswith("- ") else ""
    return textwrap.fill(text, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _joined(parts: Iterable[str]) -> str:
    return "\n\n".join(parts) + "\n"


# -- comparing -----------------------------------------------------------------------------------------------


def _split(written: str) -> list[str]:
    """A page in the paragraphs that it was made of."""
    found: list[str] = []
    for piece in _FENCE.split(written):
        found += [piece] if piece.startswith("```") else [one.strip("\n") for one in re.split(r"\n\n+", piece)]
    return [one for one in found if one]


def _says_the_same(new: str, old: str) -> bool:
    if new.startswith("```text"):
        return _words(new) == _words(old)
    pattern = "".join(".+?" if piece.measured else re.escape(piece.text) for piece in segments(_bare(new)))
    return re.fullmatch(pattern, _bare(old)) is not None


def _bare(text: str) -> str:
    """In one line, and with nothing in bold."""
    return " ".join(text.replace("**", "").split())


def _words(picture: str) -> set[str]:
    """What a picture says in words; how often, and with which figures, is another run's."""
    return set(_WORD.findall(_IDENTITY.sub("", picture)))


if __name__ == "__main__":
    raise SystemExit(main())
