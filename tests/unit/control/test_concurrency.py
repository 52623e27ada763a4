"""Reserved and provisioned concurrency, as the API has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from emulator.control.concurrency import apply_provisioned
from emulator.errors import (
    FunctionNotFoundError,
    InvalidParameterValueError,
    ProvisionedConfigNotFoundError,
    ResourceConflictError,
    ValidationError,
)
from emulator.provisioned import ProvisionedStatus, ProvisionedView
from tests.unit.control.play import ARN, Play, refused

LIVE = {"FunctionName": "orders", "Qualifier": "live"}
ONE = {"FunctionName": "orders", "Qualifier": "1"}


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """A control plane over nothing."""
    return Play(tmp_path)


def reserve(number: int, name: str = "orders") -> dict[str, object]:
    return {"FunctionName": name, "ReservedConcurrentExecutions": number}


def test_reserved(play: Play) -> None:
    """[R] LS:test_function_concurrency."""
    assert play.ask("GetFunctionConcurrency", FunctionName="orders") == {}
    assert play.ask("PutFunctionConcurrency", **reserve(0)) == {"ReservedConcurrentExecutions": 0}
    assert play.ask("GetFunctionConcurrency", FunctionName="orders") == {"ReservedConcurrentExecutions": 0}
    assert play.ask("PutFunctionConcurrency", **reserve(900)) == {"ReservedConcurrentExecutions": 900}
    assert play.ask("DeleteFunctionConcurrency", FunctionName="orders") == {}
    assert play.ask("GetFunctionConcurrency", FunctionName="orders") == {}


def test_reserved_that_is_refused(play: Play) -> None:
    """[R] LS:test_function_concurrency_exceptions, test_function_concurrency_limits."""
    nobody = ARN.replace("orders", "nobody")
    message = refused(play, FunctionNotFoundError, "PutFunctionConcurrency", **reserve(1, "nobody"))
    assert message == f"Function not found: {nobody}:$LATEST"
    message = refused(play, InvalidParameterValueError, "PutFunctionConcurrency", **reserve(1, f"{ARN}:1"))
    assert message.startswith("This operation is permitted on Lambda functions only. Aliases and versions do not")
    message = refused(play, InvalidParameterValueError, "PutFunctionConcurrency", **reserve(901))
    assert message == (
        "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution "
        "below its minimum value of [100]."
    )
    refused(play, ValidationError, "PutFunctionConcurrency", **reserve(-1))
    play.ask("PutProvisionedConcurrencyConfig", **ONE, ProvisionedConcurrentExecutions=2)
    message = refused(play, InvalidParameterValueError, "PutFunctionConcurrency", **reserve(1))
    assert message == (
        " ReservedConcurrentExecutions  1 should not be lower than function's total provisioned concurrency [2]."
    )


def test_a_small_account_may_reserve_all(tmp_path: Path) -> None:
    """The hundred that AWS keeps are kept only where there are that many."""
    play = Play(tmp_path, limit=10)
    play.ask("PutFunctionConcurrency", **reserve(10))
    refused(play, InvalidParameterValueError, "PutFunctionConcurrency", **reserve(1, "other"))


def test_provisioned(play: Play) -> None:
    """[R] LS:test_lambda_provisioned_lifecycle: asked for, on its way, ready, gone."""
    put = play.ask("PutProvisionedConcurrencyConfig", **ONE, ProvisionedConcurrentExecutions=2)
    modified = put.pop("LastModified")
    assert put == {
        "RequestedProvisionedConcurrentExecutions": 2,
        "AvailableProvisionedConcurrentExecutions": 0,
        "AllocatedProvisionedConcurrentExecutions": 0,
        "Status": "IN_PROGRESS",
    }
    assert modified.endswith("+0000")
    assert play.service.functions.wanted["orders:1"] == 2
    play.service.functions.views["orders:1"] = ProvisionedView(2, 2, 2, ProvisionedStatus.READY, None)
    ready = {
        "RequestedProvisionedConcurrentExecutions": 2,
        "AvailableProvisionedConcurrentExecutions": 2,
        "AllocatedProvisionedConcurrentExecutions": 2,
        "Status": "READY",
        "LastModified": modified,
    }
    assert play.ask("GetProvisionedConcurrencyConfig", **ONE) == ready
    listed = play.ask("ListProvisionedConcurrencyConfigs", FunctionName="orders")["ProvisionedConcurrencyConfigs"]
    assert listed == [{"FunctionArn": f"{ARN}:1", **ready}]
    assert play.ask("DeleteProvisionedConcurrencyConfig", **ONE) == {}
    assert play.ask("DeleteProvisionedConcurrencyConfig", **ONE) == {}
    assert play.service.functions.wanted["orders:1"] == 0
    assert refused(play, ProvisionedConfigNotFoundError, "GetProvisionedConcurrencyConfig", **ONE) == (
        "No Provisioned Concurrency Config found for this function"
    )


def test_provisioned_that_fails_says_why(play: Play) -> None:
    """The reason is AWS's word for it."""
    play.ask("PutProvisionedConcurrencyConfig", **ONE, ProvisionedConcurrentExecutions=1)
    play.service.functions.views["orders:1"] = ProvisionedView(
        1, 0, 0, ProvisionedStatus.FAILED, "FUNCTION_ERROR_INIT_FAILURE"
    )
    view = play.ask("GetProvisionedConcurrencyConfig", **ONE)
    assert (view["Status"], view["StatusReason"]) == ("FAILED", "FUNCTION_ERROR_INIT_FAILURE")


def test_an_alias_has_them_in_its_version(play: Play) -> None:
    """And takes them with it to another one."""
    play.ask("PutProvisionedConcurrencyConfig", **LIVE, ProvisionedConcurrentExecutions=3)
    assert (play.service.functions.wanted["orders:1"], play.service.functions.wanted["orders:2"]) == (3, 0)
    play.record.aliases["live"].version = "2"
    apply_provisioned(play.control, play.record)
    assert (play.service.functions.wanted["orders:1"], play.service.functions.wanted["orders:2"]) == (0, 3)
    play.record.policy = {"live": {"s": {}}, "": {"s": {}}, "2": {"s": {}}}
    del play.record.aliases["live"]
    apply_provisioned(play.control, play.record)
    assert play.service.functions.wanted["orders:2"] == 0
    assert play.record.provisioned == {}
    assert sorted(play.record.policy) == ["", "2"]


def test_a_version_and_its_alias_cannot_both(play: Play) -> None:
    """[R] Whoever is first has it."""
    play.ask("PutProvisionedConcurrencyConfig", **ONE, ProvisionedConcurrentExecutions=1)
    assert refused(
        play, ResourceConflictError, "PutProvisionedConcurrencyConfig", **LIVE, ProvisionedConcurrentExecutions=1
    ) == ("Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version")
    play.ask("DeleteProvisionedConcurrencyConfig", **ONE)
    play.ask("PutProvisionedConcurrencyConfig", **LIVE, ProvisionedConcurrentExecutions=1)
    assert refused(
        play, ResourceConflictError, "PutProvisionedConcurrencyConfig", **ONE, ProvisionedConcurrentExecutions=1
    ) == ("Version is pointed by a Provisioned Concurrency alias")


def test_provisioned_that_is_refused(play: Play) -> None:
    """[R] LS:test_provisioned_concurrency_exceptions, test_provisioned_concurrency_limits."""
    one = {"ProvisionedConcurrentExecutions": 1}
    message = refused(
        play, InvalidParameterValueError, "PutProvisionedConcurrencyConfig", **{**ONE, **one, "Qualifier": "$LATEST"}
    )
    assert message == "Provisioned Concurrency Configs cannot be applied to unpublished function versions."
    for operation in ("GetProvisionedConcurrencyConfig", "DeleteProvisionedConcurrencyConfig"):
        message = refused(play, InvalidParameterValueError, operation, FunctionName="orders", Qualifier="$LATEST")
        assert message == "The function resource provided must be an alias or a published version."
        for qualifier, words in (("no", f"Cannot find alias arn: {ARN}:no"), ("10", f"Function not found: {ARN}:10")):
            message = refused(play, FunctionNotFoundError, operation, FunctionName="orders", Qualifier=qualifier)
            assert message == words
    message = refused(
        play, ValidationError, "PutProvisionedConcurrencyConfig", **ONE, ProvisionedConcurrentExecutions=0
    )
    assert message == (
        "1 validation error detected: Value '0' at 'provisionedConcurrentExecutions' failed to satisfy constraint: "
        "Member must have value greater than or equal to 1"
    )
    play.ask("PutFunctionConcurrency", **reserve(2))
    message = refused(
        play, InvalidParameterValueError, "PutProvisionedConcurrencyConfig", **ONE, ProvisionedConcurrentExecutions=3
    )
    assert "should not be greater than the reservedConcurrentExecution" in message
    play.ask("DeleteFunctionConcurrency", FunctionName="orders")
    message = refused(
        play, InvalidParameterValueError, "PutProvisionedConcurrencyConfig", **ONE, ProvisionedConcurrentExecutions=1001
    )
    assert "greater than account's unreserved concurrency [1000]" in message
