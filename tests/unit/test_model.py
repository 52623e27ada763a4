"""The records: what a function may be, and that records stay what they were."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import pytest

from emulator import model
from emulator.errors import ConfigurationError
from emulator.model import Function


def make(**values: Any) -> Function:
    return Function(**({"name": "orders", "code": "."} | values))


def test_a_function_has_the_defaults_of_lambda() -> None:
    """128 MiB, 3 s, 512 MiB of /tmp, and the Python that runs the emulator."""
    function = Function(name="orders", code=Path("code"))
    assert (function.memory, function.timeout, function.ephemeral_storage) == (128, 3, 512)
    assert function.handler == "app.handler"
    assert function.runtime == f"python{sys.version_info.major}.{sys.version_info.minor}"
    assert (dict(function.environment), function.image, function.policy) == ({}, None, {})


def test_code_may_be_a_string() -> None:
    """Users write plain strings; everything inside gets a path."""
    function: Any = make(code="sample_functions/counter")
    assert function.code == Path("sample_functions/counter")


RANGES = [("memory", 128, 10_240), ("timeout", 1, 900), ("ephemeral_storage", 512, 10_240)]


@pytest.mark.parametrize(("key", "low", "high"), RANGES)
def test_both_ends_of_a_range_are_allowed(key: str, low: int, high: int) -> None:
    """Lambda's limits themselves are usable values."""
    assert getattr(make(**{key: low}), key) == low
    assert getattr(make(**{key: high}), key) == high


@pytest.mark.parametrize(("key", "low", "high"), RANGES)
def test_what_is_outside_a_range_is_refused_with_the_range(key: str, low: int, high: int) -> None:
    """The message names function, key and value; the cure names both limits."""
    for value in (low - 1, high + 1, 0, -1, float(low), str(low), True, None):
        with pytest.raises(ConfigurationError) as caught:
            make(**{key: value})
        assert caught.value.message == f"function orders: {key} is {value!r}"
        assert f"{low:,} to {high:,}" in caught.value.cure


@pytest.mark.parametrize("name", ["a", "A-b_9", "x" * 64])
def test_a_name_of_lambda_is_a_name(name: str) -> None:
    """Letters, digits, hyphens and underscores, 64 of them at most."""
    assert make(name=name).name == name


@pytest.mark.parametrize("name", ["", "x" * 65, "two words", "a.b", "ö", "orders\n", "a/b", "orders:1"])
def test_what_is_no_name_is_refused(name: str) -> None:
    """The complaint shows the name as it was given."""
    with pytest.raises(ConfigurationError, match="is not a function name") as caught:
        make(name=name)
    assert repr(name) in caught.value.message


@pytest.mark.parametrize("handler", ["", "   "])
def test_an_empty_handler_is_refused(handler: str) -> None:
    """There would be nothing to call."""
    with pytest.raises(ConfigurationError, match="handler is empty"):
        make(handler=handler)


def test_only_an_image_needs_no_code() -> None:
    """Its handler is the last word of what it is told to run."""
    with pytest.raises(ConfigurationError, match="function orders: code is missing"):
        Function(name="orders")
    image = Function(name="orders", image="mine:1", command=["-m", "app.handler"], handler="ignored")
    assert (image.is_image, image.handler) == (True, "app.handler")
    assert Function(name="orders", image="mine:1").handler == ""
    assert not make(image="base:1").is_image


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"entry_point": "/bin/app"}, "entry_point is '/bin/app'"),
        ({"command": ["run", 1]}, r"command is \['run', 1\]"),
        ({"command": ["x"] * 1501}, "command has 1,501 words"),
        ({"working_directory": 1}, "working_directory is 1"),
        ({"working_directory": "/" * 1001}, "working_directory has 1,001 characters"),
        ({"image": None, "entry_point": ["/bin/app"]}, "entry_point, command and working_directory are for images"),
        ({"image": None, "command": ["run"]}, "entry_point, command and working_directory are for images"),
        ({"image": None, "working_directory": "/srv"}, "entry_point, command and working_directory are for images"),
        ({"runtime": " "}, "runtime is empty"),
    ],
)
def test_what_aws_would_not_run_in_an_image_is_refused(settings: dict[str, Any], complaint: str) -> None:
    """[D] 1,500 words, 1,000 characters; and only an image has something to be run instead."""
    with pytest.raises(ConfigurationError, match=complaint):
        make(**({"image": "mine:1"} | settings))


def test_what_an_image_runs_is_kept_as_it_was_said() -> None:
    """AWS takes a folder that is none, too: it says so when the function starts."""
    words = ["x"] * 1500
    function = make(image="mine:1", entry_point=words, command=(), working_directory="no/path")
    assert (function.entry_point, function.command, function.working_directory) == (tuple(words), (), "no/path")


# [D] the list of configuration-envvars, written down from the fact sheet
RESERVED = [
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_LAMBDA_RUNTIME_API",
    "LAMBDA_TASK_ROOT",
    "LAMBDA_RUNTIME_DIR",
]


@pytest.mark.parametrize("key", RESERVED)
def test_lambdas_own_variables_cannot_be_set(key: str) -> None:
    """A function that set one would be refused by Lambda too."""
    with pytest.raises(ConfigurationError, match=f"environment variable {key} is reserved"):
        make(environment={key: "x"})


@pytest.mark.parametrize("key", ["", "A", "_A", "_HANDLER", "1A", "A-B", "A B", "Ä1"])
def test_a_variable_needs_a_name_that_lambda_takes(key: str) -> None:
    """A letter first, then letters, digits and underscores, two characters or more."""
    with pytest.raises(ConfigurationError, match="environment variable"):
        make(environment={key: "x"})


@pytest.mark.parametrize("key", ["TZ", "PATH", "PYTHONPATH", "AWS_LAMBDA_EXEC_WRAPPER", "DB_HOST", "a1"])
def test_other_variables_can_be_set(key: str) -> None:
    """Also those that Lambda sets but does not reserve."""
    assert make(environment={key: "x"}).environment[key] == "x"


@pytest.mark.parametrize("value", [1, None, True, ["x"]])
def test_values_of_variables_are_strings(value: object) -> None:
    """A number would be a string to the function anyway; the user is told instead of surprised."""
    with pytest.raises(ConfigurationError, match="Values of variables are strings"):
        make(environment={"KEY": value})


def test_all_variables_together_may_take_4_kb() -> None:
    """Measured as Lambda measures: as one JSON object."""
    frame = len('{"KEY":""}')
    assert make(environment={"KEY": "x" * (4096 - frame)})
    with pytest.raises(ConfigurationError, match="4,097 bytes"):
        make(environment={"KEY": "x" * (4097 - frame)})


RECORDS = [
    value
    for name in model.__all__
    if dataclasses.is_dataclass(value := getattr(model, name)) and isinstance(value, type)
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
def test_records_are_frozen_and_slotted(record: Any) -> None:
    """What was handed out cannot be changed behind the back of whoever holds it."""
    assert record.__dataclass_params__.frozen
    assert "__slots__" in vars(record)


def test_the_limits_are_those_of_the_fact_sheet() -> None:
    """6 MiB in, 6 MiB and 100 bytes out, 1 MiB for events."""
    assert model.MAX_PAYLOAD_BYTES == 6_291_456
    assert model.MAX_RESPONSE_BYTES == 6_291_556
    assert model.MAX_EVENT_PAYLOAD_BYTES == 1_048_576


@pytest.mark.parametrize(
    "given",
    [
        {"handler": "app\0.handler"},
        {"environment": {"STAGE": "a\0b"}},
        {"image": "shop:1", "command": ["\0"]},
        {"image": "shop:1", "entry_point": ["\0"]},
        {"image": "shop:1", "working_directory": "\0"},
    ],
)
def test_no_word_for_a_process_has_a_nul_in_it(given: dict[str, Any]) -> None:
    """No program can be started with one: it is refused here, and not found out when an environment starts."""
    with pytest.raises(ConfigurationError, match="has a NUL in it"):
        make(**given)


def test_a_version_is_told_from_its_function_by_its_key() -> None:
    """What is deployed is known by its name alone."""
    function = Function(name="orders", code=Path("/code"))
    assert (function.version, function.key) == ("$LATEST", "orders")
    assert dataclasses.replace(function, version="3").key == "orders:3"
