"""The texts that AWS writes: log lines, error bodies, names. Pure functions, byte for byte as recorded.

Sources and their certainty are in docs/fidelity.md; where two formats are in the wild the newer one is used, and
the older one is to be had by saying ``old``.
"""

from __future__ import annotations

import json
import math
import os
import re
import time
from collections.abc import Sequence
from typing import Any

import msgspec

from emulator.model import LATEST, MAX_RESPONSE_BYTES, Function, Report
from emulator.runtimes import KNOWN

__all__ = [
    "VERSION",
    "billed_milliseconds",
    "end_line",
    "error_body",
    "exit_fault",
    "exit_message",
    "extension_exit_message",
    "extension_line",
    "filter_error_type",
    "function_arn",
    "init_report_line",
    "init_start_line",
    "is_json",
    "is_qualified",
    "iso_time",
    "log_stream_name",
    "new_request_id",
    "new_trace_id",
    "not_json",
    "report_line",
    "response_too_large_body",
    "runtime_version",
    "start_line",
    "subscription_line",
    "timeout_body",
    "timeout_fault",
    "to_json",
]

VERSION = LATEST
_COLONS = 6  # of a function's ARN
_SIGNALS = {
    6: "aborted",
    7: "bus error",
    8: "floating point exception",
    9: "killed",
    11: "segmentation fault",
    15: "terminated",
}
_JSON = msgspec.json.Decoder(msgspec.Raw)
_ERROR_TYPE = re.compile(r"(Runtime|Function)\.[A-Z][a-zA-Z]+")


def is_json(payload: bytes) -> bool:
    """Whether it is one JSON value in UTF-8. Nothing is made of it: 6 MB take ten milliseconds, not three hundred."""
    try:
        _JSON.decode(payload)
        payload.decode()  # what is within strings is not looked at above
    except (ValueError, RecursionError):
        return False
    return True


def not_json(payload: bytes) -> str:
    """What AWS says of an event that is not JSON, in the form of the parser that it uses [R]."""
    return f"Could not parse request body into json: Could not parse payload into json: {_where(payload)}"


def _where(payload: bytes) -> str:
    source = "[Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: {}, column: {}]"
    decoded = payload.decode("utf-8", "replace")
    try:
        json.loads(decoded)
    except json.JSONDecodeError as error:
        at = source.format(error.lineno, error.colno)
        if error.pos >= len(decoded):
            return f"Unexpected end-of-input\n at {at}"
        found = decoded[error.pos]
        return (
            f"Unexpected character ('{found}' (code {ord(found)})): expected a valid value (JSON String, Number, "
            f"Array, Object or token 'null', 'true' or 'false')\n at {at}"
        )
    except RecursionError:
        return f"Document nested too deeply\n at {source.format(1, 1)}"
    problem = "Not a JSON value that is taken here" if decoded.encode() == payload else "Invalid UTF-8"
    return f"{problem}\n at {source.format(1, 1)}"


def to_json(value: Any) -> bytes:
    """JSON without blanks, as AWS sends it. What UTF-8 cannot say, half a surrogate pair, becomes a question mark."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode(errors="replace")


def new_request_id() -> str:
    """A random UUID, as AWS's are: version 4 in the 13th digit, variant in the 17th."""
    # By hand: it is asked for once an invocation, and the library's own way takes five times as long.
    digits = os.urandom(16).hex()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def new_trace_id(now: float) -> str:
    """``Root=1-<seconds>-<24 hex>;Parent=<16 hex>;Sampled=0``."""
    digits = os.urandom(20).hex()
    return f"Root=1-{int(now):08x}-{digits[:24]};Parent={digits[24:]};Sampled=0"


def iso_time(moment: float) -> str:
    """``2024-07-01T08:54:54.106Z``; ``moment`` is seconds since the epoch."""
    milliseconds = round(moment * 1000)
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(milliseconds // 1000))
    return f"{seconds}.{milliseconds % 1000:03d}Z"


def log_stream_name(now: float, environment_id: str, function: Function | None = None) -> str:
    """``YYYY/MM/DD/[$LATEST]<32 hex>``: one stream an environment, with its version and its own id in it.

    [R] In a log group of the user's choice, which functions may share, the function's name stands before the version.
    """
    name = function.name if function is not None and function.logging.group is not None else ""
    version = function.version if function is not None else VERSION
    return f"{time.strftime('%Y/%m/%d', time.gmtime(now))}/{name}[{version}]{environment_id}"


def function_arn(region: str, account: str, name: str, qualifier: str | None = None) -> str:
    """With the qualifier only where there is one."""
    arn = f"arn:aws:lambda:{region}:{account}:function:{name}"
    return f"{arn}:{qualifier}" if qualifier else arn


def is_qualified(arn: str) -> bool:
    """Whether a function's ARN names a version or an alias of it."""
    return arn.count(":") == _COLONS + 1


# -- log lines ---------------------------------------------------------------------------------------------


def runtime_version(runtime: str) -> str:
    """``python:3.13.emulated``: AWS names a build of the runtime there; this says that it is not AWS's."""
    known = KNOWN.get(runtime)
    return f"{known.tag if known is not None else runtime}.emulated"


def init_start_line(runtime: str) -> str:
    """AWS names a build of the runtime there, and behind the tab its ARN, which there is none of here."""
    return f"INIT_START Runtime Version: {runtime_version(runtime)}\t\n"


def init_report_line(init_ms: float, phase: str, status: str, error_type: str | None) -> str:
    """Of an init that failed; a timeout names no error type."""
    line = f"INIT_REPORT Init Duration: {init_ms:.2f} ms\tPhase: {phase}\tStatus: {status}"
    return f"{line}\tError Type: {error_type}\n" if error_type else f"{line}\n"


def start_line(request_id: str, version: str = VERSION) -> str:
    """The first line of an invocation."""
    return f"START RequestId: {request_id} Version: {version}\n"


def end_line(request_id: str) -> str:
    """The last line but one."""
    return f"END RequestId: {request_id}\n"


def report_line(report: Report, *, old: bool = False) -> str:
    """The REPORT line, with the trailing tab that AWS writes. The old one has no word of how it ended."""
    line = (
        f"REPORT RequestId: {report.request_id}\tDuration: {report.duration_ms:.2f} ms\t"
        f"Billed Duration: {report.billed_ms} ms\tMemory Size: {report.memory_mb} MB\t"
        f"Max Memory Used: {report.max_memory_mb} MB\t"
    )
    if report.init_ms is not None:
        line += f"Init Duration: {report.init_ms:.2f} ms\t"
    if report.status is not None and not old:
        line += f"Status: {report.status}\t"
        if report.status == "error" and report.error_type:
            line += f"Error Type: {report.error_type}\t"
    return f"{line}\n"


def timeout_fault(request_id: str, timeout: float, now: float) -> str:
    """[D] What an old log says of a timeout, before END; an empty line follows it."""
    return f"{iso_time(now)} {request_id} Task timed out after {timeout:.2f} seconds\n"


def exit_fault(message: str, error_type: str) -> str:
    """[D] What an old log says of a runtime that has ended, before END: two lines."""
    return f"{message}\n{error_type}"


def extension_line(name: str, state: str, events: Sequence[str], error_type: str | None = None) -> str:
    """[R] An extension that is ready, or has failed; one an extension and an init."""
    line = f"EXTENSION\tName: {name}\tState: {state}\tEvents: [{', '.join(events)}]"
    return f"{line}\tError Type: {error_type}\n" if error_type else f"{line}\n"


def subscription_line(api: str, name: str, types: Sequence[str]) -> str:
    """[R] An extension subscribed to the ``telemetry`` or the ``logs`` API; its types have capitals here."""
    return f"{api.upper()}\tName: {name}\tState: Subscribed\tTypes: [{', '.join(map(str.capitalize, types))}]\n"


def billed_milliseconds(duration_ms: float, init_ms: float | None) -> int:
    """[I] Since August 2025: duration and init, rounded up together."""
    return math.ceil(round(duration_ms + (init_ms or 0.0), 6))


# -- error bodies ------------------------------------------------------------------------------------------


def error_body(error_type: str, message: str) -> bytes:
    """What the platform itself answers for a failed invocation: the type stands first."""
    return to_json({"errorType": error_type, "errorMessage": message})


def timeout_body(request_id: str, timeout: float, *, old: bool = False, now: float = 0.0) -> bytes:
    """What the client of an invocation that took too long gets; ``timeout`` is seconds.

    The old form has no error type, and the moment ``now`` in its message.
    """
    if old:
        return to_json({"errorMessage": timeout_fault(request_id, timeout, now).rstrip("\n")})
    return error_body("Sandbox.Timedout", f"RequestId: {request_id} Error: Task timed out after {timeout:.2f} seconds")


def exit_message(request_id: str, code: int | None, signal: int | None) -> str:
    """Why the runtime's process is gone, in the words of the Go library that AWS's agent uses."""
    if signal is not None:
        reason = f"Runtime exited with error: signal: {_SIGNALS.get(signal, f'signal {signal}')}"
    elif code:
        reason = f"Runtime exited with error: exit status {code}"
    else:
        reason = "Runtime exited without providing a reason"
    return f"RequestId: {request_id} Error: {reason}"


def extension_exit_message(request_id: str, code: int | None, signal: int | None) -> str:
    """[C] Why the process of an extension is gone: a clean exit is an error here too."""
    if signal is not None:
        reason = f"signal: {_SIGNALS.get(signal, f'signal {signal}')}"
    else:
        reason = f"exit status {code}" if code else "exit code 0"
    return f"RequestId: {request_id} Error: {reason}"


def response_too_large_body() -> bytes:
    """What the client of a function that answered too much gets: the message stands first."""
    return to_json(
        {
            "errorMessage": "Response payload size exceeded maximum allowed payload size "
            f"({MAX_RESPONSE_BYTES} bytes).",
            "errorType": "Function.ResponseSizeTooLarge",
        }
    )


def filter_error_type(value: str | None) -> str:
    """[C] The runtime's own word for its error, where it has the form that AWS's agent lets pass."""
    if value and _ERROR_TYPE.search(value):
        return value
    return "Function.Unknown" if value and value.startswith("Function.") else "Runtime.Unknown"
