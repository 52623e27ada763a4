"""What a server says to a new client, until that is let in or refused. Pure.

[D] MySQL's protocol: a packet is three bytes of length, a number, and then what it is: 10 a greeting, 254 and 1 more of
the login, 0 that the client is in, 255 an error with its code in two bytes, a state and a message. A server that has no
room says so in place of the greeting; where a place is kept for an administrator, only after the login.
"""

from __future__ import annotations

__all__ = ["Greeting"]

_GREETING, _SWITCH, _MORE, _ERROR = 10, 254, 1, 255
_HEAD = 4  # bytes before a packet's content


class Greeting:
    """Listens to a server. ``over``: there is nothing more to hear, or it cannot be understood, as behind TLS."""

    __slots__ = ("over",)

    def __init__(self) -> None:
        self.over = False

    def heard(self, said: bytes) -> str | None:
        """The error with which the server refuses the client, once it does."""
        length = int.from_bytes(said[:3], "little")
        kind = said[_HEAD] if 0 < length == len(said) - _HEAD else None
        if kind in (_GREETING, _SWITCH, _MORE):
            return None
        self.over = True
        if kind != _ERROR or length < 3:
            return None
        code, message = int.from_bytes(said[5:7], "little"), said[7:]
        if message[:1] == b"#":
            message = message[6:]
        return f"{message.decode('utf-8', 'replace')} ({code})"
