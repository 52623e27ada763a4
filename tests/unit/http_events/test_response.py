"""What functions answer, as HTTP responses."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.http_events.payload_2 import response_2
from emulator.http_events.response import parsed, shaped
from emulator.text import to_json

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
MEMBERS = st.sampled_from(["statusCode", "headers", "multiValueHeaders", "cookies", "body", "isBase64Encoded"])


def test_a_whole_response() -> None:
    """Names in lower case, cookies as headers, what frames the message left to the server."""
    response = shaped(
        {
            "statusCode": 201,
            "headers": {"Content-Type": "text/html", "X-N": 1.5, "X-B": True, "X-0": None, "Content-Length": "99"},
            "cookies": ["a=1; Path=/", "b=2"],
            "body": "grüße",
        }
    )
    assert response is not None
    assert (response.status, response.body) == (201, "grüße".encode())
    assert response.headers == [
        ("content-type", "text/html"),
        ("x-n", "1.5"),
        ("x-b", "true"),
        ("set-cookie", "a=1; Path=/"),
        ("set-cookie", "b=2"),
    ]


@pytest.mark.parametrize(
    ("body", "sent"),
    [("x", b"x"), ("", b""), (None, b""), ({"a": 1}, b'{"a":1}'), (3, b"3")],
)
def test_bodies(body: Any, sent: bytes) -> None:
    """A string as it is, anything else as JSON."""
    response = shaped({"statusCode": 200, "body": body})
    assert response is not None
    assert response.body == sent


def test_a_binary_body() -> None:
    """Only where the function says so."""
    assert shaped({"body": "AP8=", "isBase64Encoded": True}).body == b"\x00\xff"  # type: ignore[union-attr]
    assert shaped({"body": "AP8="}).body == b"AP8="  # type: ignore[union-attr]


def test_a_status_as_a_string() -> None:
    """[R] It will do."""
    assert shaped({"statusCode": "418"}).status == 418  # type: ignore[union-attr]


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_that_has_no_body(status: int) -> None:
    """Whatever the function says."""
    assert shaped({"statusCode": status, "body": "x"}).body == b""  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "wrong",
    [
        {"statusCode": None},
        {"statusCode": 100},
        {"statusCode": 600},
        {"statusCode": True},
        {"statusCode": 200.5},
        {"statusCode": "x"},
        {"statusCode": "²"},
        {"statusCode": "9" * 9000},
        {"headers": ["a"]},
        {"headers": {"a b": "1"}},
        {"headers": {"": "1"}},
        {"headers": {"a": "1\r\nb: 2"}},
        {"headers": {"a": "\x01"}},
        {"headers": {"a": ["1"]}},
        {"multiValueHeaders": "a"},
        {"cookies": "a=1"},
        {"cookies": ["a=1\nb=2"]},
        {"body": "not base64!", "isBase64Encoded": True},
    ],
    ids=str,
)
def test_what_cannot_be_sent(wrong: dict[str, Any]) -> None:
    """Not in part either."""
    assert shaped({"statusCode": 200, **wrong}) is None


@given(st.dictionaries(MEMBERS, JSON))
def test_whatever_a_function_answers_is_a_sound_response_or_none(value: dict[str, Any]) -> None:
    """Never an exception, and nothing that would break a message's form."""
    response = response_2(to_json(value))
    if response is None:
        return
    assert 200 <= response.status <= 599
    for name, written in response.headers:
        assert (name.isascii(), name) == (True, name.lower())
        assert name not in ("content-length", "transfer-encoding")
        assert not set(written) & {"\r", "\n", "\0"}


def test_json_that_is_too_deep_is_none() -> None:
    """Not an error of the emulator's."""
    with pytest.raises(ValueError, match="nested"):
        parsed(b"[" * 100_000)
