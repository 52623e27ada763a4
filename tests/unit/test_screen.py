"""Lines of a log in a terminal: what they say stays readable, and colour only adds to it."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console, RenderableType

from emulator import platform_events, screen, text
from emulator.model import InitializationType


def test_a_line_shows_where_it_comes_from() -> None:
    """With the function where there are several; controls are shown and do not act."""
    assert screen.log_line("53759dee12", "a\tb\x1b[2J").plain == "53759dee a  b␛[2J"
    assert screen.log_line("53759dee12", "a", "orders").plain == "orders 5375 a"


def test_an_event_of_several_lines_is_shown_as_such() -> None:
    """AWS's runtime client writes a traceback with carriage returns, so that it stays one event."""
    shown = screen.log_text("[ERROR] ValueError: no\rTraceback (most recent call last):\r  File")
    assert shown.plain == "[ERROR] ValueError: no\n  Traceback (most recent call last):\n    File"
    assert screen.log_text("from a Windows program\r").plain == "from a Windows program"


ENVIRONMENT = {
    "id": "53759dee12",
    "function": "orders",
    "state": "frozen",
    "sandbox": {"kind": "container", "id": "de3895e3aa55"},
    "invocations": 2,
    "idle_seconds": 1.04,
    "connections": 1,
    "memory_bytes": 36 * 2**20,
}


def test_environments_fit_into_a_narrow_terminal() -> None:
    """One line each; the kind of sandbox is said once, and a sandbox without a process is not an empty place."""
    paper = io.StringIO()
    bare = ENVIRONMENT | {"id": "4cad6fce00", "sandbox": {"kind": "container", "id": ""}}
    Console(file=paper, width=80).print(screen.environments_table([ENVIRONMENT, bare]))
    heading, *rows = [line.split() for line in paper.getvalue().splitlines()]
    assert heading == ["ENV", "FUNCTION", "STATE", "CONTAINER", "CALLS", "IDLE", "SESSIONS", "MEMORY"]
    assert rows == [
        ["53759dee", "orders", "❄", "frozen", "de3895e3", "2", "1.04", "s", "1", "36", "MB"],
        ["4cad6fce", "orders", "❄", "frozen", "–", "2", "1.04", "s", "1", "36", "MB"],
    ]


@pytest.mark.parametrize(
    ("width", "headings"),
    [
        (66, ["ENV", "FUNCTION", "STATE", "CALLS", "IDLE", "SESSIONS", "MEMORY"]),
        (42, ["ENV", "FUNCTION", "STATE", "SESSIONS"]),
        (34, ["ENV", "FUNCTION", "STATE"]),
    ],
)
def test_a_narrower_terminal_keeps_what_matters(width: int, headings: list[str]) -> None:
    """Whose environment it is, and its state, are the last to go; a long name goes on in the next line."""
    heading, row, *_ = printed(screen.environments_table([ENVIRONMENT]), width=width).splitlines()
    assert heading.split() == headings
    assert row.split()[:4] == ["53759dee", "orders", "❄", "frozen"]
    long = printed(screen.environments_table([ENVIRONMENT | {"function": "x" * 60}]), width=width)
    assert "❄ frozen" in long
    assert long.count("x") == 60


def printed(*things: RenderableType, width: int) -> str:
    """What a terminal of that width shows."""
    console = Console(width=width, file=io.StringIO())
    console.print(*things, sep="\n")
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


EVENT = {
    "request_id": "c954b375-2741-41a9-a06a-f325f1b157d1",
    "function": "orders",
    "state": "waiting",
    "attempts": 1,
    "reason": "again in 1 min",
    "payload": '{"a": "\x1b[2J' + "x" * 99 + '"}',
}


def test_events_that_are_not_done_show_why_and_what_they_carry() -> None:
    """One line each, in a narrow terminal too; payloads are cut, and their controls do not act."""
    shown = printed(screen.queue_table([EVENT]), screen.queue_table([]), width=100)
    assert re.search(r'\nc954b375 +orders +waiting +1 +again in 1 min +\{"a": "␛\[2Jx+…\n', shown)
    assert "No event waits." in shown


def test_events_that_a_stop_leaves_are_shown_whole() -> None:
    """With their request ids and payloads, for nothing else is left of them."""
    shown = printed(screen.left_events([EVENT, EVENT | {"payload": "y" * 5000}]), width=10_000)
    assert "2 asynchronous events are not done" in shown
    assert 'orders c954b375-2741-41a9-a06a-f325f1b157d1 waiting: again in 1 min\n  {"a": "␛[2J' + "x" * 99 in shown
    assert "y" * 1999 + "…" in shown


FAILED = platform_events.init_report(
    initialization=InitializationType.ON_DEMAND, phase="init", duration_ms=1.0, status="error", error_type="X"
)


@pytest.mark.parametrize(
    ("line", "style"),
    [
        ("hello", ""),
        ("START of something", ""),
        ("no ERROR here", ""),
        (text.start_line("1").rstrip("\n"), "dim"),
        (text.end_line("1").rstrip("\n"), "dim"),
        (text.init_start_line("python3.12").rstrip("\n"), "dim"),
        (text.extension_line("x", "Ready", []).rstrip("\n"), "dim"),
        (text.extension_line("x", "LaunchError", [], "PermissionDenied").rstrip("\n"), "red"),
        (text.subscription_line("logs", "x", []).rstrip("\n"), "dim"),
        ((platform_events.json_line(platform_events.start("1", ""), 0.0) or "").rstrip("\n"), "dim"),
        ((platform_events.json_line(FAILED, 0.0) or "").rstrip("\n"), "red"),
        ((FAILED.line or "").rstrip("\n"), "red"),
        ("REPORT RequestId: 1\tDuration: 1.00 ms\tStatus: timeout\t", "red"),
        ("2024-03-04T17:22:38.033Z 1 Task timed out after 3.00 seconds", "red"),
        ("RequestId: 1 Error: Runtime exited without providing a reason", "red"),
        ("[ERROR] ValueError: no", "red"),
        ("2025-11-24T23:11:18.000Z\t1\tERROR\tno", "red"),
        ("Traceback (most recent call last):", "red"),
        ('{"level": "ERROR", "message": "no"}', "red"),
        ('{"level":"info"}', ""),
    ],
)
def test_lines_of_lambda_are_dim_and_errors_red(line: str, style: str) -> None:
    """In both formats, and nothing that only looks a little like one."""
    shown = screen.log_line("e", line)
    assert str(shown.spans[-1].style if len(shown.spans) > 1 else "") == style


def test_addresses_stand_below_the_environments() -> None:
    """Where there are any; else the table is alone."""
    table = screen.environments_table([ENVIRONMENT])
    assert screen.with_addresses(table, {"urls": {}, "routes": {}, "debug_ports": {}}) is table
    urls = {"orders": "http://abc.lambda-url.localhost:3001/"}
    found = {"urls": urls, "routes": {"GET /a": "orders"}, "debug_ports": {"orders": "127.0.0.1:5678"}}
    shown = printed(screen.with_addresses(table, found), width=80)
    *_, url, route, port = [line.split() for line in shown.splitlines()]
    assert url == ["url", "orders", "http://abc.lambda-url.localhost:3001/"]
    assert route == ["route", "GET", "/a", "orders"]
    assert port == ["debug", "orders", "127.0.0.1:5678"]
