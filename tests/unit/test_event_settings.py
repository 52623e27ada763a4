"""What can be said of asynchronous events, and how a wrong word is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from emulator.errors import ConfigurationError
from emulator.event_settings import Asynchronous, Destination
from emulator.model import Function


@pytest.mark.parametrize(
    ("given", "destination"),
    [
        ("function:ship", Destination("function:ship", function="ship")),
        ("ship", Destination("ship", function="ship")),
        ("ship:$LATEST", Destination("ship:$LATEST", function="ship")),
        (
            "arn:aws:lambda:us-east-1:123456789012:function:ship",
            Destination("arn:aws:lambda:us-east-1:123456789012:function:ship", function="ship"),
        ),
        ("file:out/failed.jsonl", Destination("file:out/failed.jsonl", file="out/failed.jsonl")),
        ("file:/tmp/x", Destination("file:/tmp/x", file="/tmp/x")),
        ("http://127.0.0.1:8000/hook?a=b", Destination("http://127.0.0.1:8000/hook?a=b", address="http://127.0.0.1:8000/hook?a=b")),
        ("https://example.com", Destination("https://example.com", address="https://example.com")),
    ],
)  # fmt: skip
def test_a_destination_is_a_function_a_file_or_an_address(given: str, destination: Destination) -> None:
    """In each of the forms in which it can be named."""
    assert Destination.of(given) == destination


@pytest.mark.parametrize(
    "given",
    [
        "",
        "file:",
        "http://",
        "http://host:99999",
        "arn:aws:sqs:us-east-1:123456789012:dead",
        "ftp://example.com",
        "two words",
        "ship:7",
    ],
)
def test_what_is_none_of_them_is_refused(given: str) -> None:
    """With what it could have been; AWS's queues are not there."""
    with pytest.raises(ConfigurationError) as caught:
        Asynchronous(on_failure=given)
    assert "function:NAME" in caught.value.cure


@pytest.mark.parametrize(
    ("settings", "cure"),
    [
        ({"retries": 3}, "0, 1 or 2"),
        ({"retries": -1}, "0, 1 or 2"),
        ({"retries": True}, "0, 1 or 2"),
        ({"max_age": 59}, "60 to 21,600"),
        ({"max_age": 21_601}, "60 to 21,600"),
    ],
)
def test_numbers_have_awss_limits(settings: dict[str, Any], cure: str) -> None:
    """Both ends are allowed, and nothing beyond them."""
    with pytest.raises(ConfigurationError) as caught:
        Asynchronous(**settings)
    assert cure in caught.value.cure
    Asynchronous(retries=0, max_age=60)
    Asynchronous(retries=2, max_age=21_600)


def test_a_function_takes_them_as_a_mapping() -> None:
    """With the same checks; a wrong name is told."""
    function = Function(name="orders", code=Path(), asynchronous={"retries": 1, "dead_letter": "file:dead"})  # type: ignore[arg-type]
    assert function.asynchronous == Asynchronous(retries=1, dead_letter="file:dead")
    with pytest.raises(ConfigurationError, match="function orders: asynchronous has no retrys"):
        Function(name="orders", code=Path(), asynchronous={"retrys": 1})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "settings",
    [
        Asynchronous(on_success="function:orders"),
        Asynchronous(on_failure="orders"),
        Asynchronous(dead_letter="arn:aws:lambda:us-east-1:123456789012:function:orders"),
    ],
)
def test_a_function_is_no_destination_for_itself(settings: Asynchronous) -> None:
    """As on AWS."""
    with pytest.raises(ConfigurationError, match="a destination for itself"):
        Function(name="orders", code=Path(), asynchronous=settings)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"reserved_concurrency": -1}, "reserved_concurrency is -1"),
        ({"reserved_concurrency": True}, "reserved_concurrency is True"),
        ({"provisioned_concurrency": -1}, "provisioned_concurrency is -1"),
        ({"reserved_concurrency": 0, "provisioned_concurrency": 1}, "is lower than its provisioned_concurrency 1"),
    ],
)
def test_concurrency_of_a_function_is_checked(settings: dict[str, Any], complaint: str) -> None:
    """Nothing negative, and what is initialised ahead fits into what is reserved."""
    with pytest.raises(ConfigurationError, match=complaint):
        Function(name="orders", code=Path(), **settings)
    Function(name="orders", code=Path(), reserved_concurrency=1, provisioned_concurrency=1)
