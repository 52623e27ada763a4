"""What a relay understands of MySQL's protocol: whether a new client is let in."""

from __future__ import annotations

import pytest

from emulator.database.greeting import Greeting


def packet(content: bytes, number: int = 0) -> bytes:
    return len(content).to_bytes(3, "little") + bytes([number]) + content


GREETING = packet(b"\x0a10.11.6-MariaDB\0" + b"x" * 60)
FULL = b"\xff\x10\x04#08004Too many connections"


@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        ([packet(b"\xff\x10\x04Too many connections")], "Too many connections (1040)"),
        ([GREETING, packet(FULL, 2)], "Too many connections (1040)"),
        ([GREETING, packet(b"\xfesha2\0", 2), packet(b"\x01\x04", 4), packet(FULL, 6)], "Too many connections (1040)"),
        ([packet(b"\xff\x69\x04\xff")], "\ufffd (1129)"),
        ([GREETING, packet(b"\x00\x00\x00", 2), packet(b"\xff\x28\x04#42000You have an error", 1)], None),
        ([GREETING, b"\x16\x03\x03\x00\x7a\xff" + b"x" * 120, packet(FULL, 2)], None),
        ([packet(b"\xff")], None),
        ([packet(b"")], None),
        ([b"x"], None),
    ],
)
def test_a_refusal_is_heard_and_nothing_else_is_taken_for_one(words: list[bytes], refusal: str | None) -> None:
    """Before and after the login; not an error of a statement, nor what is said behind TLS, nor what is no packet."""
    greeting, heard = Greeting(), None
    for word in words:
        if not greeting.over:
            heard = greeting.heard(word) or heard
    assert heard == refusal
    assert greeting.over
