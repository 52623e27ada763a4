"""Requests that are recognised by having been read before."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from emulator.runtime_api.repeats import Repeats

HEAD = b"POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\nX-A: b\r\n\r\n"


def response(request_id: bytes, body: bytes) -> bytes:
    return HEAD % (request_id, len(body)) + body


def test_a_response_is_known_by_its_head_but_for_id_and_length() -> None:
    """Not before it was learnt; then with any id and any body."""
    repeats = Repeats()
    assert repeats.response(response(b"1", b"{}")) is None
    repeats.learn_response(response(b"1", b"{}"))
    assert repeats.response(response(b"another", b'{"a": 1}')) == ("another", b'{"a": 1}')
    assert repeats.response(response(b"2", b"")) == ("2", b"")


def test_what_is_not_whole_or_more_than_one_is_not_known() -> None:
    """The parser has to read on."""
    repeats = Repeats()
    repeats.learn_response(response(b"1", b"{}"))
    assert repeats.response(response(b"1", b'{"a": 1}')[:-1]) is None
    assert repeats.response(response(b"1", b"{}") + b"GET ") is None


@given(at=st.integers(0, 120), change=st.binary(min_size=1, max_size=4))
def test_no_other_head_passes_for_it(at: int, change: bytes) -> None:
    """Whatever is put in anywhere: it is not known, or it is in the id, the length or the body."""
    repeats = Repeats()
    known = response(b"1", b"{}")
    repeats.learn_response(known)
    tried = known[:at] + change + known[at:]
    found = repeats.response(tried)
    if found is not None:
        request_id, body = found
        head, _, rest = tried.partition(b"\r\n\r\n")
        assert rest == body
        assert b"/%s/response " % request_id.encode() in head
        assert sorted(head.split(b"\r\n")[1:])[1:] == [b"Host: a", b"X-A: b"]
        assert int(sorted(head.split(b"\r\n")[1:])[0].partition(b":")[2]) == len(body)


def test_the_next_is_known_by_all_its_bytes() -> None:
    """And nothing is, before one was learnt."""
    repeats = Repeats()
    assert not repeats.is_next(b"GET /next")
    repeats.learn_next(b"GET /next")
    assert repeats.is_next(b"GET /next")
    assert not repeats.is_next(b"GET /next ")


def test_heads_are_not_collected_without_end() -> None:
    """A client that never repeats itself is the parser's for good."""
    repeats = Repeats()
    for number in range(20):
        repeats.learn_response(response(b"1", b"{}").replace(b"X-A: b", b"X-A: %d" % number))
    assert repeats.response(response(b"1", b"{}").replace(b"X-A: b", b"X-A: 0")) is not None
    assert repeats.response(response(b"1", b"{}").replace(b"X-A: b", b"X-A: 19")) is None
