"""A lesson in a terminal, with keys that a test presses."""

from __future__ import annotations

from collections.abc import Iterable
from io import StringIO

from rich.console import Console

from emulator.lessons.blocks import Ask, Block, Check, Part, Reveal, Say, Screen, Step
from emulator.lessons.catalogue import LESSONS
from emulator.lessons.keys import BACK, NEXT, QUIT
from emulator.lessons.terminal import Terminal

FIRST, SECOND = Screen(Part.QUESTION, "First"), Screen(Part.RUN, "Second")


class Pressed:
    """Keys in the order in which they are pressed; and how often somebody waited for one."""

    def __init__(self, *keys: str) -> None:
        self._keys = iter(keys)
        self.read_so_far = 0

    def forget(self) -> None:
        """Each of them comes when it is waited for."""

    def read(self) -> str:
        self.read_so_far += 1
        return next(self._keys)


def shown(blocks: Iterable[Block], keys: Pressed | None, *, questions: bool = True, height: int = 24) -> str:
    """What is on the terminal after the blocks, from its beginning."""
    console = Console(
        width=80, height=height, file=StringIO(), force_terminal=keys is not None, color_system=None, no_color=True
    )
    terminal = Terminal(console, LESSONS[0], "http://127.0.0.1:1", keys=keys, questions=questions)
    with console.capture() as captured:
        for block in blocks:
            if not terminal.show(block):
                break
    return captured.get()


def test_without_keys_everything_is_printed_and_nothing_asked() -> None:
    """From top to bottom; of a question only what was found out."""
    text = shown([FIRST, Say("words"), Ask("what?", ("this", "that")), SECOND, Reveal(0, "because")], None)
    assert "question · First" in text
    assert "http://127.0.0.1:1" in text
    assert text.index("words") < text.index("run · Second") < text.index("because")
    assert "what?" not in text
    assert "it is a" not in text
    assert "\x1b" not in text


def test_one_idea_a_screen_and_one_key_between_two() -> None:
    """The first screen comes without a key."""
    keys = Pressed(NEXT)
    text = shown([FIRST, Say("words"), SECOND, Step("done")], keys)
    assert keys.read_so_far == 1
    assert text.index("words") < text.index("Second") < text.index("→ done")
    assert "lesson 1 · counter" in text


def test_a_guess_is_judged_when_the_answer_is_known() -> None:
    """Right, wrong or none at all, in words; and after a guess no other key is needed."""
    course: list[Block] = [FIRST, Ask("what?", ("this", "that")), SECOND, Reveal(1, "because")]
    for pressed, verdict in (
        ("b", "✓ you guessed b: that"),
        ("a", "✗ you guessed a; it is b: that"),
        (NEXT, "it is b: that"),
    ):
        keys = Pressed(NEXT, pressed)
        text = shown(course, keys)
        assert text.index("what?") < text.index(verdict) < text.index("because")
        assert keys.read_so_far == 2


def test_nobody_is_asked_who_does_not_want_to_be() -> None:
    """Then the answer stands alone."""
    text = shown([FIRST, Ask("what?", ("this", "that")), SECOND, Reveal(1, "because")], Pressed(NEXT), questions=False)
    assert "what?" not in text
    assert "it is" not in text
    assert "because" in text


def test_back_and_on_again() -> None:
    """Back shows the screen before, and a key goes forward to where the reader was, before the lesson goes on."""
    third = Screen(Part.PROOF, "Third")
    keys = Pressed(NEXT, BACK, NEXT, NEXT)
    text = shown([FIRST, Say("words"), SECOND, third], keys)
    assert keys.read_so_far == 4
    assert text.count("words") == 2
    assert text.count("Second") == 2
    assert text.count("Third") == 1


def test_quit_ends_at_any_screen() -> None:
    """Also at a question; nothing that comes later is shown."""
    assert "Second" not in shown([FIRST, SECOND], Pressed(QUIT))
    assert "Second" not in shown([FIRST, Ask("what?", ("this", "that")), SECOND], Pressed(NEXT, QUIT))


def test_a_small_terminal_gets_more_screens() -> None:
    """What does not fit comes after a key, under the same title; nothing scrolls away."""
    keys = Pressed(NEXT, NEXT)
    text = shown([FIRST, *(Say(f"words {number}") for number in range(9))], keys, height=15)
    assert keys.read_so_far == 2
    assert text.count("First") == 3


def test_proofs_are_kept_for_the_end() -> None:
    """They are what stays in the terminal."""
    console = Console(file=StringIO())
    terminal = Terminal(console, LESSONS[0], "")
    for block in (FIRST, Check("it is so")):
        terminal.show(block)
    assert terminal.proved == [Check("it is so")]
