"""Tables that are drawn again: when, and what of them there is room for."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, cast

import pytest
from rich.console import Console
from rich.text import Text

from emulator import watching
from emulator.client import Client
from emulator.watching import watch


class Played:
    """A client of an emulator in which something happens now and then."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = pieces
        self.asked: list[str] = []

    def get(self, path: str) -> dict[str, Any]:
        self.asked.append(path)
        return {"last": 17}

    def stream(self, path: str) -> Iterator[bytes]:
        self.asked.append(path)
        yield from self._pieces


def watched(console: Console, *drawn: Text, client: Played | None = None) -> None:
    """Watch until everything was drawn; then the user interrupts."""
    left = list(drawn)

    def draw() -> Text:
        if not left:
            raise KeyboardInterrupt
        return left.pop(0)

    with pytest.raises(KeyboardInterrupt):
        watch(console, cast(Client, client or Played()), "lambda-freezer ps", draw)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits."""
    monkeypatch.setattr(watching, "_NOT_MORE_OFTEN", 0.0)
    monkeypatch.setattr(watching, "_AT_LEAST_EVERY", 0.0)


def test_where_there_is_no_terminal_it_is_printed_when_it_changes() -> None:
    """So that it can be piped: no control characters, and nothing twice."""
    paper = io.StringIO()
    watched(Console(file=paper, width=40), Text("one"), Text("one"), Text("two"))
    assert paper.getvalue() == "one\ntwo\n"


def test_on_a_terminal_it_has_a_screen_of_its_own_which_goes_away() -> None:
    """With what is watched above, and how it is ended; the cursor comes back."""
    paper = io.StringIO()
    watched(Console(file=paper, width=60, height=10, force_terminal=True, _environ={}), Text("one"), Text("two"))
    shown = paper.getvalue()
    assert shown.index("\x1b[?1049h") < shown.index("one") < shown.index("two") < shown.index("\x1b[?1049l")
    assert "lambda-freezer ps" in shown
    assert "Ctrl-C ends it" in shown
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")


def test_what_there_is_no_room_for_is_counted() -> None:
    """The last line says how many lines there are besides."""
    paper = io.StringIO()
    console = Console(file=paper, width=60, height=10, force_terminal=True, _environ={})
    watched(console, Text("\n".join(f"line {number}" for number in range(30))))
    assert "line 5" in paper.getvalue()
    assert "line 6" not in paper.getvalue()
    assert "… and 24 lines more" in paper.getvalue()


def test_it_listens_from_the_last_event_on() -> None:
    """What was before is in the first drawing already."""
    client = Played(b"data: []\n\n")
    watched(Console(file=io.StringIO()), Text("one"), client=client)
    assert client.asked[1] == "/_emulator/api/timeline/stream?since=17"
