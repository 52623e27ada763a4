"""The head of a streamed response."""

from __future__ import annotations

import pytest

from emulator.http_events.prelude import MAX_PRELUDE, has_prelude, is_complete, split_prelude, streamed_response

TYPE = "application/vnd.awslambda.http-integration-response"
END = bytes(8)


def test_status_headers_cookies_and_what_came_with_them() -> None:
    """A NUL in the body is the body's."""
    response = split_prelude(b'{"statusCode": 206, "headers": {"X-A": "1"}, "cookies": ["a=b"]}' + END + b"one\0two")
    assert response is not None
    assert (response.status, response.body) == (206, b"one\0two")
    assert response.headers == [("content-type", "application/octet-stream"), ("x-a", "1"), ("set-cookie", "a=b")]


def test_a_prelude_that_says_nothing() -> None:
    """It is a 200; a body in it is none."""
    response = split_prelude(b'{"body": "x"}' + END)
    assert response is not None
    assert (response.status, response.body) == (200, b"")


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"{}" + bytes(7), b"[]" + END, b"{" + END, b'{"statusCode": 1}' + END, END]
)
def test_what_is_none(data: bytes) -> None:
    """No end, no object, or nothing that could be sent."""
    assert split_prelude(data) is None


def test_when_there_is_enough_of_it() -> None:
    """With its end, or beyond all measure."""
    assert not is_complete(b"{}" + bytes(7))
    assert is_complete(b"{}" + END)
    assert is_complete(b"x" * (MAX_PRELUDE + 1))


def test_only_the_type_says_that_there_is_one() -> None:
    """Whatever its case and parameters; another stream goes out as it is."""
    assert has_prelude(TYPE)
    assert has_prelude(f"{TYPE.upper()}; v=1")
    assert not has_prelude("text/plain")
    response = streamed_response(b"{}" + END, "text/plain")
    assert response is not None
    assert (response.headers, response.body) == ([("content-type", "text/plain")], b"{}" + END)
    assert streamed_response(b"{}", TYPE) is None
