"""The account, the old way to send events, settings that deployment tools ask for, and lists in pieces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from emulator.control.paging import page
from emulator.errors import (
    FunctionNotFoundError,
    InvalidParameterValueError,
    InvalidRequestContentError,
    NotImplementedHereError,
    ValidationError,
)
from tests.unit.control.play import ARN, Play, refused


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """A control plane over nothing."""
    return Play(tmp_path)


def test_the_account(play: Play) -> None:
    """Limits, and what is used of them: functions, versions and layers."""
    play.record.latest.code.size, play.record.versions["1"].code.size = 100, 20
    play.control.registry.layers["l"] = {"versions": {"1": {"size": 3}}}
    play.ask("PutFunctionConcurrency", FunctionName="orders", ReservedConcurrentExecutions=5)
    answer = play.ask("GetAccountSettings")
    assert answer["AccountUsage"] == {"TotalCodeSize": 123, "FunctionCount": 2}
    assert answer["AccountLimit"]["ConcurrentExecutions"] == 1000
    assert answer["AccountLimit"]["UnreservedConcurrentExecutions"] == 995
    assert answer["AccountLimit"]["CodeSizeUnzipped"] == 262_144_000


@pytest.mark.parametrize(("name", "target", "arn"), [("orders", "orders", ARN), (f"{ARN}:1", "orders:1", f"{ARN}:1")])
def test_the_old_way_to_send_an_event(play: Play, name: str, target: str, arn: str) -> None:
    """It is taken as any other event is, with 202."""
    assert play.ask("InvokeAsync", FunctionName=name, InvokeArgs=b'{"n": 1}') == {"Status": 202}
    ((served, invocation),) = play.service.submitted
    assert (served, invocation.payload, invocation.function_arn) == (target, b'{"n": 1}', arn)
    assert invocation.asynchronous


def test_an_event_that_is_no_json(play: Play) -> None:
    """It is refused before anything is sent."""
    message = refused(play, InvalidRequestContentError, "InvokeAsync", FunctionName="orders", InvokeArgs=b"{")
    assert message.startswith("Could not parse request body into json")
    assert play.service.submitted == []


def test_code_is_not_signed(play: Play) -> None:
    """Deployment tools ask for it with each function, and may take away what is not there."""
    assert play.ask("GetFunctionCodeSigningConfig", FunctionName=ARN) == {"FunctionName": "orders"}
    assert play.ask("DeleteFunctionCodeSigningConfig", FunctionName="orders") == {}
    assert refused(play, NotImplementedHereError, "CreateFunction", **signed()).startswith("CodeSigningConfigArn")


def signed() -> dict[str, Any]:
    """A request for a function whose code is to be signed."""
    arn = "arn:aws:lambda:us-east-1:123456789012:code-signing-config:csc-0123456789abcdef0"
    basic = {"Runtime": "python3.11", "Handler": "app.handler", "Role": "arn:aws:iam::123456789012:role/worker"}
    return {"FunctionName": "signed", **basic, "Code": {"ZipFile": b"x"}, "CodeSigningConfigArn": arn}


def test_a_loop_may_be_allowed(play: Play) -> None:
    """For one function, until it is taken back."""
    assert play.ask("GetFunctionRecursionConfig", FunctionName="orders") == {"RecursiveLoop": "Terminate"}
    for said, loops in (("Allow", {"orders"}), ("Terminate", set())):
        config = {"RecursiveLoop": said}
        assert play.ask("PutFunctionRecursionConfig", FunctionName="orders", **config) == config
        assert play.ask("GetFunctionRecursionConfig", FunctionName="orders") == config
        assert play.service.functions.loops == loops
    assert play.changes == 2
    refused(play, ValidationError, "PutFunctionRecursionConfig", FunctionName="orders", RecursiveLoop="Never")


def test_when_a_runtime_changes_is_kept_and_shown(play: Play) -> None:
    """Of each version by itself; an alias shows what is said of its version."""
    which = {"FunctionName": "orders", "Qualifier": "1"}
    assert play.ask("GetRuntimeManagementConfig", **which) == {"UpdateRuntimeOn": "Auto", "FunctionArn": f"{ARN}:1"}
    arn = "arn:aws:lambda:us-east-1::runtime:0123"
    for config in ({"UpdateRuntimeOn": "Manual", "RuntimeVersionArn": arn}, {"UpdateRuntimeOn": "FunctionUpdate"}):
        told = {"FunctionArn": f"{ARN}:1", **config}
        assert play.ask("PutRuntimeManagementConfig", **which, **config) == told
        assert play.ask("GetRuntimeManagementConfig", **which) == told
    alias = play.ask("GetRuntimeManagementConfig", FunctionName="orders", Qualifier="live")
    assert alias == {"UpdateRuntimeOn": "FunctionUpdate", "FunctionArn": f"{ARN}:live"}
    assert play.ask("GetRuntimeManagementConfig", FunctionName="orders")["UpdateRuntimeOn"] == "Auto"
    for config in ({"UpdateRuntimeOn": "Manual"}, {"UpdateRuntimeOn": "Auto", "RuntimeVersionArn": arn}):
        message = refused(play, InvalidParameterValueError, "PutRuntimeManagementConfig", **which, **config)
        assert message.startswith("RuntimeVersionArn is required where UpdateRuntimeOn is Manual")


def test_settings_of_a_function_that_is_not_there(play: Play) -> None:
    """Whoever asks for them hears that."""
    for operation in ("GetFunctionCodeSigningConfig", "GetFunctionRecursionConfig", "GetRuntimeManagementConfig"):
        refused(play, FunctionNotFoundError, operation, FunctionName="nobody")


def test_pieces_hold_everything_once() -> None:
    """Whatever the size of the pieces is; one whose last item went away goes on where it was."""
    items = list("abcdefg")
    for size in (1, 2, 3, 7, 50):
        found: list[str] = []
        request: dict[str, object] = {"MaxItems": size}
        while True:
            answer = page(items, request, "Items", str)
            found += answer["Items"]
            if "NextMarker" not in answer:
                break
            request["Marker"] = answer["NextMarker"]
        assert found == items
    first = page(items, {"MaxItems": 3}, "Items", str)
    without_c = [item for item in items if item != "c"]
    assert page(without_c, {"Marker": first["NextMarker"]}, "Items", str)["Items"] == ["d", "e", "f", "g"]


@pytest.mark.parametrize("marker", ["x", "eA==", "MTA=", "/////w==", "é"])
def test_a_marker_of_nobody(marker: str) -> None:
    """It is refused."""
    with pytest.raises(InvalidParameterValueError):
        page(["a"], {"Marker": marker}, "Items", str)
