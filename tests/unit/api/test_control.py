"""The door of the control plane: what comes in by HTTP, however broken, and what goes out."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any, cast

import pytest
from starlette.requests import Request

from emulator.api.control import ControlDoor
from emulator.control.control import Control
from emulator.control.protocol import MAX_CODE_BODY_BYTES
from emulator.control.service_model import load_service_model
from emulator.errors import ConfigurationError
from tests.support import in_loop

FUNCTIONS = "/2015-03-31/functions"
ALIASES = f"{FUNCTIONS}/orders/aliases"
CONTROL = cast(Control, None)  # these operations ask it for nothing


async def list_aliases(control: Control, request: dict[str, Any]) -> dict[str, Any]:
    """Answers what it was asked."""
    return {"Aliases": [{"Name": request["FunctionName"], "Description": str(request.get("MaxItems"))}]}


async def create_alias(control: Control, request: dict[str, Any]) -> dict[str, Any]:
    """Answers what it was asked."""
    return {"Name": request["Name"], "Description": str(len(request.get("Description", "")))}


async def create_function(control: Control, request: dict[str, Any]) -> dict[str, Any]:
    """Answers the size of the code."""
    return {"CodeSize": len(request["Code"]["ZipFile"])}


async def delete_alias(control: Control, request: dict[str, Any]) -> dict[str, Any]:
    """Finds a setting that cannot be."""
    raise ConfigurationError("it is too large", cure="Make it smaller.")


OPERATIONS = {
    "CreateAlias": create_alias,
    "CreateFunction": create_function,
    "DeleteAlias": delete_alias,
    "ListAliases": list_aliases,
}


async def ask(
    method: str, path: str, *pieces: bytes, cut: bool = False, **headers: str
) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Status, headers and body of the door's answer.

    Arguments:
        pieces: of the body, as they come.
        cut: the client goes away behind the last piece.
    """
    raw, _, query = path.partition("?")
    messages: list[dict[str, Any]] = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    messages.append({"type": "http.disconnect"} if cut else {"type": "http.request", "body": b""})

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    scope = {
        "type": "http",
        "method": method,
        "path": raw,
        "raw_path": raw.encode(),
        "query_string": query.encode(),
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
    }
    answer = await ControlDoor(CONTROL, OPERATIONS).answer(Request(scope, receive))
    return answer.status_code, dict(answer.headers), json.loads(bytes(answer.body)) if answer.body else {}


@in_loop
async def test_an_operation_is_found_and_answered() -> None:
    """By its path, with its query; the answer has a request id, as AWS's has."""
    status, headers, body = await ask("GET", f"{ALIASES}?MaxItems=7")
    assert (status, body) == (200, {"Aliases": [{"Name": "orders", "Description": "7"}]})
    assert headers["content-type"] == "application/json"
    assert len(headers["x-amzn-requestid"]) == 36


@in_loop
async def test_an_operation_that_is_not_there() -> None:
    """501 with its name, however it was asked; never an empty 200."""
    status, headers, body = await ask("POST", "/2015-03-31/event-source-mappings", b"no json")
    assert (status, headers["x-amzn-errortype"]) == (501, "NotImplementedException")
    assert body["Message"] == "CreateEventSourceMapping is not implemented by this emulator"


@in_loop
async def test_a_path_that_aws_does_not_have() -> None:
    """404, and an error type that every SDK can show."""
    for method, path in (("GET", "/2015-03-31/nothing"), ("PATCH", FUNCTIONS), ("GET", "/2015-03-31/%00/%F0")):
        status, headers, body = await ask(method, path)
        assert (status, headers["x-amzn-errortype"]) == (404, "UnknownOperationException")
        assert path in body["message"]


ONE_NAME = json.dumps({"Name": "live", "FunctionVersion": "1"}).encode()


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (ONE_NAME, 201, None),
        (b"", 400, "ValidationException"),
        (b"{}", 400, "ValidationException"),
        (b"null", 400, "SerializationException"),
        (b"[]", 400, "SerializationException"),
        (b"{", 400, "InvalidRequestContentException"),
        (b"\x00\xff", 400, "InvalidRequestContentException"),
        (b'{"Name": NaN}', 400, "InvalidRequestContentException"),
        (b'{"Name": 1e999}', 400, "SerializationException"),
        (b'{"Name": 5, "FunctionVersion": "1"}', 400, "SerializationException"),
        (b'{"Name": "1", "FunctionVersion": "1"}', 400, "ValidationException"),
        (b'{"Name": "\\u0000", "FunctionVersion": "1"}', 400, "ValidationException"),
        (b'{"Name": ' + b"[" * 5000 + b"]" * 5000 + b"}", 400, "InvalidRequestContentException"),
        (b'{"x":' * 5000 + b"1" + b"}" * 5000, 400, "InvalidRequestContentException"),
        (b" " * 7_000_000 + ONE_NAME, 413, "RequestEntityTooLargeException"),
        (b'{"Name": ' + b"9" * 5000 + b"}", 400, None),
    ],
    ids=range(16),
)
@in_loop
async def test_bodies(body: bytes, status: int, code: str | None) -> None:
    """Whatever comes is answered with an error of AWS's, and never with a 500."""
    found, headers, answer = await ask("POST", ALIASES, body, content_type="application/json")
    assert found == status, answer
    assert code is None or headers["x-amzn-errortype"] == code


@in_loop
async def test_a_body_in_pieces_and_one_that_is_cut_off() -> None:
    """It is put together; what is not whole is not taken for anything."""
    status, _, body = await ask("POST", ALIASES, ONE_NAME[:9], ONE_NAME[9:])
    assert (status, body["Name"]) == (201, "live")
    status, headers, _ = await ask("POST", ALIASES, ONE_NAME[:9], cut=True)
    assert (status, headers["x-amzn-errortype"]) == (400, "InvalidRequestContentException")


@in_loop
async def test_code_may_be_larger() -> None:
    """An archive of 50 MiB is taken; what is longer than that in base64 is not, in AWS's words."""
    begin = json.dumps({"FunctionName": "a", "Role": "arn:aws:iam::123456789012:role/r"})[:-1].encode()
    whole = begin + b', "Code": {"ZipFile": "' + b"A" * 69_905_068 + b'"}}'
    status, _, body = await ask("POST", FUNCTIONS, whole)
    assert (status, body) == (201, {"CodeSize": 52_428_801})
    status, headers, body = await ask("POST", FUNCTIONS, whole, b" " * (MAX_CODE_BODY_BYTES - len(whole) + 1))
    assert (status, headers["x-amzn-errortype"]) == (413, "RequestEntityTooLargeException")
    assert body["Message"] == "Request must be smaller than 70167211 bytes for the CreateFunction operation"


@in_loop
async def test_settings_that_cannot_be_are_wrong_parameters() -> None:
    """What the emulator itself cannot deploy is told with its cure."""
    status, headers, body = await ask("DELETE", f"{ALIASES}/live")
    assert (status, headers["x-amzn-errortype"]) == (400, "InvalidParameterValueException")
    assert body["message"] == "it is too large Make it smaller."


@in_loop
async def test_a_request_takes_no_time() -> None:
    """From parsing to answer it is half a millisecond here, and of the processor's time, not the clock's."""
    load_service_model()
    door = ControlDoor(CONTROL, OPERATIONS)
    assert door.takes(ALIASES)
    await ask("POST", ALIASES, ONE_NAME)
    began = time.thread_time()
    for _ in range(100):
        assert (await ask("POST", ALIASES, ONE_NAME))[0] == 201
    assert (time.thread_time() - began) / 100 < 0.05


def test_paths_that_are_awss() -> None:
    """Those that begin with a date."""
    assert ControlDoor.takes(FUNCTIONS)
    for path in ("/", "/_emulator/", "/2015/functions", "/15-03-31/functions", "/x/2015-03-31/functions"):
        assert not ControlDoor.takes(path)


def test_nothing_of_it_is_imported_before_it_is_needed() -> None:
    """What serves invocations knows no botocore; nor does the general application until somebody asks it to deploy."""
    program = (
        "import sys; import emulator.cli, emulator.service, emulator.embedded, emulator.api.app, emulator.api.general;"
        "print(*sorted(name for name in sys.modules if name.partition('.')[0] in ('botocore', 'boto3', 'jmespath')))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=50, check=True)
    assert done.stdout.split() == []
    program = (
        "import sys; import emulator.service, emulator.embedded, emulator.api.app;"
        "print(*sorted(name for name in sys.modules if name.startswith('emulator.control')))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=50, check=True)
    assert done.stdout.split() == []
