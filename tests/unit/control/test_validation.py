"""What the model allows, and how AWS says that it does not."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from emulator.control.service_model import load_service_model
from emulator.control.validation import _compiled, check_request
from emulator.errors import InvalidParameterValueError, ValidationError

model = load_service_model()
FUNCTION = {"FunctionName": "a", "Role": "arn:aws:iam::123456789012:role/r", "Code": {}}


def problems(shape: str, request: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as refused:
        check_request(model, model.shape(shape), request)
    return refused.value.message


def test_a_valid_request_passes() -> None:
    """Nothing is said of what is as it has to be."""
    check_request(model, model.shape("CreateFunctionRequest"), {**FUNCTION, "Timeout": 900, "Runtime": "python3.12"})


def test_a_name() -> None:
    """The recorded sentence, with the pattern of the model [R]."""
    message = problems("GetFunctionRequest", {"FunctionName": "not a name"})
    assert message.startswith(
        "1 validation error detected: Value 'not a name' at 'functionName' failed to satisfy constraint: "
        "Member must satisfy regular expression pattern: (arn:"
    )


def test_several_at_once() -> None:
    """All problems are told, and their number."""
    message = problems("CreateFunctionRequest", {**FUNCTION, "Timeout": 0, "MemorySize": 1, "Role": None})
    assert message.startswith("3 validation errors detected: Value null at 'role' failed to satisfy constraint: ")
    assert "Value '0' at 'timeout' failed to satisfy constraint: Member must have value greater than or equal to 1" in (
        message
    )
    assert message.count("; ") == 2


def test_members_of_lists() -> None:
    """Of a list all constraints of its members are told, as recorded."""
    message = problems("CreateFunctionRequest", {**FUNCTION, "Architectures": ["foo", "arm64"]})
    assert (
        "Value '[foo, arm64]' at 'architectures' failed to satisfy constraint: Member must have length less than"
        in message
    )
    message = problems("CreateFunctionRequest", {**FUNCTION, "Architectures": ["foo"]})
    assert message == (
        "1 validation error detected: Value '[foo]' at 'architectures' failed to satisfy constraint: Member must "
        "satisfy constraint: [Member must satisfy enum value set: [x86_64, arm64], Member must not be null]"
    )


def test_maps_and_structures_below() -> None:
    """The path to a member is told with full stops; secrets are not repeated."""
    message = problems("CreateFunctionRequest", {**FUNCTION, "Environment": {"Variables": {"1": "secret"}}})
    assert "at 'environment.variables' failed to satisfy constraint: Map keys must satisfy constraint: [" in message
    assert "secret" not in message
    message = problems(
        "CreateFunctionRequest",
        {**FUNCTION, "FileSystemConfigs": [{"Arn": "x", "LocalMountPath": "/mnt/x"}]},
    )
    assert "at 'fileSystemConfigs.1.member.arn'" in message


def test_null_in_a_list() -> None:
    """An element that is nothing is refused, wherever it is."""
    assert "Member must not be null" in problems("CreateFunctionRequest", {**FUNCTION, "Layers": [None]})
    message = problems("CreateFunctionRequest", {**FUNCTION, "FileSystemConfigs": [None]})
    assert "Value null at 'fileSystemConfigs.1.member.arn'" in message


def test_a_runtime_is_looked_at_last() -> None:
    """[R] It is another error, without a number and quotes."""
    with pytest.raises(InvalidParameterValueError, match=re.escape("Value cobol at 'runtime' failed to satisfy")):
        check_request(model, model.shape("CreateFunctionRequest"), {**FUNCTION, "Runtime": "cobol"})


def test_tags() -> None:
    """Letters and digits of all scripts and blanks are fine in tags, other signs are not."""
    resource = "arn:aws:lambda:us-east-1:123456789012:function:a"
    check_request(model, model.shape("TagResourceRequest"), {"Resource": resource, "Tags": {"Größe 2": "数+x"}})
    assert "at 'tags'" in problems("TagResourceRequest", {"Resource": resource, "Tags": {"a*": "b"}})


def test_every_pattern_can_be_used_and_takes_no_time() -> None:
    """What AWS writes for Java means something here, and no text makes it think for long."""
    texts = ["a" * 2000, "a1" * 1000, "arn:aws:" * 300 + "!", "-" * 2000, "/a.b" * 500 + " ", "9" * 2000 + "x"]
    for name in model._shapes:
        if (pattern := model.shape(name).pattern) is not None:
            compiled = _compiled(pattern)
            began = time.thread_time()
            for given in texts:
                compiled.fullmatch(given)
            assert time.thread_time() - began < 5, name  # what looks back again and again takes minutes
