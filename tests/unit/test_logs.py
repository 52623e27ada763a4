"""The log stream: lines stay whole and in order, and each invocation gets its own."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from emulator.logs import LogStream


def test_the_sink_gets_whole_lines_with_their_newlines() -> None:
    """One call a line, with function and environment; a rest waits for its end."""
    lines: list[tuple[str, str, bytes]] = []
    stream = LogStream("orders", "e1", lambda *line: lines.append(line))
    stream.write(b"one\ntwo\nthr")
    assert lines == [("orders", "e1", b"one\n"), ("orders", "e1", b"two\n")]
    stream.write(b"ee\n")
    assert lines[2:] == [("orders", "e1", b"three\n")]


def test_a_carriage_return_does_not_end_a_line() -> None:
    """Recorded: a lone ``\\r`` does not split a print into two events."""
    lines: list[bytes] = []
    LogStream("f", "e", lambda _f, _e, line: lines.append(line)).write(b"a\rb\r\nc\n")
    assert lines == [b"a\rb\r\n", b"c\n"]


def test_a_line_of_the_platform_ends_an_unfinished_one() -> None:
    """What was printed without a newline stands before REPORT, on a line of its own."""
    stream = LogStream("f", "e", None)
    stream.write(b"no newline")
    stream.platform("END RequestId: 1\n")
    assert stream.take() == b"no newline\nEND RequestId: 1\n"
    stream.write(b"next\n")
    assert stream.take() == b"next\n"


def test_lines_are_taken_once() -> None:
    """The next invocation does not see the lines of the one before."""
    stream = LogStream("f", "e", None)
    stream.write(b"first\n")
    assert stream.take() == b"first\n"
    assert stream.take() == b""
    stream.write(b"second\n")
    assert stream.take() == b"second\n"


def test_empty_lines_are_lines() -> None:
    """``print()`` shows."""
    stream = LogStream("f", "e", None)
    stream.write(b"\n\na\n")
    assert stream.take() == b"\n\na\n"


def test_a_flood_keeps_its_newest_lines_and_loses_none_on_the_way_to_the_sink() -> None:
    """What is kept is bounded; what is passed on is not."""
    passed = 0

    def count(_function: str, _environment: str, line: bytes) -> None:
        nonlocal passed
        passed += len(line)

    stream = LogStream("f", "e", count)
    for number in range(3000):
        stream.write(b"%07d" % number + b"x" * 992 + b"\n")
    kept = stream.take()
    assert passed == 3_000_000
    assert 4096 <= len(kept) <= 1 << 20
    assert kept.endswith(b"0002999" + b"x" * 992 + b"\n")


@given(output=st.binary(max_size=200), cuts=st.lists(st.integers(0, 200), max_size=8))
def test_how_output_is_cut_into_pieces_does_not_matter(output: bytes, cuts: list[int]) -> None:
    """Any way in which the kernel hands out the bytes makes the same lines."""
    whole, pieces = LogStream("f", "e", None), LogStream("f", "e", None)
    whole.write(output)
    edges = [0, *sorted(min(cut, len(output)) for cut in cuts), len(output)]
    for begin, end in itertools.pairwise(edges):
        pieces.write(output[begin:end])
    for stream in (whole, pieces):
        stream.platform("END\n")
    taken = pieces.take()
    assert taken == whole.take()
    rest = b"\n" if output and not output.endswith(b"\n") else b""
    assert taken == output + rest + b"END\n"
