"""The moments of an invocation, and the spans between them."""

from __future__ import annotations

import pytest

from emulator.timing import Timing


def test_the_spans_of_a_whole_invocation_follow_each_other() -> None:
    """Latency, response and overhead, each beginning where the one before ends; and what extensions took."""
    timing = Timing(began=10.0, began_wall=1000.0, first_byte=10.1, last_byte=10.3, runtime_done=10.35)
    latency, response, overhead = timing.runtime_spans()
    assert [span.name for span in (latency, response, overhead)] == [
        "responseLatency",
        "responseDuration",
        "runtimeOverhead",
    ]
    assert [span.start for span in (latency, response, overhead)] == pytest.approx([1000.0, 1000.1, 1000.3])
    assert [span.duration_ms for span in (latency, response, overhead)] == pytest.approx([100.0, 200.0, 50.0])
    extensions = timing.extension_span(12.35)
    assert extensions is not None
    assert extensions.name == "extensionOverhead"
    assert (extensions.start, extensions.duration_ms) == pytest.approx((1000.35, 2000.0))


def test_only_spans_that_came_to_pass_are_told() -> None:
    """A timeout before the response has none, one within it the first, one before "next" the first two."""
    timing = Timing(began=10.0, began_wall=1000.0)
    assert timing.runtime_spans() == []
    assert timing.extension_span(11.0) is None
    timing.first_byte = 10.1
    assert [span.name for span in timing.runtime_spans()] == ["responseLatency"]
    timing.last_byte = 10.2
    assert [span.name for span in timing.runtime_spans()] == ["responseLatency", "responseDuration"]


def test_an_answer_that_comes_at_once_is_first_and_last_byte() -> None:
    """A buffered response has both at the same moment; a streamed one keeps its first."""
    timing = Timing()
    timing.answered(5)
    assert timing.first_byte == timing.last_byte
    assert timing.produced_bytes == 5
    streamed = Timing(began=1.0, first_byte=1.5)
    streamed.answered(3)
    assert streamed.first_byte == 1.5
    assert streamed.last_byte is not None


def test_duration_counts_the_init_that_went_before() -> None:
    """[D] A repeated init is inside Duration."""
    assert Timing(spent=0.25, began=10.0).elapsed_ms(until=10.5) == pytest.approx(750.0)
