"""Errors that come with their cause: what of them the client is to see."""

from __future__ import annotations

import pytest

from emulator.runtime_api.error_cause import without_cause

INVALID = b'"Invalid error body"'


@pytest.mark.parametrize(
    ("body", "rendered"),
    [
        (b'{"errorMessage":"m","errorType":"T","errorCause":{}}', b'{"errorMessage":"m","errorType":"T"}'),
        (b'{"errorType":"T","errorMessage":"m","stackTrace":[]}', b'{"errorMessage":"m","errorType":"T"}'),
        (
            b'{"stackTrace":["one","two"],"errorType":"T","errorMessage":"m","more":1}',
            b'{"errorMessage":"m","errorType":"T","stackTrace":["one","two"]}',
        ),
        (b"{}", b'{"errorMessage":"","errorType":""}'),
        (b"null", b'{"errorMessage":"","errorType":""}'),
        (b'{"errorMessage":null,"stackTrace":[null]}', b'{"errorMessage":"","errorType":"","stackTrace":[""]}'),
        (b'{"ERRORMESSAGE":"m"}', b'{"errorMessage":"m","errorType":""}'),
        (b'{"errorMessage":"<b>&"}', b'{"errorMessage":"\\u003cb\\u003e\\u0026","errorType":""}'),
        ('{"errorMessage":"für"}'.encode(), '{"errorMessage":"für","errorType":""}'.encode()),
    ],
)
def test_the_error_is_rendered_as_go_would(body: bytes, rendered: bytes) -> None:
    """Members in the agent's order, always message and type, an empty stack trace left out, markup escaped."""
    assert without_cause(body) == rendered


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b'{"errorMessage":1}',
        b'{"errorType":["T"]}',
        b'{"stackTrace":"line"}',
        b'{"stackTrace":[1]}',
        b"\xff\xfe\xfa",
        b"[" * 100_000,
    ],
)
def test_what_is_no_error_is_said_to_be_invalid(body: bytes) -> None:
    """No JSON, no object, or members of another kind."""
    assert without_cause(body) == INVALID
