"""The log stream: lines stay whole and in order, each invocation gets its own, and levels let pass what they should."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator import platform_events
from emulator.logs import LogSink, LogStream
from emulator.model import Function, InitializationType, Logging
from emulator.platform_events import LogEvent

END = platform_events.end("1")
START = platform_events.start("1", "")
DONE = platform_events.runtime_done("1", duration_ms=1.0, produced_bytes=2, spans=(), trace_id="")
READY = platform_events.extension("x", "Ready", ["INVOKE"])


def make(sink: LogSink | None = None, **logging: Any) -> LogStream:
    """A stream of function ``f`` and environment ``e``, at a fixed moment."""
    return LogStream(Function(name="f", code=Path(), logging=Logging(**logging)), "e", sink, now=lambda: 1.0)


def test_the_sink_gets_whole_lines_with_their_newlines() -> None:
    """All that came at once in one piece, with function and environment; a rest waits for its end."""
    blocks: list[tuple[str, str, bytes]] = []
    stream = make(lambda *block: blocks.append(block))
    stream.write(b"one\ntwo\nthr")
    assert blocks == [("f", "e", b"one\ntwo\n")]
    stream.write(b"ee")
    stream.write(b"\n")
    assert blocks[1:] == [("f", "e", b"three\n")]


def test_a_carriage_return_does_not_end_a_line() -> None:
    """Recorded: a lone ``\\r`` does not split a print into two events."""
    heard: list[LogEvent] = []
    stream = make()
    stream.on_event = heard.append
    stream.write(b"a\rb\r\nc\n")
    assert [event.record for event in heard] == ["a\rb\r", "c"]


def test_a_line_of_the_platform_ends_an_unfinished_one() -> None:
    """What was printed without a newline stands before REPORT, on a line of its own."""
    stream = make()
    stream.write(b"no newline")
    stream.platform(END)
    assert stream.take() == b"no newline\nEND RequestId: 1\n"
    stream.write(b"next\n")
    assert stream.take() == b"next\n"


def test_an_extension_is_not_cut_short_in_the_middle_of_a_line() -> None:
    """It may write at any moment; what it leaves without an end is ended with its processes."""
    stream = make()
    stream.write(b'{"type":', "extension")
    stream.platform(END)
    stream.write(b' "x"}\nrest', "extension")
    assert stream.take() == b'END RequestId: 1\n{"type": "x"}\n'
    stream.platform(
        platform_events.init_start(
            Function(name="f", code=Path()), initialization=InitializationType.ON_DEMAND, phase="invoke", log_stream="s"
        )
    )
    assert stream.take() == b"rest\n"


def test_lines_are_taken_once() -> None:
    """The next invocation does not see the lines of the one before."""
    stream = make()
    stream.write(b"first\n")
    assert stream.take() == b"first\n"
    assert stream.take() == b""
    stream.write(b"second\n")
    assert stream.take() == b"second\n"


def test_empty_lines_are_lines() -> None:
    """``print()`` shows."""
    stream = make()
    stream.write(b"\n\na\n")
    assert stream.take() == b"\n\na\n"


def test_a_flood_keeps_its_newest_lines_and_loses_none_on_the_way_to_the_sink() -> None:
    """What is kept is bounded; what is passed on is not."""
    passed = 0

    def count(_function: str, _environment: str, lines: bytes) -> None:
        nonlocal passed
        passed += len(lines)

    stream = make(count)
    for number in range(3000):
        stream.write(b"%07d" % number + b"x" * 992 + b"\n")
    kept = stream.take()
    assert passed == 3_000_000
    assert 4096 <= len(kept) <= 1 << 20
    assert kept.endswith(b"0002999" + b"x" * 992 + b"\n")


@given(output=st.binary(max_size=200), cuts=st.lists(st.integers(0, 200), max_size=8))
def test_how_output_is_cut_into_pieces_does_not_matter(output: bytes, cuts: list[int]) -> None:
    """Any way in which the kernel hands out the bytes makes the same lines."""
    whole, pieces = make(), make()
    whole.write(output)
    edges = [0, *sorted(min(cut, len(output)) for cut in cuts), len(output)]
    for begin, end in itertools.pairwise(edges):
        pieces.write(output[begin:end])
    for stream in (whole, pieces):
        stream.platform(END)
    taken = pieces.take()
    assert taken == whole.take()
    rest = b"\n" if output and not output.endswith(b"\n") else b""
    assert taken == output + rest + b"END RequestId: 1\n"


def test_function_and_extension_have_unfinished_lines_of_their_own() -> None:
    """Pieces of two pipes never make one line."""
    stream = make()
    stream.write(b"fun")
    stream.write(b"ext", "extension")
    stream.write(b"ction\n")
    stream.write(b"ension\n", "extension")
    assert stream.take() == b"function\nextension\n"


def test_an_event_that_may_come_at_any_moment_cuts_no_line() -> None:
    """An extension that gets ready stands before a line that is still being written."""
    stream = make()
    stream.write(b"half")
    stream.platform(READY)
    stream.write(b" and half\n")
    assert stream.take() == b"EXTENSION\tName: x\tState: Ready\tEvents: [INVOKE]\nhalf and half\n"


def test_a_runtime_that_is_done_has_ended_its_line_but_not_that_of_an_extension() -> None:
    """Who waits for ``runtimeDone`` has seen all of the function; an extension may still be writing."""
    heard: list[LogEvent] = []
    stream = make()
    stream.on_event = heard.append
    stream.write(b"function")
    stream.write(b"ext", "extension")
    stream.platform(DONE)
    stream.write(b"ension\n", "extension")
    assert [(event.type, event.record) for event in heard if event.type != "platform.runtimeDone"] == [
        ("function", "function"),
        ("extension", "extension"),
    ]
    assert [event.type for event in heard][1] == "platform.runtimeDone"


def test_a_line_that_never_ends_does_not_fill_the_memory() -> None:
    """It is passed on in pieces of some megabytes, and a line of ten is whole."""
    blocks: list[bytes] = []
    stream = make(lambda _f, _e, lines: blocks.append(lines))
    for _ in range(10):
        stream.write(b"x" * 1_000_000)
    stream.write(b"\n")
    assert [len(block) for block in blocks] == [10_000_001]
    for _ in range(20):
        stream.write(b"y" * 1_000_000)
    assert len(blocks) == 2


def test_the_last_line_of_an_environment_is_not_lost() -> None:
    """What was unfinished when it went is ended."""
    blocks: list[bytes] = []
    stream = make(lambda _f, _e, lines: blocks.append(lines))
    stream.write(b"last words")
    stream.write(b"of both", "extension")
    stream.close()
    assert blocks == [b"last words\n", b"of both\n"]


def test_file_and_sink_get_the_same_and_a_sink_that_fails_is_left_alone() -> None:
    """The file goes on when the sink has failed."""
    written: list[bytes] = []
    calls: list[bytes] = []

    def fail(_function: str, _environment: str, lines: bytes) -> None:
        calls.append(lines)
        raise ValueError("full")

    stream = LogStream(Function(name="f", code=Path()), "e", fail, file=written.append)
    stream.write(b"one\n")
    stream.write(b"two\n")
    assert written == [b"one\n", b"two\n"]
    assert calls == [b"one\n"]


def test_a_text_log_has_only_events_with_a_line() -> None:
    """START is there, what telemetry alone knows is not; the level changes nothing."""
    stream = make(system_level="WARN")
    for event in (START, DONE, END):
        stream.platform(event)
    assert stream.take() == b"START RequestId: 1 Version: $LATEST\nEND RequestId: 1\n"


def test_a_json_log_has_events_in_their_envelope_and_no_end() -> None:
    """As recorded: time, type, record, without blanks."""
    stream = make(format="JSON")
    for event in (START, END):
        stream.platform(event)
    assert stream.take() == (
        b'{"time":"1970-01-01T00:00:01.000Z","type":"platform.start","record":{"requestId":"1","version":"$LATEST"}}\n'
    )


@pytest.mark.parametrize(
    ("level", "kept"),
    [
        ("DEBUG", ["platform.start", "platform.runtimeDone", "platform.initReport"]),
        ("INFO", ["platform.start", "platform.initReport"]),
        ("WARN", ["platform.initReport"]),
    ],
)
def test_a_json_log_keeps_events_of_the_system_level_and_above(level: str, kept: list[str]) -> None:
    """A start is INFO, a runtime that is done DEBUG, an init that failed WARN."""
    failed = platform_events.init_report(
        initialization=InitializationType.ON_DEMAND, phase="init", duration_ms=1.0, status="error"
    )
    stream = make(format="JSON", system_level=level)
    for event in (START, DONE, failed):
        stream.platform(event)
    assert [json.loads(line)["type"] for line in stream.take().splitlines()] == kept


@pytest.mark.parametrize(
    ("level", "line", "kept"),
    [
        ("INFO", '{"level": "debug", "msg": "x"}', False),
        ("INFO", '{"level": "INFO"}', True),
        ("INFO", '{"msg": "no level is INFO"}', True),
        ("WARN", '{"msg": "no level is INFO"}', False),
        ("WARN", '{"level": "no such"}', False),
        ("WARN", '{"level": 30}', False),
        ("WARN", '{"level": "WARNING"}', True),
        ("ERROR", '{"level": "WARN"}', False),
        ("FATAL", '{"level": "CRITICAL"}', True),
        ("TRACE", '{"level": "TRACE"}', True),
        ("DEBUG", '{"level": "TRACE"}', False),
        ("FATAL", "plain", True),
        ("FATAL", '{"level": "INFO"', True),
        ("FATAL", '["level", "INFO"]', True),
        ("FATAL", "", True),
    ],
)
def test_a_json_log_keeps_lines_of_the_application_level_and_above(level: str, line: str, kept: bool) -> None:
    """Lines that are JSON objects have a level, INFO at the least; other lines have none, and stay."""
    stream = make(format="JSON", application_level=level)
    stream.write(f"before\n{line}\nafter\n".encode())
    assert stream.take().decode() == (f"before\n{line}\nafter\n" if kept else "before\nafter\n")


def test_levels_of_a_text_log_filter_nothing() -> None:
    """They are for JSON logs only."""
    stream = make(application_level="FATAL")
    stream.write(b'{"level": "DEBUG"}\n')
    assert stream.take() == b'{"level": "DEBUG"}\n'


def test_a_subscriber_hears_everything_in_order_whatever_the_levels_say() -> None:
    """Lines without their newline as text, events with their record, each with its moment."""
    heard: list[LogEvent] = []
    stream = make(format="JSON", application_level="FATAL", system_level="WARN")
    stream.on_event = heard.append
    stream.platform(START)
    stream.write(b'{"level": "DEBUG"}\nno t\xffext\n\nrest')
    stream.write(b"of an extension\n", "extension")
    stream.platform(END)
    assert heard == [
        LogEvent(1.0, "platform.start", START.record),
        LogEvent(1.0, "function", '{"level": "DEBUG"}'),
        LogEvent(1.0, "function", "no t\ufffdext"),
        LogEvent(1.0, "function", ""),
        LogEvent(1.0, "extension", "of an extension"),
        LogEvent(1.0, "function", "rest"),
        LogEvent(1.0, "platform.end", {"requestId": "1"}),
    ]
