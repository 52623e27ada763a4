"""The forms in which AWS takes the name of a function."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.errors import ForbiddenError, FunctionNotFoundError, RequestError, ValidationError
from emulator.function_names import parse_function_name

REGION, ACCOUNT = "us-east-1", "123456789012"
ARN = "arn:aws:lambda:us-east-1:123456789012:function:orders"
# [R] as it stands in AWS's own validation message
PATTERN = (
    r"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?"
    r"(function:)?([a-zA-Z0-9-_\.]+)(:(\$LATEST(\.PUBLISHED)?|[a-zA-Z0-9-_]+))?"
)


@pytest.mark.parametrize(
    ("given_name", "qualifier", "parsed"),
    [
        ("orders", None, ("orders", None)),
        ("orders", "$LATEST", ("orders", "$LATEST")),
        ("orders:$LATEST", None, ("orders", "$LATEST")),
        ("orders:7", None, ("orders", "7")),
        ("orders:live", "live", ("orders", "live")),
        ("function:orders", None, ("orders", None)),
        ("123456789012:function:orders", None, ("orders", None)),
        ("123456789012:function:orders:live", None, ("orders", "live")),
        ("us-east-1:123456789012:function:orders", None, ("orders", None)),
        (ARN, None, ("orders", None)),
        (f"{ARN}:$LATEST", None, ("orders", "$LATEST")),
        (f"{ARN}:live", "live", ("orders", "live")),
        ("arn:aws-cn:lambda:us-east-1:123456789012:function:a-B_9", None, ("a-B_9", None)),
    ],
)
def test_a_function_can_be_named_in_every_form_of_lambda(
    given_name: str, qualifier: str | None, parsed: tuple[str, str | None]
) -> None:
    """Name, partial ARN and ARN, with the qualifier in the name, beside it, or both."""
    assert parse_function_name(given_name, qualifier, REGION) == parsed


@pytest.mark.parametrize("name", ["", "two words", "orders:", "orders:a:b", "ö", "arn:aws:s3:::bucket", "a/b", "a$"])
def test_what_is_no_name_is_refused_in_the_recorded_words(name: str) -> None:
    """The value and the pattern are part of the message."""
    with pytest.raises(ValidationError) as caught:
        parse_function_name(name, None, REGION)
    assert caught.value.message == (
        f"1 validation error detected: Value '{name}' at 'functionName' failed to satisfy constraint: "
        f"Member must satisfy regular expression pattern: {PATTERN}"
    )


def test_a_function_of_another_region_cannot_be_reached() -> None:
    """Both regions are named."""
    with pytest.raises(FunctionNotFoundError) as caught:
        parse_function_name("arn:aws:lambda:eu-central-1:123456789012:function:orders", None, REGION)
    assert caught.value.message == ("Functions from 'eu-central-1' are not reachable in this region ('us-east-1')")


def test_two_qualifiers_that_differ_are_refused() -> None:
    """In the recorded words."""
    with pytest.raises(RequestError) as caught:
        parse_function_name("orders:live", "7", REGION)
    assert caught.value.code == "InvalidParameterValueException"
    assert caught.value.message == (
        "The derived qualifier from the function name does not match the specified qualifier."
    )


@given(name=st.text(max_size=40), qualifier=st.none() | st.text(max_size=8))
def test_every_text_is_a_name_or_refused(name: str, qualifier: str | None) -> None:
    """Nothing else can come of it, and a name is never empty."""
    try:
        parsed, _ = parse_function_name(name, qualifier, REGION)
    except RequestError:
        return
    assert parsed


@pytest.mark.parametrize("name", ["999999999999:function:orders", ARN.replace(ACCOUNT, "999999999999")])
def test_a_function_of_another_account_is_not_ours_to_touch(name: str) -> None:
    """As AWS says it to who has no permission; without an account to compare with, it is not looked at."""
    with pytest.raises(ForbiddenError) as caught:
        parse_function_name(name, None, REGION, ACCOUNT)
    assert name in caught.value.message
    assert parse_function_name(name, None, REGION) == ("orders", None)
