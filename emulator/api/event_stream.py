"""AWS's event stream encoding: messages of headers and a payload, each with its length and two checksums. Pure.

A message is, in big-endian numbers: total length (4 bytes), length of the headers (4), CRC32 of these eight bytes,
headers, payload, CRC32 of everything before. A header is its name (1 byte of length), the type of its value (7, a
string, is the only one used here) and the value (2 bytes of length).

[D] docs.aws.amazon.com/transcribe/latest/dg/event-stream.html. [R] The three headers and their order are those that
Lambda sends.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from zlib import crc32

__all__ = ["CONTENT_TYPE", "Event", "invoke_complete", "payload_chunk", "read_event"]

CONTENT_TYPE = b"application/vnd.amazon.eventstream"

_STRING = 7
_LENGTHS = struct.Struct(">II")
_CHECKSUM = struct.Struct(">I")
_FRAME = 16  # bytes of a message that are neither headers nor payload


@dataclass(frozen=True, slots=True)
class Event:
    """One message, as a client sees it; ``kind`` is what ``:event-type`` says."""

    kind: str
    payload: bytes


def payload_chunk(payload: bytes) -> bytes:
    """A piece of the response, byte for byte."""
    return _message(_CHUNK_HEADERS, payload)


def invoke_complete(body: bytes) -> bytes:
    """The last message of a response; ``body`` is a JSON object."""
    return _message(_COMPLETE_HEADERS, body)


def read_event(read: Callable[[int], bytes]) -> Event | None:
    """The next message; ``None`` where the stream ends before one.

    Arguments:
        read: reads so many bytes, and fewer only at the end of the stream.

    Raises:
        ValueError: what is read is no message, or only a part of one.
    """
    begin = read(12)
    if not begin:
        return None
    if len(begin) < 12 or crc32(begin[:8]) != _CHECKSUM.unpack_from(begin, 8)[0]:
        raise ValueError("this is no message of an event stream")
    total, headers_length = _LENGTHS.unpack_from(begin)
    rest = read(total - 12)
    if len(rest) < total - 12 or crc32(rest[:-4], crc32(begin)) != _CHECKSUM.unpack(rest[-4:])[0]:
        raise ValueError("the event stream broke off inside a message")
    return Event(_read_headers(rest[:headers_length]).get(":event-type", ""), rest[headers_length:-4])


def _read_headers(block: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    at = 0
    while at < len(block):
        name_end = at + 1 + block[at]
        value_begin = name_end + 3
        value_end = value_begin + int.from_bytes(block[name_end + 1 : value_begin])
        headers[block[at + 1 : name_end].decode()] = block[value_begin:value_end].decode()
        at = value_end
    return headers


def _message(headers: bytes, payload: bytes) -> bytes:
    lengths = _LENGTHS.pack(_FRAME + len(headers) + len(payload), len(headers))
    prelude = lengths + _CHECKSUM.pack(crc32(lengths))
    checksum = crc32(payload, crc32(headers, crc32(prelude)))
    return b"".join((prelude, headers, payload, _CHECKSUM.pack(checksum)))


def _headers(event_type: str, content_type: str) -> bytes:
    values = {":event-type": event_type, ":content-type": content_type, ":message-type": "event"}
    return b"".join(
        struct.pack(f">B{len(name)}sBH{len(value)}s", len(name), name.encode(), _STRING, len(value), value.encode())
        for name, value in values.items()
    )


_CHUNK_HEADERS = _headers("PayloadChunk", "application/octet-stream")
_COMPLETE_HEADERS = _headers("InvokeComplete", "application/json")
