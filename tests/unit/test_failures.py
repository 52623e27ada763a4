"""Failures: what the client gets, what the log says, what extensions are told."""

from __future__ import annotations

import json

import pytest

from emulator import failures
from emulator.failures import Failure
from emulator.sandbox.base import ExitStatus


def _body(failure: Failure) -> dict[str, str]:
    found: dict[str, str] = json.loads(failure.answer.payload)
    return found


def test_a_timeout_in_both_formats() -> None:
    """New: type first and the request's id; old: the time in front and no type."""
    new = failures.timeout("r1", 1, "took too long", now=1712595382.123, old=False)
    assert new.answer.payload == (
        b'{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: r1 Error: Task timed out after 1.00 seconds"}'
    )
    assert (new.status, new.error_type, new.shutdown_reason) == ("timeout", None, "timeout")
    old = failures.timeout("r1", 1, "took too long", now=1712595382.123, old=True)
    assert old.answer.payload == b'{"errorMessage":"2024-04-08T16:56:22.123Z r1 Task timed out after 1.00 seconds"}'
    assert old.fault.startswith("2024-04-08T16:56:22.123Z r1 Task timed out after 1.00 seconds")


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (ExitStatus(code=0), "Runtime exited without providing a reason"),
        (ExitStatus(code=3), "Runtime exited with error: exit status 3"),
        (ExitStatus(signal=9), "Runtime exited with error: signal: killed"),
    ],
)
def test_the_end_of_a_runtime_in_words(status: ExitStatus, reason: str) -> None:
    """Recorded: three ends, three texts."""
    failure = failures.runtime_exit("r1", status, old=False)
    assert _body(failure) == {"errorType": "Runtime.ExitError", "errorMessage": f"RequestId: r1 Error: {reason}"}
    assert (failure.status, failure.shutdown_reason, failure.reason) == ("error", "failure", reason)
    assert failure.fault == f"RequestId: r1 Error: {reason}\nRuntime.ExitError"


def test_a_runtime_that_never_began_has_a_type_of_its_own() -> None:
    """Another one where the working directory is at fault; the old format is no different there."""
    status = ExitStatus(code=126, launch_error="fork/exec /var/task/bootstrap: exec format error")
    for old in (False, True):
        failure = failures.runtime_exit("r1", status, old=old)
        assert failure.never_began
        assert _body(failure) == {
            "errorType": "Runtime.InvalidEntrypoint",
            "errorMessage": "RequestId: r1 Error: fork/exec /var/task/bootstrap: exec format error",
        }
        assert failure.fault.endswith("exec format error\nRuntime.InvalidEntrypoint")
    wrong = failures.runtime_exit("r1", ExitStatus(launch_error="no folder", wrong_folder=True), old=False)
    assert (wrong.error_type, wrong.never_began) == ("Runtime.InvalidWorkingDir", True)
    assert not failures.runtime_exit("r1", ExitStatus(code=127), old=False).never_began


def test_out_of_memory_has_a_type_of_its_own_in_the_new_format_only() -> None:
    """Before, it was one more process that was killed."""
    status = ExitStatus(signal=9, out_of_memory=True)
    assert failures.runtime_exit("r1", status, old=False).out_of_memory
    old = failures.runtime_exit("r1", status, old=True)
    assert old.error_type == "Runtime.ExitError"
    assert old.answer.payload.endswith(b'signal: killed"}')


@pytest.mark.parametrize(
    ("status", "error_type", "message"),
    [
        (ExitStatus(code=0), "Extension.Crash", "exit code 0"),
        (ExitStatus(code=1), "Extension.Crash", "exit status 1"),
        (ExitStatus(signal=9), "Extension.Crash", "signal: killed"),
        (ExitStatus(code=126), "Extension.LaunchError", "fork/exec /opt/extensions/w: permission denied"),
        (ExitStatus(code=127), "Extension.LaunchError", "fork/exec /opt/extensions/w: no such file or directory"),
    ],
)
def test_the_end_of_an_extension_in_words(status: ExitStatus, error_type: str, message: str) -> None:
    """The type stands first; what could never be started says so."""
    failure = failures.extension_launch("r1", "w", status) or failures.extension_crash("r1", "w", status)
    assert failure.answer.payload == (
        f'{{"errorType":"{error_type}","errorMessage":"RequestId: r1 Error: {message}"}}'.encode()
    )
    assert failure.error_type == error_type
    assert "extension w" in failure.reason


@pytest.mark.parametrize(("in_init", "error_type"), [(True, "Extension.InitError"), (False, "Extension.ExitError")])
def test_what_an_extension_says_of_itself(in_init: bool, error_type: str) -> None:
    """The platform's type; the extension's own word is in the message."""
    failure = failures.extension_error("r1", "w", "Extension.NoConfig", in_init=in_init)
    assert _body(failure) == {"errorType": error_type, "errorMessage": "RequestId: r1 Error: Extension.NoConfig"}


def test_what_a_runtime_says_of_its_init_is_passed_on_untouched() -> None:
    """The body is the client's, byte for byte."""
    failure = failures.runtime_init_error(b'{"x": 1}', "Runtime.ImportModuleError")
    assert failure.answer.payload == b'{"x": 1}'
    assert failure.error_type == "Runtime.ImportModuleError"
