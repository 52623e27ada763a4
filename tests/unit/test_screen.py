"""Lines of a log in a terminal: what they say stays readable, and colour only adds to it."""

from __future__ import annotations

import pytest

from emulator import platform_events, screen, text
from emulator.model import InitializationType


def test_a_line_shows_where_it_comes_from() -> None:
    """With the function where there are several; controls are shown and do not act."""
    assert screen.log_line("53759dee12", "a\tb\x1b[2J").plain == "53759dee a  b␛[2J"
    assert screen.log_line("53759dee12", "a", "orders").plain == "orders 5375 a"


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
