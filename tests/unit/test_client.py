"""The command line's client: reading server-sent events."""

from __future__ import annotations

import pytest

from emulator.client import Message, read_messages

STREAM = (
    b': hello\n\nid: run:7\ndata: [1, "\xc3\xa4"]\n\n:\n\nevent: lost\ndata: {"from": 1}\n\ndata: [2]\n\nid: cut\nda'
)


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_messages_are_read_however_the_stream_is_cut(size: int) -> None:
    """Comments are none, a number holds until there is another, and what is not whole is not there."""
    pieces = [STREAM[begin : begin + size] for begin in range(0, len(STREAM), size)]
    assert list(read_messages(pieces)) == [
        Message("message", '[1, "ä"]', "run:7"),
        Message("lost", '{"from": 1}', "run:7"),
        Message("message", "[2]", "run:7"),
    ]
