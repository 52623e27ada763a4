"""The texts of AWS, compared byte by byte with what was recorded."""

from __future__ import annotations

import datetime
import json
import math
import re
import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from emulator import text
from emulator.model import EnvironmentId, Function, Logging, Report, RequestId

ID = "8476a536-e9f4-11e8-9739-2dfe598c3fcd"


def report(**values: Any) -> Report:
    known: dict[str, Any] = {
        "request_id": RequestId(ID),
        "environment_id": EnvironmentId("e"),
        "log_stream": "s",
        "cold_start": True,
        "duration_ms": 3.01,
        "billed_ms": 4,
        "memory_mb": 128,
        "max_memory_mb": 36,
        "init_ms": 110.1,
    }
    return Report(**(known | values))


def test_start_and_end_lines_are_as_recorded() -> None:
    """START names the version, END does not."""
    assert text.start_line(ID) == "START RequestId: 8476a536-e9f4-11e8-9739-2dfe598c3fcd Version: $LATEST\n"
    assert text.end_line(ID) == "END RequestId: 8476a536-e9f4-11e8-9739-2dfe598c3fcd\n"


def test_the_report_of_a_cold_start_is_as_recorded() -> None:
    """Tabs between the parts and one behind the last, two decimals, billed as a whole number."""
    assert text.report_line(report()) == (
        "REPORT RequestId: 8476a536-e9f4-11e8-9739-2dfe598c3fcd\tDuration: 3.01 ms\tBilled Duration: 4 ms\t"
        "Memory Size: 128 MB\tMax Memory Used: 36 MB\tInit Duration: 110.10 ms\t\n"
    )


def test_the_report_of_a_warm_start_has_no_init_duration() -> None:
    """The part is left out, not left empty."""
    assert text.report_line(report(init_ms=None)) == (
        "REPORT RequestId: 8476a536-e9f4-11e8-9739-2dfe598c3fcd\tDuration: 3.01 ms\tBilled Duration: 4 ms\t"
        "Memory Size: 128 MB\tMax Memory Used: 36 MB\t\n"
    )


def test_the_report_of_a_timeout_says_so_and_names_no_error_type() -> None:
    """A timeout has a status and nothing else."""
    line = text.report_line(report(init_ms=84.0, status="timeout", error_type="Sandbox.Timedout"))
    assert "\tInit Duration: 84.00 ms\tStatus: timeout\t\n" in line
    assert "Error Type" not in line


def test_the_report_of_a_crash_names_its_error_type() -> None:
    """Status and error type stand behind each other, in this order."""
    line = text.report_line(report(init_ms=84.0, status="error", error_type="Runtime.ExitError"))
    assert "\tInit Duration: 84.00 ms\tStatus: error\tError Type: Runtime.ExitError" in line


def test_an_old_report_does_not_say_how_it_ended() -> None:
    """Status and error type are left out, all else is as it was."""
    failed = report(status="error", error_type="Runtime.ExitError")
    assert text.report_line(failed, old=True) == text.report_line(report())


def test_a_handled_error_does_not_show_in_the_report() -> None:
    """An error type without a status is for logs and telemetry only."""
    assert text.report_line(report(error_type="Runtime.Unknown")) == text.report_line(report())


def test_init_report_lines_are_as_recorded() -> None:
    """With an error type where there is one, without a trailing tab."""
    assert text.init_report_line(150.79, "init", "error", "Runtime.UserCodeSyntaxError") == (
        "INIT_REPORT Init Duration: 150.79 ms\tPhase: init\tStatus: error\tError Type: Runtime.UserCodeSyntaxError\n"
    )
    assert text.init_report_line(9999.79, "init", "timeout", None) == (
        "INIT_REPORT Init Duration: 9999.79 ms\tPhase: init\tStatus: timeout\n"
    )


def test_init_start_has_the_recorded_form_and_does_not_pretend_to_be_aws() -> None:
    """The runtime is written ``python:3.13`` as there, and marked as emulated."""
    line = text.init_start_line("python3.13")
    assert line.startswith("INIT_START Runtime Version: python:3.13.")
    assert "emulated" in line
    assert line.endswith("\t\n")


@pytest.mark.parametrize(
    ("runtime", "version"),
    [
        ("nodejs20.x", "nodejs:20"),
        ("java8.al2", "java:8.al2"),
        ("provided.al2023", "provided:al2023"),
        ("of-mine", "of-mine"),
    ],
)
def test_a_runtimes_version_is_written_as_there(runtime: str, version: str) -> None:
    """As the tag of its image; one that AWS does not know keeps its name."""
    assert text.runtime_version(runtime) == f"{version}.emulated"


@pytest.mark.parametrize(
    ("duration", "init", "billed"),
    [
        (133.61, 80.0, 214),  # both examples of AWS's documentation
        (3016.78, 84.0, 3101),
        (3.01, None, 4),
        (3.0, None, 3),
        (0.0, None, 0),
        (0.1, 0.2, 1),
        (0.1 + 0.2 - 0.3 + 5.0, None, 5),  # an error in the last place of a float is not a millisecond
    ],
)
def test_billed_is_duration_and_init_rounded_up_together(duration: float, init: float | None, billed: int) -> None:
    """Whole milliseconds, and never one more for a rounding error."""
    assert text.billed_milliseconds(duration, init) == billed


@given(duration=st.floats(0, 900_000), init=st.none() | st.floats(0, 10_000))
def test_billed_is_never_less_than_what_ran_and_never_a_whole_millisecond_more(
    duration: float, init: float | None
) -> None:
    """Apart from a millionth of a millisecond, which no clock here can tell."""
    ran = duration + (init or 0.0)
    billed = text.billed_milliseconds(duration, init)
    assert ran - 1e-6 <= billed < ran + 1 + 1e-6
    assert billed in (math.ceil(ran), math.ceil(ran - 1e-6))


def test_the_timeout_answer_is_as_recorded() -> None:
    """The error type stands first, the seconds have two decimals, and ``Timedout`` has a small d."""
    assert text.timeout_body(ID, 1) == (
        b'{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: 8476a536-e9f4-11e8-9739-2dfe598c3fcd '
        b'Error: Task timed out after 1.00 seconds"}'
    )


def test_the_old_timeout_answer_is_as_recorded() -> None:
    """No error type, and the moment stands in the message."""
    assert text.timeout_body(ID, 1, old=True, now=1_712_595_382.1234) == (
        b'{"errorMessage":"2024-04-08T16:56:22.123Z 8476a536-e9f4-11e8-9739-2dfe598c3fcd '
        b'Task timed out after 1.00 seconds"}'
    )


def test_old_logs_tell_failures_before_end() -> None:
    """A timeout with its moment and an empty line behind it, an exit in two lines."""
    assert text.timeout_fault(ID, 3, 1_709_572_958.033) + "\n" == (
        "2024-03-04T17:22:38.033Z 8476a536-e9f4-11e8-9739-2dfe598c3fcd Task timed out after 3.00 seconds\n\n"
    )
    assert text.exit_fault(text.exit_message(ID, 0, None), "Runtime.ExitError") + "\n" == (
        "RequestId: 8476a536-e9f4-11e8-9739-2dfe598c3fcd Error: Runtime exited without providing a reason\n"
        "Runtime.ExitError\n"
    )


@pytest.mark.parametrize(
    ("code", "signal", "reason"),
    [(0, None, "exit code 0"), (1, None, "exit status 1"), (None, 9, "signal: killed"), (None, None, "exit code 0")],
)
def test_an_extension_that_has_ended_is_told_in_the_words_of_the_agent(
    code: int | None, signal: int | None, reason: str
) -> None:
    """A clean exit has words of its own."""
    assert text.extension_exit_message(ID, code, signal) == f"RequestId: {ID} Error: {reason}"


def test_lines_of_extensions_are_as_recorded() -> None:
    """Tabs between the parts, blanks in the lists, types with capitals."""
    assert text.extension_line("x", "Ready", ["INVOKE", "SHUTDOWN"]) == (
        "EXTENSION\tName: x\tState: Ready\tEvents: [INVOKE, SHUTDOWN]\n"
    )
    assert text.extension_line("x", "InitError", [], "Extension.Bad") == (
        "EXTENSION\tName: x\tState: InitError\tEvents: []\tError Type: Extension.Bad\n"
    )
    assert text.subscription_line("telemetry", "x", ["platform", "function"]) == (
        "TELEMETRY\tName: x\tState: Subscribed\tTypes: [Platform, Function]\n"
    )
    assert text.subscription_line("logs", "x", ["platform"]) == (
        "LOGS\tName: x\tState: Subscribed\tTypes: [Platform]\n"
    )


def test_the_answer_of_an_exit_is_as_recorded() -> None:
    """Type first, then the message with the request's id."""
    assert text.error_body("Runtime.ExitError", text.exit_message(ID, 0, None)) == (
        b'{"errorType":"Runtime.ExitError","errorMessage":"RequestId: 8476a536-e9f4-11e8-9739-2dfe598c3fcd '
        b'Error: Runtime exited without providing a reason"}'
    )


@pytest.mark.parametrize(
    ("code", "signal", "reason"),
    [
        (0, None, "Runtime exited without providing a reason"),
        (None, None, "Runtime exited without providing a reason"),
        (1, None, "Runtime exited with error: exit status 1"),
        (127, None, "Runtime exited with error: exit status 127"),
        (None, 9, "Runtime exited with error: signal: killed"),
        (None, 11, "Runtime exited with error: signal: segmentation fault"),
        (None, 6, "Runtime exited with error: signal: aborted"),
        (None, 15, "Runtime exited with error: signal: terminated"),
        (None, 34, "Runtime exited with error: signal: signal 34"),
    ],
)
def test_an_exit_is_told_in_the_words_of_the_agent(code: int | None, signal: int | None, reason: str) -> None:
    """Exit codes by number, signals by name, and a clean exit without a reason."""
    assert text.exit_message(ID, code, signal) == f"RequestId: {ID} Error: {reason}"


def test_the_answer_for_too_large_a_response_is_as_recorded() -> None:
    """The message stands first here, and names the limit."""
    assert text.response_too_large_body() == (
        b'{"errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes).",'
        b'"errorType":"Function.ResponseSizeTooLarge"}'
    )


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("Runtime.ImportModuleError", "Runtime.ImportModuleError"),
        ("Function.MyError", "Function.MyError"),
        ("prefix Runtime.Xy suffix", "prefix Runtime.Xy suffix"),  # the agent's pattern is not anchored
        ("Function.lower", "Function.Unknown"),
        ("Function.", "Function.Unknown"),
        ("Function.X", "Function.Unknown"),  # one letter is not enough for the pattern
        ("Runtime.lower", "Runtime.Unknown"),
        ("Exception", "Runtime.Unknown"),
        ("", "Runtime.Unknown"),
        (None, "Runtime.Unknown"),
    ],
)
def test_an_error_type_passes_only_in_the_agents_form(sent: str | None, kept: str) -> None:
    """Whatever else a runtime sends becomes ``Unknown`` of its family."""
    assert text.filter_error_type(sent) == kept


def test_json_has_no_blanks_and_keeps_its_letters() -> None:
    """Nothing between the members, and no escapes where UTF-8 will do."""
    assert text.to_json({"a": [1, "ä"], "b": None}) == '{"a":[1,"ä"],"b":null}'.encode()
    assert text.to_json("a file's \udcff") == b'"a file\'s ?"'


def test_the_log_stream_carries_day_version_and_environment() -> None:
    """The day is that of UTC."""
    stream = text.log_stream_name(1_723_939_199.9, "60cefc4c4d174d898e4dbb301f9f10ef")
    assert stream == "2024/08/17/[$LATEST]60cefc4c4d174d898e4dbb301f9f10ef"


def test_a_log_group_of_ones_own_has_the_function_in_the_names_of_its_streams() -> None:
    """As recorded in 2026; without such a group both names are the usual ones."""
    own = Function(name="fn", code=Path(), logging=Logging(group="shared"))
    usual = Function(name="fn", code=Path())
    assert text.log_stream_name(1_723_939_199.9, "60ce", own) == "2024/08/17/fn[$LATEST]60ce"
    assert text.log_stream_name(1_723_939_199.9, "60ce", usual) == "2024/08/17/[$LATEST]60ce"
    assert (own.log_group, usual.log_group) == ("shared", "/aws/lambda/fn")


@given(moment=st.integers(0, 4_000_000_000_000))
def test_a_moment_has_milliseconds(moment: int) -> None:
    """Three digits, rounded and not cut, in UTC."""
    expected = datetime.datetime.fromtimestamp(moment // 1000, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S")
    assert text.iso_time(moment / 1000) == f"{expected}.{moment % 1000:03d}Z"


def test_an_arn_has_a_qualifier_only_if_the_caller_gave_one() -> None:
    """As invoked: unqualified stays unqualified."""
    arn = "arn:aws:lambda:us-east-1:123456789012:function:fn"
    assert text.function_arn("us-east-1", "123456789012", "fn") == arn
    assert text.function_arn("us-east-1", "123456789012", "fn", "$LATEST") == f"{arn}:$LATEST"


def test_request_ids_are_uuids_and_differ() -> None:
    """Version 4, in the usual spelling."""
    first, second = text.new_request_id(), text.new_request_id()
    assert first != second
    assert str(uuid.UUID(first)) == first
    assert uuid.UUID(first).version == 4


def test_a_trace_id_has_the_form_of_x_ray() -> None:
    """Root with the moment in hexadecimal, parent, and not sampled."""
    trace = text.new_trace_id(1_542_409_706.9)
    assert re.fullmatch(r"Root=1-5bef4dea-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0", trace)
    assert trace != text.new_trace_id(1_542_409_706.9)


_JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(value=_JSON_VALUES, is_plain=st.booleans(), place=st.integers(0), change=st.binary(max_size=3))
def test_json_is_what_the_grammar_says(value: object, is_plain: bool, place: int, change: bytes) -> None:
    """Whatever byte is put in or taken out: the same is taken as by a parser that makes something of it."""
    whole = json.dumps(value, ensure_ascii=is_plain).encode(errors="replace")
    assert text.is_json(whole)
    place %= len(whole) + 1
    changed = whole[:place] + change + whole[place + 1 :]
    assume(rb"\u" not in changed.lower())  # half a surrogate pair is not taken, nor has it ever been
    assert text.is_json(changed) == _is_parsed(changed)


def _is_parsed(payload: bytes) -> bool:
    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is Python's")

    try:
        json.loads(payload.decode(), parse_constant=refuse)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(
    "payload", [b"", b" ", b"NaN", b"-Infinity", b'"\xff"', b"\xef\xbb\xbf1", b"[" * 99_999, b"1 2", b'"a\nb"', b"01"]
)
def test_what_is_no_json(payload: bytes) -> None:
    """Nor is what only some parsers take, or what nobody could take apart again."""
    assert not text.is_json(payload)
    assert text.not_json(payload).startswith("Could not parse request body into json: ")
