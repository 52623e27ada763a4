"""Tables that are drawn again and again in the same place, every second or as soon as something happens."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.segment import Segment, Segments
from rich.text import Text

from emulator.client import Client
from emulator.errors import EmulatorError

__all__ = ["watch"]

_AT_LEAST_EVERY = 1.0  # seconds
_NOT_MORE_OFTEN = 0.2  # seconds
_BEYOND = 2**53 - 1  # no event has such a number: the answer is only where the last one is
_STREAM = "/_emulator/api/timeline/stream?since={}"


def watch(console: Console, client: Client, title: str, draw: Callable[[], RenderableType]) -> None:
    """Draw until the user interrupts, or the emulator is gone.

    On a terminal it is one screen, which goes away with the end; elsewhere what is drawn is printed when it changes.

    Arguments:
        title: the command that is being watched.
        draw: asks the emulator, and makes what is to be seen.

    Raises:
        KeyboardInterrupt: the user has seen enough.
        NotRunningError: the emulator does not answer, or no longer.
    """
    happened = threading.Event()
    since = client.get(f"/_emulator/api/timeline?since={_BEYOND}")["last"]
    threading.Thread(target=_listen, args=(client, since, happened), daemon=True).start()
    if not console.is_terminal:
        _print_changes(console, draw, happened)
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            live.update(_screen(console, title, draw()), refresh=True)
            _wait(happened)


def _print_changes(console: Console, draw: Callable[[], RenderableType], happened: threading.Event) -> None:
    printed = ""
    while True:
        with console.capture() as captured:
            console.print(draw())
        if captured.get() != printed:
            printed = captured.get()
            console.file.write(printed)
            console.file.flush()
        _wait(happened)


def _wait(happened: threading.Event) -> None:
    time.sleep(_NOT_MORE_OFTEN)
    happened.wait(_AT_LEAST_EVERY - _NOT_MORE_OFTEN)
    happened.clear()


def _screen(console: Console, title: str, drawn: RenderableType) -> RenderableType:
    """As many lines as there is room for, and how many more there are."""
    heading = Text.assemble((title, "bold"), (f"  {time.strftime('%H:%M:%S')} · Ctrl-C ends it", "dim"))
    lines = console.render_lines(drawn, pad=False)
    room = console.height - 3
    kept = lines if len(lines) <= room else lines[: room - 1]
    parts = Segments(part for line in kept for part in (*line, Segment.line()))
    left = len(lines) - len(kept)
    return Group(heading, Text(), parts, Text(f"… and {left:,} lines more" if left else "", "dim", end=""))


def _listen(client: Client, since: int, happened: threading.Event) -> None:
    """Whatever comes, of whatever kind: something has happened."""
    try:
        for piece in client.stream(_STREAM.format(since)):
            if b"data:" in piece:
                happened.set()
    except EmulatorError:
        happened.set()  # whoever draws finds out, and says so
