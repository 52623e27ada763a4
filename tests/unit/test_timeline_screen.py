"""Events as lines of a terminal, and two runs beside each other."""

from __future__ import annotations

import io
import time
from typing import Any

import pytest
from rich.console import Console

from emulator.chronicle.comparison import compare
from emulator.chronicle.lines import recording_of
from emulator.timeline import TimelineEvent
from emulator.timeline_screen import comparison_table, event_line, lost_line

REQUEST = "c954b375-2741-41a9-a06a-f325f1b157d1"
EVENT = TimelineEvent(1, 1_700_000_000.1236, "environment.frozen", "orders", "7f3a" * 8, None, "", {"lag_ms": 0.031})


def told(**changes: Any) -> str:
    """The line of an event, without its moment."""
    return event_line(EVENT._replace(**changes)).plain.partition("  ")[2]


def test_a_line_has_moment_kind_environment_function_and_reason() -> None:
    """In columns that are as wide for every event."""
    moment = time.strftime("%H:%M:%S", time.localtime(EVENT.at))
    assert event_line(EVENT).plain == (
        f"{moment}.123  ❄ environment.frozen         7f3a  orders            stood still after 31 µs"
    )
    for kind in ("environment.shutting-down", "invocation.throttled", "connection.opened", "something.else"):
        assert told(kind=kind).index("7f3a") == told().index("7f3a")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"detail": None}, ""),
        ({"detail": None, "reason": f"cold start for request {REQUEST}: no idle one", "request_id": REQUEST},
         "cold start for request c954b375: no idle one"),
        ({"detail": None, "reason": "an event came", "request_id": REQUEST}, "an event came, request c954b375"),
        ({"kind": "invocation.finished", "detail": {"duration_ms": 12.3456, "init_ms": 1234.5}},
         "took 12.3 ms, after an init of 1.23 s"),
        ({"kind": "invocation.finished", "detail": {"duration_ms": 3.0, "error": "X", "status": "timeout"}},
         "timeout: X, took 3 ms"),
        ({"kind": "connection.closed", "reason": "the client closed it", "detail": {"source": ["10.0.0.1", 7]}},
         "the client closed it, from 10.0.0.1:7"),
        ({"kind": "connection.failed", "reason": "no", "detail": {"source": None}}, "no"),
        ({"kind": "session.opened", "reason": "one came", "detail": {"session": 8, "user": "u", "client": "c"}},
         "one came, session 8 of u, from c"),
        ({"kind": "emulator.started", "detail": {"run": "ab12", "version": "1.2"}}, "version 1.2, run ab12"),
        ({"detail": None, "reason": "one\ntwo\x1b[2J"}, "one; two␛[2J"),
    ],
)  # fmt: skip
def test_a_line_says_why_or_what_came_of_it(changes: dict[str, Any], words: str) -> None:
    """In words, with the circumstances behind; what would act on the terminal does not."""
    assert told(**changes).partition("orders")[2].strip() == words


def test_what_failed_has_another_sign() -> None:
    """And not only another colour."""
    assert told(kind="invocation.finished").startswith("✓")
    assert told(kind="invocation.finished", detail={"error": "X"}).startswith("✗")
    assert told(kind="session.zombie").startswith("✝")
    assert told(kind="function.trouble").startswith("!")
    assert told(kind="something.else").startswith("·")


def test_a_line_is_cut_at_the_edge_of_the_terminal() -> None:
    """With a sign; a narrow one has no room for the function's name."""
    event = EVENT._replace(reason="x" * 200, function="a-function-of-a-long-name")
    wide, narrow = event_line(event, 120), event_line(event, 80)
    assert (len(wide.plain), wide.plain[-1]) == (120, "…")
    assert "a-function-of-a…" in wide.plain
    assert (len(narrow.plain), narrow.plain[-1]) == (80, "…")
    assert "a-func" not in narrow.plain


def test_an_environment_has_one_colour() -> None:
    """The same in all of its lines; others may have another one."""
    styles = {str(event_line(EVENT._replace(kind=kind)).spans[-3].style) for kind in ("environment.idle", "test.a")}
    assert len(styles) == 1


def test_what_is_lost_is_told_with_its_numbers() -> None:
    """So that nobody takes the rest for the whole."""
    assert lost_line(3, 1002).plain.startswith("1,000 events are missing here (3 to 1,002)")


def test_two_runs_stand_beside_each_other_with_the_difference_in_words() -> None:
    """What neither has is left out; what got better or worse is said so."""
    zombie = EVENT._replace(kind="connection.stale", detail=None)
    throttle = zombie._replace(seq=2, kind="invocation.throttled")
    comparison = compare(recording_of("a.jsonl", [zombie]), recording_of("b.jsonl", [throttle._replace(seq=4)]))
    paper = io.StringIO()
    Console(file=paper, width=120).print(comparison_table(comparison))
    rows = [" ".join(line.split()) for line in paper.getvalue().splitlines()]
    assert rows == [
        "a.jsonl b.jsonl",
        "throttles 0 1 ▲ 1 more, worse",
        "connections gone stale 1 0 ▼ 1 fewer, better",
        "",
        "→ 1 more throttle, 1 fewer connection gone stale",
        "! b.jsonl misses 3 of 4 events",
    ]
