"""Policies of functions, as AWS writes them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from emulator.errors import (
    FunctionNotFoundError,
    InvalidParameterValueError,
    PolicyLengthExceededError,
    PreconditionFailedError,
    ResourceConflictError,
)
from tests.unit.control.play import ARN, Play, refused

S3 = {
    "FunctionName": "orders",
    "StatementId": "s3",
    "Action": "lambda:InvokeFunction",
    "Principal": "s3.amazonaws.com",
}


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """A control plane over nothing."""
    return Play(tmp_path)


def test_a_statement_and_the_policy(play: Play) -> None:
    """[R] LS:test_add_lambda_permission_aws, byte for byte in its order."""
    statement = {
        "Sid": "s3",
        "Effect": "Allow",
        "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "lambda:InvokeFunction",
        "Resource": ARN,
        "Condition": {"ArnLike": {"AWS:SourceArn": "arn:aws:s3:::bucket"}},
    }
    answer = play.ask("AddPermission", **S3, SourceArn="arn:aws:s3:::bucket")
    assert answer == {"Statement": json.dumps(statement, separators=(",", ":"))}
    policy = play.ask("GetPolicy", FunctionName=ARN)
    assert json.loads(policy["Policy"]) == {"Version": "2012-10-17", "Id": "default", "Statement": [statement]}
    assert policy["RevisionId"] == play.record.latest.revision != "revision-of-$LATEST"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("*", "*"),
        ("events.amazonaws.com", {"Service": "events.amazonaws.com"}),
        ("123456789012", {"AWS": "arn:aws:iam::123456789012:root"}),
        ("arn:aws:iam::123456789012:role/r", {"AWS": "arn:aws:iam::123456789012:role/r"}),
    ],
)
def test_principals(play: Play, given: str, told: object) -> None:
    """A service, an account, an ARN, everybody."""
    answer = play.ask("AddPermission", **{**S3, "Principal": given})
    assert json.loads(answer["Statement"])["Principal"] == told


def test_everything_that_can_be_asked_for(play: Play) -> None:
    """Each condition stands under its operator."""
    answer = play.ask(
        "AddPermission",
        **{**S3, "Action": "lambda:InvokeFunctionUrl", "Principal": "*"},
        SourceAccount="123456789012",
        EventSourceToken="token",
        PrincipalOrgID="o-1234567890",
        FunctionUrlAuthType="NONE",
        InvokedViaFunctionUrl=True,
    )
    assert json.loads(answer["Statement"])["Condition"] == {
        "StringEquals": {
            "AWS:SourceAccount": "123456789012",
            "lambda:EventSourceToken": "token",
            "lambda:FunctionUrlAuthType": "NONE",
            "aws:PrincipalOrgID": "o-1234567890",
        },
        "Bool": {"lambda:InvokedViaFunctionUrl": "true"},
    }


def test_versions_and_aliases_have_policies_of_their_own(play: Play) -> None:
    """[R] LS:test_lambda_permission_fn_versioning: the resource has the qualifier, and each its revision."""
    for qualifier in ("1", "live"):
        answer = play.ask("AddPermission", **S3, Qualifier=qualifier)
        assert json.loads(answer["Statement"])["Resource"] == f"{ARN}:{qualifier}"
    assert refused(play, FunctionNotFoundError, "GetPolicy", FunctionName="orders") == (
        "The resource you requested does not exist."
    )
    assert play.ask("GetPolicy", FunctionName="orders:live")["RevisionId"] == play.record.aliases["live"].revision
    assert play.record.versions["1"].revision != "revision-of-1"
    assert play.record.versions["2"].revision == "revision-of-2"


def test_taking_away(play: Play) -> None:
    """[R] LS:test_remove_multi_permissions: the last one takes the policy with it."""
    play.ask("AddPermission", **S3)
    play.ask("AddPermission", **{**S3, "StatementId": "sqs"})
    message = refused(play, FunctionNotFoundError, "RemovePermission", FunctionName="orders", StatementId="x")
    assert message == "Statement x is not found in resource policy."
    for sid in ("sqs", "s3"):
        assert play.ask("RemovePermission", FunctionName="orders", StatementId=sid) == {}
    refused(play, FunctionNotFoundError, "GetPolicy", FunctionName="orders")
    message = refused(play, FunctionNotFoundError, "RemovePermission", FunctionName="orders", StatementId="s3")
    assert message == "No policy is associated with the given resource."


def test_what_is_refused(play: Play) -> None:
    """[R] LS:test_permission_exceptions, with AWS's words."""
    play.ask("AddPermission", **S3)
    assert refused(play, ResourceConflictError, "AddPermission", **S3) == (
        "The statement id (s3) provided already exists. "
        "Please provide a new statement id, or remove the existing statement."
    )
    assert refused(play, InvalidParameterValueError, "AddPermission", **S3, Qualifier="$LATEST") == (
        "We currently do not support adding policies for $LATEST."
    )
    assert refused(play, InvalidParameterValueError, "AddPermission", **{**S3, "Principal": "shop.example"}) == (
        "The provided principal was invalid. Please check the principal and try again."
    )
    nobody = {**S3, "FunctionName": "nobody"}
    there = ARN.replace("orders", "nobody")
    assert refused(play, FunctionNotFoundError, "AddPermission", **nobody) == f"Function not found: {there}"
    assert refused(play, FunctionNotFoundError, "AddPermission", **S3, Qualifier="9") == f"Function not found: {ARN}:9"
    assert refused(play, FunctionNotFoundError, "AddPermission", **S3, Qualifier="x") == (
        f"Cannot find alias arn: {ARN}:x"
    )
    message = refused(play, FunctionNotFoundError, "RemovePermission", FunctionName="nobody", StatementId="s3")
    assert message == f"No policy found for: {there}"
    assert refused(play, FunctionNotFoundError, "GetPolicy", FunctionName="nobody") == f"Function not found: {there}"


def test_another_revision(play: Play) -> None:
    """Who has seen another one changes nothing [R]."""
    for operation in ("AddPermission", "RemovePermission"):
        arguments = S3 if operation == "AddPermission" else {"FunctionName": "orders", "StatementId": "s3"}
        message = refused(play, PreconditionFailedError, operation, **arguments, RevisionId="another")
        assert message.startswith("The Revision Id provided does not match the latest Revision Id. Call the GetFunct")
    assert play.changes == 0
    play.ask("AddPermission", **S3, RevisionId="revision-of-$LATEST")
    assert play.changes == 1


def test_too_long(play: Play) -> None:
    """A policy has 20 KB at most; what does not fit in is not kept."""
    filled = {f"f{number}": {"Sid": f"f{number}", "Action": "lambda:InvokeFunction"} for number in range(430)}
    play.record.policy[""] = filled
    message = refused(play, PolicyLengthExceededError, "AddPermission", **S3)
    assert message.endswith("is bigger than the limit (20480).")
    assert "s3" not in filled
