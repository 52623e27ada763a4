"""The event stream encoding; botocore's own parser is the judge of what is written."""

from __future__ import annotations

import io
import struct
from zlib import crc32

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from emulator.api.event_stream import Event, invoke_complete, payload_chunk, read_event

BOTH = payload_chunk(b"abc") + invoke_complete(b'{"ErrorCode":"x"}')


@given(payload=st.binary(max_size=300), pieces=st.integers(1, 40))
def test_botocore_reads_what_is_written(payload: bytes, pieces: int) -> None:
    """Lengths, checksums, headers and payload, in whatever pieces they arrive."""
    wire = payload_chunk(payload) + invoke_complete(b"{}")
    buffer = EventStreamBuffer()
    for begin in range(0, len(wire), pieces):
        buffer.add_data(wire[begin : begin + pieces])
    first, last = list(buffer)
    assert first.headers == {
        ":event-type": "PayloadChunk",
        ":content-type": "application/octet-stream",
        ":message-type": "event",
    }
    assert first.payload == payload
    assert last.headers == {
        ":event-type": "InvokeComplete",
        ":content-type": "application/json",
        ":message-type": "event",
    }
    assert last.payload == b"{}"


def test_a_message_is_laid_out_as_documented() -> None:
    """Two lengths, their checksum, headers in Lambda's order, payload, checksum of all before."""
    wire = payload_chunk(b"abc")
    total, headers_length, checksum = struct.unpack_from(">III", wire)
    assert total == len(wire)
    assert checksum == crc32(wire[:8])
    assert headers_length == len(wire) - 16 - len(b"abc")
    assert wire[12:].startswith(b"\x0b:event-type\x07\x00\x0cPayloadChunk\x0d:content-type\x07\x00\x18application/")
    assert wire[-7:] == b"abc" + struct.pack(">I", crc32(wire[:-4]))


def test_what_is_written_can_be_read_again() -> None:
    """Message by message, until there is none."""
    stream = io.BytesIO(BOTH)
    assert read_event(stream.read) == Event("PayloadChunk", b"abc")
    assert read_event(stream.read) == Event("InvokeComplete", b'{"ErrorCode":"x"}')
    assert read_event(stream.read) is None


@pytest.mark.parametrize("length", range(1, len(payload_chunk(b"abc"))))
def test_a_part_of_a_message_is_none(length: int) -> None:
    """Wherever it breaks off."""
    with pytest.raises(ValueError, match="event stream"):
        read_event(io.BytesIO(payload_chunk(b"abc")[:length]).read)


@pytest.mark.parametrize("place", [0, 5, 9, 14, 105, -1])
def test_a_damaged_message_is_none(place: int) -> None:
    """In its lengths, its headers, its payload or its checksums."""
    damaged = bytearray(payload_chunk(b"abc" * 10))
    damaged[place] ^= 1
    with pytest.raises(ValueError, match="event stream"):
        read_event(io.BytesIO(bytes(damaged)).read)
