"""What becomes of asynchronous events, as the API has it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from emulator.errors import FunctionNotFoundError, InvalidParameterValueError, ValidationError
from emulator.event_settings import Asynchronous
from tests.unit.control.play import ARN, Play, refused

OTHER = ARN.replace("orders", "other")
PUT, UPDATE = "PutFunctionEventInvokeConfig", "UpdateFunctionEventInvokeConfig"
GET, DELETE, LIST = (
    "GetFunctionEventInvokeConfig",
    "DeleteFunctionEventInvokeConfig",
    "ListFunctionEventInvokeConfigs",
)
NOWHERE: dict[str, Any] = {"OnFailure": {}, "OnSuccess": {}}


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """A control plane over nothing."""
    return Play(tmp_path)


def told(answer: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in answer.items() if key != "LastModified"}


def test_a_life(play: Play) -> None:
    """[R] LS:test_lambda_eventinvokeconfig_lifecycle: a put replaces, an update adds."""
    put = play.ask(PUT, FunctionName="orders", MaximumRetryAttempts=0)
    assert told(put) == {"DestinationConfig": NOWHERE, "FunctionArn": f"{ARN}:$LATEST", "MaximumRetryAttempts": 0}
    assert put["LastModified"].timestamp() == pytest.approx(play.service.clock.now(), abs=1)
    put = play.ask(PUT, FunctionName="orders", MaximumEventAgeInSeconds=60)
    assert told(put) == {"DestinationConfig": NOWHERE, "FunctionArn": f"{ARN}:$LATEST", "MaximumEventAgeInSeconds": 60}
    play.ask(
        UPDATE, FunctionName="orders", MaximumRetryAttempts=1, DestinationConfig={"OnFailure": {"Destination": OTHER}}
    )
    whole = {
        "DestinationConfig": {"OnFailure": {"Destination": OTHER}, "OnSuccess": {}},
        "FunctionArn": f"{ARN}:$LATEST",
        "MaximumEventAgeInSeconds": 60,
        "MaximumRetryAttempts": 1,
    }
    assert told(play.ask(GET, FunctionName="orders")) == whole
    assert play.service.functions.asynchronous["orders"] == Asynchronous(retries=1, max_age=60, on_failure=OTHER)
    play.ask(PUT, FunctionName="orders", Qualifier="1", MaximumEventAgeInSeconds=120)
    assert play.service.functions.asynchronous["orders:1"] == Asynchronous(max_age=120)
    play.ask(PUT, FunctionName="orders:live", MaximumRetryAttempts=0)
    assert play.service.functions.alias_asynchronous["orders:live"] == Asynchronous(retries=0)
    configs = play.ask(LIST, FunctionName="orders")["FunctionEventInvokeConfigs"]
    assert [config["FunctionArn"].removeprefix(ARN) for config in configs] == [":$LATEST", ":1", ":live"]
    for qualifier in ("$LATEST", "1", "live"):
        assert play.ask(DELETE, FunctionName="orders", Qualifier=qualifier) == {}
    assert play.ask(LIST, FunctionName="orders") == {"FunctionEventInvokeConfigs": []}
    assert (
        play.service.functions.asynchronous["orders"]
        == play.service.functions.asynchronous["orders:1"]
        == Asynchronous()
    )
    assert play.service.functions.alias_asynchronous["orders:live"] is None


def test_a_destination_is_taken_away(play: Play) -> None:
    """By one without an address [R]."""
    success = {"OnSuccess": {"Destination": OTHER}}
    play.ask(PUT, FunctionName="orders", DestinationConfig=success)
    answer = play.ask(UPDATE, FunctionName="orders", DestinationConfig={"OnSuccess": {}})
    assert answer["DestinationConfig"] == NOWHERE


def test_what_is_not_there(play: Play) -> None:
    """[R] LS:test_lambda_eventinvokeconfig_exceptions."""
    for operation in (GET, DELETE):
        for name, qualifier in (("orders", "live"), ("orders", "nothing"), ("nobody", "$LATEST")):
            message = refused(play, FunctionNotFoundError, operation, FunctionName=name, Qualifier=qualifier)
            arn = ARN.replace("orders", name)
            assert message == f"The function {arn}:{qualifier} doesn't have an EventInvokeConfig"
    for operation in (PUT, UPDATE):
        for name in ("nobody", "orders:nothing"):
            message = refused(play, FunctionNotFoundError, operation, FunctionName=name, MaximumRetryAttempts=0)
            assert message == "The function doesn't exist."
    assert refused(play, FunctionNotFoundError, LIST, FunctionName="nobody") == "The function doesn't exist."
    message = refused(play, FunctionNotFoundError, UPDATE, FunctionName="orders", MaximumRetryAttempts=0)
    assert message == f"The function {ARN}:$LATEST doesn't have an EventInvokeConfig"


@pytest.mark.parametrize(
    ("destination", "words"),
    [
        (ARN, "You can't specify the function as a destination for itself."),
        (ARN.replace("orders", "nobody"), f"The destination ARN {ARN.replace('orders', 'nobody')} is invalid."),
        (
            ARN.replace("lambda", "iam"),
            (
                "The provided destination config DestinationConfig(onSuccess=OnSuccess(destination="
                f"{ARN.replace('lambda', 'iam')}), onFailure=null) is invalid."
            ),
        ),
        ("arn:aws:sqs:us-east-1:123456789012:queue", "This emulator has functions as destinations, and no sqs"),
    ],
)
def test_destinations_that_are_refused(play: Play, destination: str, words: str) -> None:
    """[R] And nothing is changed."""
    success = {"OnSuccess": {"Destination": destination}}
    message = refused(play, InvalidParameterValueError, PUT, FunctionName="orders", DestinationConfig=success)
    assert words in message
    assert play.changes == 0
    assert play.service.functions.asynchronous == {}


def test_what_the_model_does_not_allow(play: Play) -> None:
    """Numbers have limits, a destination is an ARN, and something has to be said."""
    refused(play, ValidationError, PUT, FunctionName="orders", MaximumRetryAttempts=3)
    refused(play, ValidationError, PUT, FunctionName="orders", MaximumEventAgeInSeconds=59)
    bad = {"OnFailure": {"Destination": "not an arn"}}
    message = refused(play, ValidationError, PUT, FunctionName="orders", DestinationConfig=bad)
    assert "at 'destinationConfig.onFailure.destination' failed to satisfy constraint" in message
    message = refused(play, InvalidParameterValueError, PUT, FunctionName="orders")
    assert message == "You must specify at least one of error handling or destination setting."


def test_what_the_configuration_says_is_shown(play: Play) -> None:
    """A function of the file has its config from there, until another one is put; dead letters stay."""
    said = Asynchronous(retries=0, on_success="function:other", dead_letter="file:dead")
    play.service.functions.deployed["orders"] = replace(play.service.functions.deployed["orders"], asynchronous=said)
    config = play.ask(GET, FunctionName="orders")
    assert config["MaximumRetryAttempts"] == 0
    assert config["DestinationConfig"]["OnSuccess"] == {"Destination": OTHER}
    play.ask(PUT, FunctionName="orders", MaximumRetryAttempts=1)
    assert play.service.functions.asynchronous["orders"] == Asynchronous(retries=1, dead_letter="file:dead")
