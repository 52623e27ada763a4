"""Layers, tags, permissions, concurrency, event configs, URLs and the account, by AWS's client for Python, unmodified.

Each answer is compared with the service model (see ``aws.py``); the words of refusals are compared in ``tests/unit``.
"""

from __future__ import annotations

import io
import json
import time
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from emulator import Emulator, Function
from tests.conformance.aws import lambda_client
from tests.integration.conftest import FUNCTIONS
from tests.support import eventually

NAME = "anything"


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """An emulator with two functions."""
    with Emulator({"emulator": {"sandbox": "process"}, "database": {"server": "none"}}) as running:
        for name in (NAME, "other"):
            running.add(Function(name=name, code=FUNCTIONS / "anything", timeout=10, memory=256))
        yield running


@pytest.fixture(scope="module")
def aws(emulator: Emulator) -> Iterator[Any]:
    """boto3's client for Lambda, which sends what it would refuse by itself."""
    with lambda_client(emulator, parameter_validation=False) as client:
        yield client


def refused(call: Callable[..., Any], **arguments: Any) -> tuple[int, str]:
    """Status and code of a refusal."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    answer = caught.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


def arn(aws: Any) -> str:
    return str(aws.get_function_configuration(FunctionName=NAME)["FunctionArn"])


def test_tags(aws: Any) -> None:
    """Put, overwritten, listed, taken away; an ARN in a path is one part of it."""
    resource = arn(aws)
    aws.tag_resource(Resource=resource, Tags={"team": "shop", "Größe": "1/2"})
    assert aws.list_tags(Resource=resource)["Tags"] == {"team": "shop", "Größe": "1/2"}
    aws.untag_resource(Resource=resource, TagKeys=["team", "nothing"])
    assert aws.list_tags(Resource=resource)["Tags"] == {"Größe": "1/2"}
    assert refused(aws.list_tags, Resource="nonsense") == (400, "ValidationException")


def test_permissions(aws: Any) -> None:
    """A statement comes and goes, with the revisions in between."""
    asked = {"FunctionName": NAME, "StatementId": "s3", "Action": "lambda:InvokeFunction"}
    added = aws.add_permission(**asked, Principal="s3.amazonaws.com")
    policy = aws.get_policy(FunctionName=NAME)
    assert json.loads(policy["Policy"])["Statement"] == [json.loads(added["Statement"])]
    assert refused(aws.remove_permission, FunctionName=NAME, StatementId="s3", RevisionId="x") == (
        412,
        "PreconditionFailedException",
    )
    aws.remove_permission(FunctionName=NAME, StatementId="s3", RevisionId=policy["RevisionId"])
    assert refused(aws.get_policy, FunctionName=NAME) == (404, "ResourceNotFoundException")


def test_settings_that_deployment_tools_read_and_write(aws: Any) -> None:
    """Code signing, which no function has; loops; and when a runtime changes."""
    which = {"FunctionName": NAME}
    assert "CodeSigningConfigArn" not in aws.get_function_code_signing_config(**which)
    aws.delete_function_code_signing_config(**which)
    assert aws.put_function_recursion_config(**which, RecursiveLoop="Allow")["RecursiveLoop"] == "Allow"
    assert aws.get_function_recursion_config(**which)["RecursiveLoop"] == "Allow"
    aws.put_function_recursion_config(**which, RecursiveLoop="Terminate")
    aws.put_runtime_management_config(**which, UpdateRuntimeOn="FunctionUpdate")
    assert aws.get_runtime_management_config(**which)["UpdateRuntimeOn"] == "FunctionUpdate"


def test_reserved_concurrency(emulator: Emulator, aws: Any) -> None:
    """What is reserved holds for the next invocation, and no environment goes for it."""
    aws.invoke(FunctionName=NAME, Payload=b'{"do": "count"}')
    emulator.freeze(NAME)  # or the next event may come before it is at rest, and have an environment of its own
    aws.put_function_concurrency(FunctionName=NAME, ReservedConcurrentExecutions=0)
    assert refused(aws.invoke, FunctionName=NAME, Payload=b'{"do": "count"}') == (429, "TooManyRequestsException")
    assert aws.get_function_concurrency(FunctionName=NAME)["ReservedConcurrentExecutions"] == 0
    assert aws.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"] == 1000
    aws.delete_function_concurrency(FunctionName=NAME)
    assert json.load(aws.invoke(FunctionName=NAME, Payload=b'{"do": "count"}')["Payload"]) == 2
    assert "ReservedConcurrentExecutions" not in aws.get_function_concurrency(FunctionName=NAME)


def test_provisioned_concurrency(aws: Any) -> None:
    """Environments of a version are ready before anybody asks, by its alias, and serve what comes by it."""
    version = aws.publish_version(FunctionName=NAME)["Version"]
    aws.get_waiter("published_version_active").wait(
        FunctionName=NAME, Qualifier=version, WaiterConfig={"Delay": 0.05, "MaxAttempts": 100}
    )
    aws.create_alias(FunctionName=NAME, Name="live", FunctionVersion=version)
    which = {"FunctionName": NAME, "Qualifier": "live"}
    put = aws.put_provisioned_concurrency_config(**which, ProvisionedConcurrentExecutions=1)
    assert put["Status"] == "IN_PROGRESS"
    eventually(
        lambda: aws.get_provisioned_concurrency_config(**which)["Status"] == "READY",
        "it is initialised ahead",
        deadline=20,
    )
    answer = aws.invoke(**which, Payload=b'{"do": "describe"}')
    assert answer["ExecutedVersion"] == version
    variables = json.load(answer["Payload"])["environment"]
    assert variables["AWS_LAMBDA_INITIALIZATION_TYPE"] == "provisioned-concurrency"
    (config,) = aws.list_provisioned_concurrency_configs(FunctionName=NAME)["ProvisionedConcurrencyConfigs"]
    assert config["FunctionArn"].endswith(":live")
    aws.delete_provisioned_concurrency_config(**which)
    assert refused(aws.get_provisioned_concurrency_config, **which) == (
        404,
        "ProvisionedConcurrencyConfigNotFoundException",
    )


def test_event_configs(emulator: Emulator, aws: Any) -> None:
    """An event that fails is not tried again where the config says so, and its record goes to the function named."""
    other = aws.get_function_configuration(FunctionName="other")["FunctionArn"]
    put = aws.put_function_event_invoke_config(
        FunctionName=NAME, MaximumRetryAttempts=0, DestinationConfig={"OnFailure": {"Destination": other}}
    )
    assert put["DestinationConfig"]["OnFailure"] == {"Destination": other}
    payload = b'{"do": "fail", "message": "no"}'
    assert aws.invoke(FunctionName=NAME, InvocationType="Event", Payload=payload)["StatusCode"] == 202
    eventually(
        lambda: any(event.function == NAME and event.kind == "event.delivered" for event in emulator.timeline()),
        "its record is delivered",
        deadline=20,
    )
    updated = aws.update_function_event_invoke_config(FunctionName=NAME, MaximumEventAgeInSeconds=60)
    assert (updated["MaximumRetryAttempts"], updated["MaximumEventAgeInSeconds"]) == (0, 60)
    assert len(aws.list_function_event_invoke_configs(FunctionName=NAME)["FunctionEventInvokeConfigs"]) == 1
    aws.delete_function_event_invoke_config(FunctionName=NAME)
    assert refused(aws.get_function_event_invoke_config, FunctionName=NAME) == (404, "ResourceNotFoundException")


def test_function_urls(aws: Any) -> None:
    """A URL is made, shown, changed and taken away."""
    cors = {"AllowOrigins": ["*"], "MaxAge": 5}
    made = aws.create_function_url_config(FunctionName=NAME, AuthType="NONE", Cors=cors)
    assert aws.get_function_url_config(FunctionName=NAME)["FunctionUrl"] == made["FunctionUrl"]
    assert refused(aws.create_function_url_config, FunctionName=NAME, AuthType="NONE") == (
        409,
        "ResourceConflictException",
    )
    aws.update_function_url_config(FunctionName=NAME, AuthType="AWS_IAM")
    (config,) = aws.list_function_url_configs(FunctionName=NAME)["FunctionUrlConfigs"]
    assert (config["AuthType"], config["Cors"]) == ("AWS_IAM", cors)
    aws.delete_function_url_config(FunctionName=NAME)
    assert aws.list_function_url_configs(FunctionName=NAME)["FunctionUrlConfigs"] == []


def test_layers(aws: Any) -> None:
    """A layer that was published is what the function finds, by its ARN; deleted it serves on."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("python/from_a_layer.py", "SAYS = 'a layer'\n")
    content = {"ZipFile": archive.getvalue()}
    made = aws.publish_layer_version(LayerName="mine", Content=content, CompatibleRuntimes=["python3.12"])
    assert urllib.request.urlopen(made["Content"]["Location"]).read() == content["ZipFile"]
    layer = made["LayerVersionArn"]
    assert aws.get_layer_version_by_arn(Arn=layer)["Version"] == made["Version"]
    assert aws.list_layers()["Layers"][0]["LatestMatchingVersion"]["LayerVersionArn"] == layer
    updated = aws.update_function_configuration(FunctionName="other", Layers=[layer])
    assert updated["Layers"] == [{"Arn": layer, "CodeSize": len(content["ZipFile"])}]
    aws.get_waiter("function_updated_v2").wait(FunctionName="other", WaiterConfig={"Delay": 0.05, "MaxAttempts": 100})
    aws.delete_layer_version(LayerName="mine", VersionNumber=made["Version"])
    answer = json.load(aws.invoke(FunctionName="other", Payload=b'{"do": "describe"}')["Payload"])
    assert answer["environment"]["LAMBDA_FREEZER_OPT"]
    assert refused(aws.get_layer_version, LayerName="mine", VersionNumber=1) == (404, "ResourceNotFoundException")
    policy = {"LayerName": "second", "VersionNumber": 1}
    aws.publish_layer_version(LayerName="second", Content=content)
    aws.add_layer_version_permission(**policy, StatementId="s", Action="lambda:GetLayerVersion", Principal="*")
    assert json.loads(aws.get_layer_version_policy(**policy)["Policy"])["Statement"][0]["Sid"] == "s"
    aws.remove_layer_version_permission(**policy, StatementId="s")
    assert [version["Version"] for version in aws.list_layer_versions(LayerName="second")["LayerVersions"]] == [1]


def test_the_old_way_to_send_an_event(aws: Any) -> None:
    """It is taken with 202."""
    assert aws.invoke_async(FunctionName=NAME, InvokeArgs=b'{"do": "nothing"}')["Status"] == 202


def test_what_is_not_there(aws: Any) -> None:
    """501 with the name of the operation, for every kind of request."""
    for call in (
        aws.list_event_source_mappings,
        lambda: aws.get_function_scaling_config(FunctionName=NAME, Qualifier="1"),
        lambda: aws.create_code_signing_config(AllowedPublishers={"SigningProfileVersionArns": []}),
    ):
        assert refused(call) == (501, "NotImplementedException")


def test_wrong_requests(aws: Any) -> None:
    """The model is asked before anything else, in AWS's words."""
    with pytest.raises(ClientError, match="2 validation errors detected: Value 'x y' at 'functionName' failed") as told:
        aws.put_provisioned_concurrency_config(FunctionName="x y", Qualifier="1", ProvisionedConcurrentExecutions=0)
    assert told.value.response["Error"]["Code"] == "ValidationException"
    assert refused(aws.put_function_concurrency, FunctionName=NAME, ReservedConcurrentExecutions="many") == (
        400,
        "SerializationException",
    )


def test_requests_take_no_time(aws: Any) -> None:
    """It is 3 ms of the processor's, client included; the clock's depends on who else is at work."""
    aws.get_function_concurrency(FunctionName=NAME)
    began = time.process_time()
    for _ in range(40):
        aws.get_function_concurrency(FunctionName=NAME)
    assert (time.process_time() - began) / 40 < 0.1


def test_what_tools_ask_for_besides(aws: Any) -> None:
    """Lists, and what is the same for every function here: each answer is held against the model by the client."""
    assert NAME in [function["FunctionName"] for function in aws.list_functions()["Functions"]]
    assert aws.list_aliases(FunctionName="other")["Aliases"] == []
    assert aws.get_function_recursion_config(FunctionName=NAME)["RecursiveLoop"] == "Terminate"
    assert aws.get_function_code_signing_config(FunctionName=NAME)["FunctionName"] == NAME
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("python/x.py", "")
    aws.publish_layer_version(LayerName="third", Content={"ZipFile": content.getvalue()})
    assert aws.get_layer_version(LayerName="third", VersionNumber=1)["Version"] == 1
