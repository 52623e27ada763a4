"""Why an init or an invocation came to nothing: for the client, for the log, and in words for the timeline.

The texts are AWS's (:mod:`emulator.text`); here they are put together, in the new format or in the old one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from emulator import text
from emulator.model import Answer
from emulator.sandbox.base import ExitStatus

__all__ = [
    "Failure",
    "extension_crash",
    "extension_error",
    "extension_launch",
    "init_timeout",
    "runtime_exit",
    "runtime_init_error",
    "timeout",
    "too_many_extensions",
]

_TIMED_OUT = "Sandbox.Timedout"
_OUT_OF_MEMORY = "Runtime.OutOfMemory"
_EXIT = "Runtime.ExitError"
_ENTRY, _FOLDER = "Runtime.InvalidEntrypoint", "Runtime.InvalidWorkingDir"
_LAUNCH = "Extension.LaunchError"
_LAUNCH_ERRORS: Mapping[int | None, str] = {
    ExitStatus.CANNOT_EXECUTE: "permission denied",
    ExitStatus.NOT_FOUND: "no such file or directory",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """One failure.

    Attributes:
        answer: what the client gets, if it has none yet.
        status: ``error`` or ``timeout``.
        error_type: for log and telemetry; a timeout has none.
        reason: for the timeline.
        shutdown_reason: what extensions are told: ``timeout`` or ``failure``.
        fault: the line that the old log format has before END.
    """

    answer: Answer
    status: str
    error_type: str | None
    reason: str
    fault: str

    @property
    def shutdown_reason(self) -> str:
        return "timeout" if self.status == "timeout" else "failure"

    @property
    def out_of_memory(self) -> bool:
        return self.error_type == _OUT_OF_MEMORY


def timeout(request_id: str, seconds: float, reason: str, *, now: float, old: bool) -> Failure:
    """The function's timeout is over; ``now`` is seconds since the epoch."""
    body = text.timeout_body(request_id, seconds, old=old, now=now)
    fault = text.timeout_fault(request_id, seconds, now)
    return Failure(Answer(body, "Unhandled", _TIMED_OUT), "timeout", None, reason, fault)


def init_timeout(request_id: str, limit: float, seconds: float, *, now: float, old: bool) -> Failure:
    """Init took longer than ``limit`` seconds; a client hears of the function's timeout, if of anything."""
    return timeout(request_id, seconds, f"init took longer than {limit:.3g} s", now=now, old=old)


def runtime_exit(request_id: str, status: ExitStatus, *, old: bool) -> Failure:
    """The runtime's process has ended, or never began. In the old format out of memory was no reason of its own."""
    if status.launch_error:
        message = f"RequestId: {request_id} Error: {status.launch_error}"
        return _error(_FOLDER if status.wrong_folder else _ENTRY, message, status.launch_error)  # [C]
    message = text.exit_message(request_id, status.code, status.signal)
    error_type = _OUT_OF_MEMORY if status.out_of_memory and not old else _EXIT
    reason = "out of memory" if status.out_of_memory else message.partition("Error: ")[2]
    return _error(error_type, message, reason)


def runtime_init_error(body: bytes, error_type: str) -> Failure:
    """The runtime said itself that the function's module-level code failed; the client gets what it said."""
    return Failure(Answer(body, "Unhandled", error_type), "error", error_type, f"init failed: {error_type}", error_type)


def extension_launch(request_id: str, name: str, status: ExitStatus) -> Failure | None:
    """The program of an external extension could not be executed [C]; ``None`` where it could, whatever came then."""
    why = _LAUNCH_ERRORS.get(status.code)
    if why is None:
        return None
    message = f"RequestId: {request_id} Error: fork/exec /opt/extensions/{name}: {why}"
    return _error(_LAUNCH, message, f"extension {name} cannot be started: {why}")


def too_many_extensions(request_id: str) -> Failure:
    """There are more programs in ``/opt/extensions`` than an environment may have [C]."""
    return _error(_LAUNCH, f"RequestId: {request_id} Error: ErrTooManyExtensions", "there are more than ten extensions")


def extension_crash(request_id: str, name: str, status: ExitStatus) -> Failure:
    """The process of an external extension has ended [C]."""
    message = text.extension_exit_message(request_id, status.code, status.signal)
    return _error("Extension.Crash", message, f"extension {name} has ended: {message.partition('Error: ')[2]}")


def extension_error(request_id: str, name: str, posted: str, *, in_init: bool) -> Failure:
    """An extension said itself that it cannot go on [C]; ``posted`` is the type of error that it named."""
    error_type = "Extension.InitError" if in_init else "Extension.ExitError"
    return _error(error_type, f"RequestId: {request_id} Error: {posted}", f"extension {name} gave up: {posted}")


def _error(error_type: str, message: str, reason: str) -> Failure:
    answer = Answer(text.error_body(error_type, message), "Unhandled", error_type)
    return Failure(answer, "error", error_type, reason, text.exit_fault(message, error_type))
