"""Whether an answer is one that the service model in botocore allows, down to the spelling of its members."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel, Shape
from botocore.parsers import create_parser

__all__ = ["SERVICE", "check_answer", "parse_answer"]

SERVICE = ServiceModel(Loader().load_service_model("lambda", "service-2"))
"""AWS's own description of Lambda."""

_LEFT_OUT = {("GetFunctionCodeSigningConfig", "CodeSigningConfigArn")}  # where there is none
# Errors that any operation may answer with, and that no list in the model has.
_COMMON = {
    "AccessDeniedException",
    "NotImplementedException",
    "RequestEntityTooLargeException",
    "SerializationException",
    "ServiceException",
    "UnknownOperationException",
    "UnsupportedMediaTypeException",
    "ValidationException",
}
_OTHER_STATUS = {"DeleteFunction": 204}  # what AWS was recorded to answer
_OWN_FORM = {"FunctionUrl"}  # its host is this machine

_BESIDE_THE_MODEL = {("LastUpdateStatusReasonCode", "Creating")}  # [R] LS:test_function_lifecycle: AWS answers it


def check_answer(operation: str, status: int, headers: dict[str, str], body: bytes) -> None:
    """Fail where the model does not allow this answer.

    Arguments:
        operation: its name in the model.
        headers: in any case.
        body: whole; of an invocation it is the function's, and not looked at.
    """
    model = SERVICE.operation_model(operation)
    named = {key.lower(): value for key, value in headers.items()}
    if status >= 300:
        _check_error(model, status, named, body)
        return
    if operation in ("Invoke", "InvokeWithResponseStream"):
        return
    assert status == _OTHER_STATUS.get(operation, model.http["responseCode"]), f"{operation} answers {status}"
    if status == 204 or model.output_shape is None:
        assert not body or json.loads(body) == {}, f"{operation} has no body: {body!r}"
        return
    assert named["content-type"].startswith("application/json")
    members = json.loads(body)
    in_body = {name for name, shape in model.output_shape.members.items() if "location" not in shape.serialization}
    assert members.keys() <= in_body, f"{operation} has no {sorted(members.keys() - in_body)}"
    for name, value in members.items():
        _check_value(model.output_shape.members[name], value, f"{operation}.{name}")
    for name in model.output_shape.required_members:
        assert name in members or (operation, name) in _LEFT_OUT, f"{operation} has to have {name}"


def parse_answer(operation: str, status: int, headers: dict[str, str], body: bytes) -> dict[str, Any]:
    """The answer as botocore reads it, after :func:`check_answer`."""
    check_answer(operation, status, headers, body)
    parser = create_parser("rest-json")
    shape = SERVICE.operation_model(operation).output_shape
    parsed: dict[str, Any] = parser.parse({"status_code": status, "headers": headers, "body": body}, shape)
    return parsed


def _check_error(model: OperationModel, status: int, headers: dict[str, str], body: bytes) -> None:
    code = headers["x-amzn-errortype"]
    told = json.loads(body)
    listed = {shape.metadata.get("error", {}).get("code", shape.name): shape for shape in model.error_shapes}
    assert code in listed.keys() | _COMMON, f"{model.name} has no error {code}"
    assert told.get("message") or told.get("Message"), f"{code} says nothing"
    if code in listed:
        assert status == listed[code].metadata["error"]["httpStatusCode"] or status == 502
        assert told.keys() <= listed[code].members.keys(), f"{code} has no {sorted(told)}"


def _check_value(shape: Shape, value: Any, where: str) -> None:
    match shape.type_name:
        case "structure":
            assert isinstance(value, dict), where
            assert value.keys() <= shape.members.keys(), f"{where} has no {sorted(value.keys() - shape.members.keys())}"
            for name, inner in value.items():
                _check_value(shape.members[name], inner, f"{where}.{name}")
            missing = set(shape.required_members) - value.keys()
            assert not missing, f"{where} has to have {sorted(missing)}"
        case "list":
            assert isinstance(value, list), where
            for number, inner in enumerate(value):
                _check_value(shape.member, inner, f"{where}[{number}]")
        case "map":
            assert isinstance(value, dict), where
            for key, inner in value.items():
                _check_value(shape.key, key, f"{where} key")
                _check_value(shape.value, inner, f"{where}[{key}]")
        case _:
            _check_scalar(shape, value, where)


def _check_scalar(shape: Shape, value: Any, where: str) -> None:
    match shape.type_name:
        case "string":
            assert isinstance(value, str), where
            assert not shape.enum or value in shape.enum or (shape.name, value) in _BESIDE_THE_MODEL, (
                f"{where} is {value}"
            )
            pattern = shape.metadata.get("pattern")
            if pattern is not None and r"\p" not in pattern and shape.name not in _OWN_FORM:
                assert re.fullmatch(pattern, value), f"{where} is {value}, and not {pattern}"
        case "blob":
            base64.b64decode(value, validate=True)
        case "boolean":
            assert isinstance(value, bool), where
        case "integer" | "long":
            assert isinstance(value, int), where
            assert not isinstance(value, bool), where
        case "double" | "float" | "timestamp":
            assert isinstance(value, int | float), where
            assert not isinstance(value, bool), where
        case other:
            raise AssertionError(f"{where} is a {other}")
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    measured = len(value) if isinstance(value, str) else value
    assert low is None or measured >= low, where
    assert high is None or measured <= high, where
