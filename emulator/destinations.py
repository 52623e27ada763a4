"""What is told of an asynchronous event in the end, and how it gets to whom it is told.

Records have AWS's shape, as recorded in its queues. Payloads go into them byte for byte.

DIFFERS: instead of queues, topics, buckets and event buses there are functions, files and HTTP addresses. A dead
letter has the shape of a message that is received from a queue, for there is no queue to carry its attributes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import h11
import pydantic_core

from emulator import text
from emulator.errors import DeliveryError
from emulator.event_settings import Destination
from emulator.model import MAX_EVENT_PAYLOAD_BYTES, Answer, RequestId
from emulator.version import VERSION

__all__ = ["Courier", "Result", "dead_letter", "error_type", "invocation_record"]

_MAX_HOPS = 16  # [D] "about 16": then AWS ends a loop of functions that invoke each other
_MAX_MESSAGE = 1024  # bytes of ErrorMessage [D]
_PATIENCE = 10.0  # seconds that an address has to answer
# [X] word for word, with the blank that is missing
_ZERO_CONCURRENCY = "Function not invoked. Function isconfigured with zero reserved concurrent executions"


@dataclass(frozen=True, slots=True)
class Result:
    """What the last try of an event came to.

    Attributes:
        status: 200 where the function ran, whatever it answered; else the status of the refusal.
        payload: what the function answered; ``None`` where it did not run.
        message: of a refusal.
    """

    status: int
    payload: bytes | None = None
    function_error: str | None = None
    message: str = ""


def invocation_record(
    *,
    request_id: RequestId,
    function_arn: str,
    condition: str,
    count: int,
    payload: bytes,
    result: Result | None,
    now: float,
    version: str = text.VERSION,
) -> bytes:
    """The record for ``on_success`` and ``on_failure`` [R], in one line.

    Arguments:
        function_arn: with its qualifier.
        condition: ``Success``, ``RetriesExhausted``, ``EventAgeExceeded`` or ``ZeroReservedConcurrency``.
        count: how often the function ran for it.
        payload: the event.
        result: of the last try, if there was one.
        now: seconds since the epoch.
        version: which one ran.
    """
    context = {
        "requestId": request_id,
        "functionArn": function_arn,
        "condition": condition,
        "approximateInvokeCount": count,
    }
    members = [
        b'"version":"1.0"',
        b'"timestamp":' + text.to_json(text.iso_time(now)),
        b'"requestContext":' + text.to_json(context),
        b'"requestPayload":' + _embedded(payload),
    ]
    if result is not None:
        response: dict[str, Any] = {"statusCode": result.status}
        if result.payload is not None:
            response["executedVersion"] = version
        if result.function_error is not None:
            response["functionError"] = result.function_error
        members.append(b'"responseContext":' + text.to_json(response))
        if result.payload is not None:
            members.append(b'"responsePayload":' + _embedded(result.payload))
    return b"{" + b",".join(members) + b"}"


def dead_letter(*, request_id: RequestId, payload: bytes, result: Result | None) -> bytes:
    """The event as it came, with AWS's attributes: why it was given up. Without a ``result`` it was never tried."""
    message = _ZERO_CONCURRENCY if result is None else _error_message(result)
    cut = message.encode()[:_MAX_MESSAGE].decode(errors="ignore")
    attributes: dict[str, Any] = {"RequestID": {"DataType": "String", "StringValue": request_id}}
    if result is not None:
        attributes["ErrorCode"] = {"DataType": "Number", "StringValue": str(result.status)}
    attributes["ErrorMessage"] = {"DataType": "String", "StringValue": cut}
    return text.to_json({"Body": payload.decode("utf-8", "replace"), "MessageAttributes": attributes})


def error_type(answer: Answer) -> str:
    """What a function's error is called, by itself or else by Lambda."""
    return _member(answer.payload, "errorType") or answer.error_type or "Unhandled"


def _error_message(result: Result) -> str:
    if result.payload is None:
        return result.message
    message = _member(result.payload, "errorMessage")
    return message if message is not None else result.payload.decode("utf-8", "replace")


def _member(payload: bytes, name: str) -> str | None:
    with contextlib.suppress(ValueError):
        answer = pydantic_core.from_json(payload)
        if isinstance(answer, dict) and isinstance(answer.get(name), str):
            return str(answer[name])
    return None


def _embedded(payload: bytes) -> bytes:
    """JSON as it is, but in one line: a line break can only stand between its words. Anything else as a string."""
    if not text.is_json(payload):
        return text.to_json(payload.decode("utf-8", "replace"))
    return payload.replace(b"\n", b" ").replace(b"\r", b" ")


class Courier:
    """Brings records to their destinations.

    Arguments:
        base: relative paths of files are below it.
        invoke: has a function take an event; gets its name, the payload, and through how many functions it came.
        may_loop: whether a function takes one through any number of them.
    """

    def __init__(
        self,
        base: Path,
        invoke: Callable[[str, bytes, int], None],
        may_loop: Callable[[str], bool] = lambda function: False,
    ) -> None:
        self._base, self._invoke, self._may_loop = base, invoke, may_loop

    async def deliver(self, destination: Destination, record: bytes, hops: int) -> None:
        """Bring it there, once. ``hops``: through how many functions the event came before this record.

        Raises:
            EmulatorError: it is not there.
        """
        try:
            if destination.function is not None:
                self._hand_to(destination.function, record, hops)
            elif destination.file is not None:
                with (self._base / destination.file).open("ab") as file:
                    file.write(record + b"\n")
            elif destination.address is not None:
                async with asyncio.timeout(_PATIENCE):
                    await _post(destination.address, record)
        except TimeoutError as error:
            raise DeliveryError(f"no answer within {_PATIENCE:g} s") from error
        except (OSError, ValueError, h11.ProtocolError) as error:  # a name can also be no text that a system takes
            raise DeliveryError(str(error) or type(error).__name__) from error

    def _hand_to(self, function: str, record: bytes, hops: int) -> None:
        if hops >= _MAX_HOPS and not self._may_loop(function):
            raise DeliveryError(
                f"it came through {hops} functions already: this is a loop",
                cure="Let the record of one of them go somewhere else; or allow it, with PutFunctionRecursionConfig.",
            )
        if len(record) > MAX_EVENT_PAYLOAD_BYTES:
            raise DeliveryError(f"the record has {len(record):,} bytes; an event may have {MAX_EVENT_PAYLOAD_BYTES:,}")
        self._invoke(function, record, hops)


async def _post(address: str, record: bytes) -> None:
    parts = urlsplit(address)
    assert parts.hostname is not None, "an address without a host was refused"
    secure = parts.scheme == "https"
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port or (443 if secure else 80), ssl=secure)
    try:
        protocol = h11.Connection(h11.CLIENT)
        target = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
        headers = [
            ("Host", parts.netloc.rpartition("@")[2]),
            ("User-Agent", f"lambda-freezer/{VERSION}"),
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(record))),
            ("Connection", "close"),
        ]
        request = h11.Request(method="POST", target=target, headers=headers)
        for part in (request, h11.Data(data=record), h11.EndOfMessage()):
            writer.write(protocol.send(part) or b"")
        await writer.drain()
        while not isinstance(answer := protocol.next_event(), h11.Response):
            if answer is h11.NEED_DATA:
                protocol.receive_data(await reader.read(1 << 16))
        if not 200 <= answer.status_code < 300:
            raise DeliveryError(f"it answered {answer.status_code}")
    finally:
        writer.close()
