"""The error tree: what a reader sees of an error, and what a client of the API gets."""

from __future__ import annotations

import json
import re

import pytest

from emulator import errors
from emulator.errors import (
    CodeStorageExceededError,
    EmulatorError,
    ForbiddenError,
    FunctionNotFoundError,
    IllegalTransitionError,
    InvalidParameterValueError,
    InvalidRequestContentError,
    NotImplementedHereError,
    PolicyLengthExceededError,
    PreconditionFailedError,
    ProvisionedConfigNotFoundError,
    RequestError,
    RequestTooLargeError,
    ResourceConflictError,
    SandboxError,
    SerializationError,
    ServiceError,
    ThrottledError,
    UnknownOperationError,
    UnsupportedMediaTypeError,
    ValidationError,
    one_error,
)

CLASSES = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]


def drawn_tree() -> dict[str, str | None]:
    """Class name -> name of its parent, as the module's docstring draws it."""
    parents: dict[str, str | None] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if match := re.match(r"^ {4}([│├└─ ]*)([A-Z]\w*Error)\b", line):
            depth, name = len(match[1]) // 4, match[2]
            above[depth:] = [name]
            parents[name] = above[depth - 1] if depth else None
    return parents


def test_the_docstring_draws_the_tree_as_it_is() -> None:
    """The drawing names every class of the module once, below the class it is derived from."""
    classes = {value.__name__: value for value in CLASSES}
    assert drawn_tree() == {
        name: None if value is EmulatorError else value.__bases__[0].__name__ for name, value in classes.items()
    }


def test_every_error_is_below_one_root() -> None:
    """Whoever catches EmulatorError has caught every error that the emulator raises on purpose."""
    assert all(issubclass(value, EmulatorError) for value in CLASSES)


def test_an_error_prints_its_cure_below_its_message() -> None:
    """Message and cure stay apart for programs and come together for people."""
    error = EmulatorError("the engine does not answer", cure="Start it.")
    assert (error.message, error.cure) == ("the engine does not answer", "Start it.")
    assert str(error) == "the engine does not answer\nStart it."


def test_an_error_without_a_cure_is_its_message() -> None:
    """No empty line is left where there is nothing to say."""
    assert str(EmulatorError("the engine does not answer")) == "the engine does not answer"


def test_an_illegal_transition_names_state_and_event() -> None:
    """Both are in the message and can be asked for."""
    error = IllegalTransitionError("gone", "invoke")
    assert (error.state, error.event) == ("gone", "invoke")
    assert "gone" in error.message
    assert "invoke" in error.message


# One row an error: status, x-amzn-ErrorType, and the body in AWS's own, inconsistent spelling.
WIRE = [
    (
        FunctionNotFoundError("Function not found: arn:aws:lambda:us-east-1:123456789012:function:nope:$LATEST"),
        404,
        "ResourceNotFoundException",
        '{"Type":"User","Message":"Function not found: arn:aws:lambda:us-east-1:123456789012:function:nope:$LATEST"}',
    ),
    (InvalidRequestContentError("m"), 400, "InvalidRequestContentException", '{"Type":"User","message":"m"}'),
    (InvalidParameterValueError("m"), 400, "InvalidParameterValueException", '{"Type":"User","message":"m"}'),
    (ValidationError("m"), 400, "ValidationException", '{"message":"m"}'),
    (RequestTooLargeError("m"), 413, "RequestEntityTooLargeException", '{"Type":"User","Message":"m"}'),
    (
        ThrottledError("ReservedFunctionConcurrentInvocationLimitExceeded"),
        429,
        "TooManyRequestsException",
        '{"Reason":"ReservedFunctionConcurrentInvocationLimitExceeded","Type":"User","message":"Rate Exceeded."}',
    ),
    (
        ForbiddenError("m"),
        403,
        "AccessDeniedException",
        '{"Type":"User","Message":"m"}',
    ),  # ours: AWS has no pages to fear
    (
        ProvisionedConfigNotFoundError("m"),
        404,
        "ProvisionedConcurrencyConfigNotFoundException",
        '{"Type":"User","message":"m"}',
    ),
    (ResourceConflictError("m"), 409, "ResourceConflictException", '{"Type":"User","message":"m"}'),
    (PreconditionFailedError("m"), 412, "PreconditionFailedException", '{"Type":"User","message":"m"}'),
    (PolicyLengthExceededError("m"), 400, "PolicyLengthExceededException", '{"Type":"User","message":"m"}'),
    (CodeStorageExceededError("m"), 400, "CodeStorageExceededException", '{"Type":"User","message":"m"}'),
    (SerializationError("m"), 400, "SerializationException", '{"Message":"m"}'),
    (UnknownOperationError("m"), 404, "UnknownOperationException", '{"message":"m"}'),
    (UnsupportedMediaTypeError("m"), 415, "UnsupportedMediaTypeException", '{"Type":"User","message":"m"}'),
    (NotImplementedHereError("m"), 501, "NotImplementedException", '{"Type":"User","Message":"m"}'),  # ours
    (ServiceError("m", cure="c"), 502, "ServiceException", '{"Type":"Service","Message":"m\\nc"}'),
]


@pytest.mark.parametrize(("error", "status", "code", "body"), WIRE, ids=lambda value: type(value).__name__)
def test_a_request_error_has_the_recorded_status_code_and_body(
    error: RequestError, status: int, code: str, body: str
) -> None:
    """Status, error type and body, members in their order, are what AWS was recorded to answer."""
    assert error.status == status
    assert error.code == code
    assert json.dumps(error.body(), separators=(",", ":")) == body


def test_every_request_error_is_in_the_table() -> None:
    """A new request error cannot come without its recorded wire form."""
    listed = {type(row[0]) for row in WIRE}
    assert listed == {kind for kind in CLASSES if issubclass(kind, RequestError) and kind is not RequestError}


def grouped(*inner: Exception) -> ExceptionGroup:
    return ExceptionGroup("tasks", list(inner))


def test_an_error_that_is_alone_in_its_groups_comes_out_as_itself() -> None:
    """However deep task groups have wrapped it, with the cause it had."""
    error, cause = SandboxError("no interpreter"), OSError("missing")
    error.__cause__ = cause
    with pytest.raises(SandboxError) as caught, one_error():
        raise grouped(grouped(error))
    assert caught.value is error
    assert caught.value.__cause__ is cause


@pytest.mark.parametrize(
    "group",
    [grouped(SandboxError("a"), SandboxError("b")), grouped(ValueError("not ours")), grouped(grouped(ValueError()))],
)
def test_several_errors_and_those_of_others_stay_in_their_group(group: ExceptionGroup) -> None:
    """Nothing is hidden to look simpler than it is."""
    with pytest.raises(ExceptionGroup) as caught, one_error():
        raise group
    assert caught.value is group


def test_an_error_outside_any_group_is_passed_on() -> None:
    """As is everything else that is raised, or not."""
    with pytest.raises(SandboxError, match="plain"), one_error():
        raise SandboxError("plain")
    with one_error():
        assert True
