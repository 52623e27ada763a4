"""The printer of logs: a thread that nobody has to wait for."""

from __future__ import annotations

import io
import threading

from rich.console import Console

from emulator.printer import LogPrinter
from emulator.screen import log_block, log_parts


class Stuck(io.StringIO):
    """A terminal that takes nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.gate = threading.Event(), threading.Event()

    def write(self, text: str) -> int:
        self.entered.set()
        assert self.gate.wait(10)
        return super().write(text)


def test_a_block_is_printed_line_by_line() -> None:
    """Each with where it comes from in front, and in order."""
    paper = io.StringIO()
    with LogPrinter(Console(file=paper, width=80)) as printer:
        printer.put("orders", "e1e1e1", b"one\n\ntwo \xff\n")
        printer.put("orders", "e2e2e2", b"three\n")
    assert paper.getvalue() == "orders e1e1 one\norders e1e1 \norders e1e1 two \ufffd\norders e2e2 three\n"


def test_what_is_said_in_passing_has_a_sign_of_its_own() -> None:
    """It is no trouble, and does not look like any."""
    paper = io.StringIO()
    with LogPrinter(Console(file=paper, width=20)) as printer:
        printer.say("orders: app.py changed; the next invocation runs the new code")
    assert paper.getvalue() == "· orders: app.py changed; the next invocation runs the new code\n"


def test_a_block_without_styles_reads_as_its_lines_do() -> None:
    """Whatever is in it: the short way, which most blocks take, says the same as the long one."""
    odd = ("plain", "a\tb", "", "bell \a", "break\rinside", "end\r", "\u2028 \x85 é", "\x7f")
    for line in odd:
        for lines in (f"{line}\n", f"before\n{line}\nbehind\n"):
            long = "".join(f"o {log_parts(one)[0]}\n" for one in lines.removesuffix("\n").split("\n"))
            assert log_block("o ", lines) == long


def test_a_note_stands_among_the_lines() -> None:
    """What no log has, marked by a sign as well as by its colour."""
    paper = io.StringIO()
    with LogPrinter(Console(file=paper, width=20)) as printer:
        printer.put("orders", "e1e1e1", b"one\n")
        printer.note("orders: its layer is no zip archive")
        printer.put("orders", "e1e1e1", b"two\n")
    assert paper.getvalue() == "orders e1e1 one\n! orders: its layer is no zip archive\norders e1e1 two\n"


def test_a_reader_that_is_stuck_holds_nobody_up_and_what_is_left_out_is_counted() -> None:
    """Some wait for him, the others are left out, and that is told where they are missing."""
    paper = Stuck()
    with LogPrinter(Console(file=paper, width=80)) as printer:
        printer.put("f", "e", b"first\n")
        assert paper.entered.wait(10)
        for _ in range(40):
            printer.put("f", "e", (b"x" * 65_535 + b"\n") * 2)
        paper.gate.set()
    assert paper.getvalue().count("xxx\n") == 16  # 1 MB, and whole
    assert paper.getvalue().endswith("64 lines are left out here, for nobody read them; lambda-freezer logs has them\n")
