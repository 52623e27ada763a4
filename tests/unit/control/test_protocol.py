"""Requests and answers of the control plane, as botocore writes and reads them."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from botocore.awsrequest import prepare_request_dict
from botocore.loaders import Loader
from botocore.model import ServiceModel as BotocoreModel
from botocore.serialize import create_serializer
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.control.protocol import MAX_CODE_BODY_BYTES, Protocol, body_limit
from emulator.control.service_model import load_service_model
from emulator.errors import (
    InvalidRequestContentError,
    RequestError,
    RequestTooLargeError,
    SerializationError,
    UnknownOperationError,
    UnsupportedMediaTypeError,
    ValidationError,
)

ARN = "arn:aws:lambda:us-east-1:123456789012:function:orders"
JSON = {"content-type": "application/json"}

protocol = Protocol(load_service_model())
botocore_model = BotocoreModel(Loader().load_service_model("lambda", "service-2"))
serializer = create_serializer("rest-json", include_validation=False)


def read(method: str, path: str, body: Any = None, query: str = "", **headers: str) -> dict[str, Any]:
    match = protocol.match(method, path, query)
    sent = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return protocol.read(match, headers or JSON, sent, len(sent))


def by_botocore(operation: str, **arguments: Any) -> tuple[str, dict[str, Any]]:
    """The name and arguments that arrive of what botocore sends."""
    request = serializer.serialize_to_request(arguments, botocore_model.operation_model(operation))
    prepare_request_dict(request, "http://127.0.0.1:3001")
    path, _, query = request["url"].removeprefix("http://127.0.0.1:3001").partition("?")
    match = protocol.match(request["method"], path, query)
    body = request["body"] if isinstance(request["body"], bytes) else request["body"].encode()
    headers = {key.lower(): str(value) for key, value in request["headers"].items()}
    return match.operation.name, protocol.read(match, headers, body, len(body))


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("GetFunction", {"FunctionName": ARN, "Qualifier": "$LATEST"}),
        ("ListFunctions", {"MaxItems": 3, "Marker": "a b&c"}),
        ("ListTags", {"Resource": ARN}),
        ("UntagResource", {"Resource": ARN, "TagKeys": ["one", "two words"]}),
        ("TagResource", {"Resource": ARN, "Tags": {"team": "shop", "empty": ""}}),
        ("ListLayers", {"CompatibleRuntime": "python3.12"}),
        ("GetLayerVersionByArn", {"Arn": "arn:aws:lambda:us-east-1:123456789012:layer:mine:1"}),
        ("GetLayerVersion", {"LayerName": "arn:aws:lambda:us-east-1:123456789012:layer:mine", "VersionNumber": 2}),
        ("ListProvisionedConcurrencyConfigs", {"FunctionName": "orders"}),
        ("GetProvisionedConcurrencyConfig", {"FunctionName": "orders", "Qualifier": "1"}),
        ("InvokeAsync", {"FunctionName": "orders", "InvokeArgs": b"no JSON, and not looked at here"}),
        (
            "CreateFunction",
            {
                "FunctionName": "orders",
                "Role": "arn:aws:iam::123456789012:role/r",
                "Runtime": "python3.12",
                "Handler": "app.handler",
                "Code": {"ZipFile": b"\x00\xff zip"},
                "Environment": {"Variables": {"A1": "ü"}},
                "Layers": ["arn:aws:lambda:us-east-1:123456789012:layer:mine:1"],
                "Publish": False,
                "Timeout": 3,
            },
        ),
    ],
)
def test_what_botocore_sends_arrives(operation: str, arguments: dict[str, Any]) -> None:
    """Path, query, headers and body become the arguments again, and find their operation."""
    assert by_botocore(operation, **arguments) == (operation, arguments)


def test_every_operation_has_its_route() -> None:
    """What the model has is found by its own template, and nothing else is."""
    for operation in protocol.model:
        path = "/".join(part or "x" for part in operation.path)
        query = "&".join(f"{key}={value}" for key, value in operation.query)
        assert protocol.match(operation.method, f"/{path}", query).operation.name == operation.name


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/2015-03-31/nothing"),
        ("PATCH", "/2015-03-31/functions"),
        ("GET", "/2016-08-19/functions"),
        ("GET", "/2015-03-31/functions/a/b/c"),
        ("GET", "/2015-03-31/"),
    ],
)
def test_unknown_paths(method: str, path: str) -> None:
    """What no operation has is said to be unknown."""
    with pytest.raises(UnknownOperationError, match=path):
        protocol.match(method, path, "")


def test_slash_at_the_end() -> None:
    """Older clients end collections with one."""
    assert protocol.match("GET", "/2015-03-31/functions/", "").operation.name == "ListFunctions"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"Timeout": "3"}, "STRING_VALUE can not be converted to an Integer"),
        ({"Timeout": True}, "TRUE_VALUE can not be converted to an Integer"),
        ({"Timeout": 10**30}, "NUMBER_VALUE can not be converted to an Integer"),
        ({"Handler": 5}, "NUMBER_VALUE can not be converted to a String"),
        ({"Handler": {}}, "Start of structure or map found"),
        ({"Handler": []}, "Start of list found"),
        ({"Layers": "x"}, "Expected list"),
        ({"Environment": []}, "Expected map"),
        ([], "Expected map"),
        ("text", "Expected map"),
    ],
)
def test_other_types(body: Any, message: str) -> None:
    """A value of another type is told as AWS's own parser tells it."""
    with pytest.raises(SerializationError, match=message):
        read("PUT", "/2015-03-31/functions/orders/configuration", body)


@pytest.mark.parametrize(
    "body",
    [b"{", b"nonsense", b'{"Timeout": NaN}', b'{"Timeout": Infinity}', b"\xff\xfe", b"[" * 100_000, b'"\\ud800"'],
    ids=["cut off", "nonsense", "nan", "infinity", "no utf-8", "deep", "half a character"],
)
def test_no_json(body: bytes) -> None:
    """What is not JSON, or nested beyond all reason, is refused in words."""
    with pytest.raises(InvalidRequestContentError, match="Could not parse request body into json"):
        read("PUT", "/2015-03-31/functions/orders/configuration", body)


def test_other_content_type() -> None:
    """A form is no request; where nothing is said, JSON is meant."""
    path = "/2015-03-31/functions/orders/configuration"
    with pytest.raises(UnsupportedMediaTypeError):
        read("PUT", path, {"Timeout": 3}, **{"content-type": "application/x-www-form-urlencoded"})
    assert read("PUT", path, {"Timeout": 3}, accept="*/*")["Timeout"] == 3


def test_unknown_and_null_members_are_left_out() -> None:
    """As AWS does; a known member in another case is an unknown one."""
    found = read("PUT", "/2015-03-31/functions/a/configuration", {"Nobody": 1, "Timeout": None, "handler": "x"})
    assert found == {"FunctionName": "a"}


def test_a_path_is_not_overruled_by_a_body() -> None:
    """A member that travels in the path is not taken from the body."""
    assert read("PUT", "/2015-03-31/functions/a/configuration", {"FunctionName": "b"}) == {"FunctionName": "a"}


def test_too_large() -> None:
    """The size counts, whether the body was kept or not, and the message names the operation."""
    assert body_limit("CreateFunction") == MAX_CODE_BODY_BYTES > body_limit("CreateAlias")
    with pytest.raises(RequestTooLargeError, match="70167211 bytes for the CreateFunction operation"):
        protocol.read(protocol.match("POST", "/2015-03-31/functions", ""), JSON, b"", MAX_CODE_BODY_BYTES + 1)


def test_code_that_is_no_base64() -> None:
    """A zip file travels in base64."""
    with pytest.raises(SerializationError):
        read("PUT", "/2015-03-31/functions/a/code", {"ZipFile": "!!"})


@pytest.mark.parametrize("query", ["MaxItems=many", "MaxItems=1.5", "MaxItems=", "MaxItems=%F0%9F%91%8D", "MaxItems=²"])
def test_a_query_that_is_no_number(query: str) -> None:
    """A number in a query is one."""
    with pytest.raises(SerializationError):
        read("GET", "/2015-03-31/functions", None, query)


def test_answers() -> None:
    """Members by their wire names, with the status of the model, and none where the model says so."""
    operations = protocol.model.operations
    assert protocol.write(operations["GetFunctionConcurrency"], {}) == (200, b"{}")
    assert protocol.write(operations["GetFunctionConcurrency"], {"ReservedConcurrentExecutions": 3}) == (
        200,
        b'{"ReservedConcurrentExecutions":3}',
    )
    assert protocol.write(operations["DeleteAlias"], {}) == (204, b"")
    assert protocol.write(operations["DeleteFunction"], {}) == (204, b"")
    status, body = protocol.write(
        operations["GetFunctionEventInvokeConfig"], {"LastModified": 1.5, "DestinationConfig": None}
    )
    assert (status, json.loads(body)) == (200, {"LastModified": 1.5})


@pytest.mark.parametrize(("operation", "answer"), [("GetAlias", {"Nothing": 1}), ("DeleteAlias", {"Name": "x"})])
def test_answers_keep_to_the_model(operation: str, answer: dict[str, Any]) -> None:
    """A member that the model does not have is an error of ours, and no answer."""
    with pytest.raises(TypeError):
        protocol.write(protocol.model.operations[operation], answer)


_LEAF = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
_BRANCH = _LEAF | st.lists(_LEAF, max_size=3) | st.dictionaries(st.text(max_size=8), _LEAF, max_size=3)
_VALUES = _BRANCH | st.lists(_BRANCH, max_size=3) | st.dictionaries(st.text(max_size=8), _BRANCH, max_size=3)
_MEMBERS = st.sampled_from(sorted(protocol.model.shape("CreateFunctionRequest").members))


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(_MEMBERS, _VALUES, max_size=5))
def test_anything_is_read_or_refused(body: dict[str, Any]) -> None:
    """Whatever a client sends, it gets an error of AWS's or is understood."""
    with contextlib.suppress(RequestError):
        read("POST", "/2015-03-31/functions", body)


def test_missing_members_are_told_by_their_names() -> None:
    """The model is asked as soon as all is read."""
    with pytest.raises(ValidationError, match="Value null at 'role' failed to satisfy constraint: Member must not be"):
        read("POST", "/2015-03-31/functions", {"FunctionName": "a", "Code": {}})
