"""What an answer says of the database: codes and words, as several drivers and runtimes write them."""

from __future__ import annotations

import json

import pytest

from emulator.conditions import SeenError, error_of
from tests.unit.conditions.played import result_of


@pytest.mark.parametrize(
    ("message", "code", "words"),
    [
        (
            "(2013, 'Lost connection to MySQL server during query')",
            2013,
            "Lost connection to MySQL server during query",
        ),
        (
            '(2006, "MySQL server has gone away (BrokenPipeError(32))")',
            2006,
            "MySQL server has gone away (BrokenPipeError(32))",
        ),
        ("(pymysql.err.OperationalError) (1040, 'Too many connections')\n[SQL: x]", 1040, "Too many connections"),
        ("1205 (HY000): Lock wait timeout exceeded", 1205, "Lock wait timeout exceeded"),
        ("(0, '')", None, "the connection object is dead, and was used again"),
        ("RequestId: 7b8 Error: Task timed out after 3.00 seconds", None, "Task timed out after 3.00 seconds"),
        (
            "Connection lost: The server closed the connection.",
            None,
            "Connection lost: The server closed the connection.",
        ),
        ("order 2013 (late)", None, "order 2013 (late)"),
    ],
)
def test_an_error_s_code_and_words(message: str, code: int | None, words: str) -> None:
    """The first error that stands in what the runtime passed on; without a number, its words."""
    assert error_of(result_of({"errorMessage": message, "errorType": "X"}, failed=True)) == SeenError(code, words)


def test_an_error_without_a_message_has_its_type() -> None:
    """Something is better than nothing to go by."""
    assert error_of(result_of({"errorMessage": "", "errorType": "KeyError"}, failed=True)) == SeenError(
        None, "KeyError"
    )


def test_success_is_no_error() -> None:
    """Whatever stands in the answer or in the log."""
    assert error_of(result_of({"body": "(2013, 'Lost')"}, logs="(2013, 'Lost')")) is None
    assert error_of(result_of({"statusCode": 404})) is None
    assert error_of(result_of(["statusCode", 500])) is None


def test_an_answer_with_a_status_of_500_has_failed() -> None:
    """Its reason is often only in the log."""
    answer = {"statusCode": 500, "body": json.dumps({"message": "internal error"})}
    assert error_of(result_of(answer, logs="[ERROR] (2006, 'gone away')")) == SeenError(2006, "gone away")
    silent = error_of(result_of(answer))
    assert silent is not None
    assert "internal error" in silent.words


def test_words_are_one_line_and_not_a_page() -> None:
    """They stand in tables."""
    assert len(SeenError.of("x y\n" * 1000).words) == 300
    assert str(SeenError(1040, "Too many")) == "1040 Too many"
    assert str(SeenError(None, "late")) == "late"
