"""Answers in the encoding of AWS's agent."""

from __future__ import annotations

from emulator.runtime_api.reply import ACCEPTED, NOT_FOUND, Reply, go_json, render, reply_error


def test_json_is_written_as_go_writes_it() -> None:
    """No blanks, other alphabets as they are, markup and the two odd separators of lines escaped."""
    assert go_json({"a": "<>&\u2028ü", "b": [1, None]}) == '{"a":"\\u003c\\u003e\\u0026\\u2028ü","b":[1,null]}'.encode()


def test_half_a_surrogate_pair_does_not_break_an_answer() -> None:
    """JSON can hold it, UTF-8 cannot."""
    assert go_json("\ud800") == b'"?"'


def test_a_refusal_has_its_message_first_and_a_newline_at_the_end() -> None:
    """As Go's encoder writes the agent's record."""
    assert reply_error(403, "T", "m") == Reply(403, b'{"errorMessage":"m","errorType":"T"}\n')


def test_an_answer_is_rendered_whole() -> None:
    """Status, content type, headers, length and body."""
    assert render(ACCEPTED) == (
        b'HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{"status":"OK"}\n'
    )
    assert render(NOT_FOUND) == (
        b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 19\r\n\r\n"
        b"404 page not found\n"
    )
    assert render(Reply(200, b'"OK"', (("Content-Type", "application/json"), ("X-Y", "z")))) == (
        b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Y: z\r\nContent-Length: 4\r\n\r\n"OK"'
    )
