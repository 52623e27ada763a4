"""With ``--state`` an emulator goes on where the one before it has stopped, or was killed.

One story for both ends, for it is the same state; its 7 s are those of three starts and two stops.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from emulator import Emulator
from emulator.client import Client
from emulator.model import RequestId
from emulator.state import KeptEvent, StateFolder
from tests.conformance.aws import lambda_client
from tests.integration.running import Up, command, start_up
from tests.support import eventually
from tests.unit.control.archives import archive

ROLE = "arn:aws:iam::123456789012:role/worker"
ARN = "arn:aws:lambda:us-east-1:123456789012:function:orders"
_CODE = """
import os
def handler(event, context):
    if "tell" in event:
        with open(event["tell"], "a") as file:
            file.write(context.aws_request_id + "\\n")
        raise ValueError("not yet")
    return [NAME, context.function_version, os.environ.get("SAID")]
"""


def code(name: str) -> bytes:
    """An archive whose function says that it is this one."""
    return archive(("app.py", f"NAME = {name!r}{_CODE}"))


@contextmanager
def running(folder: Path) -> Iterator[tuple[Up, Any]]:
    """An emulator with its state below the folder, and AWS's client for it."""
    with (
        start_up(folder, "--sandbox", "process", "--database", "none", "--state", "state") as up,
        lambda_client(SimpleNamespace(endpoint_url=up.endpoint)) as aws,  # type: ignore[arg-type]
    ):
        yield up, aws


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a configuration that has one function."""
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "app.py").write_text(f"NAME = 'given'{_CODE}")
    (tmp_path / "lambda-freezer.toml").write_text(
        '[functions.given]\ncode = "given"\nenvironment = { SAID = "file" }\n'
    )
    return tmp_path


def make_everything(aws: Any, tell: Path) -> None:
    """What a client can have an emulator keep."""
    layer = aws.publish_layer_version(LayerName="tools", Content={"ZipFile": archive(("tools.txt", "x"))})
    aws.create_function(
        FunctionName="orders",
        Runtime="python3.11",
        Handler="app.handler",
        Role=ROLE,
        Code={"ZipFile": code("one")},
        Layers=[layer["LayerVersionArn"]],
        Environment={"Variables": {"SAID": "secret"}},
        Tags={"team": "a"},
        Publish=True,
    )
    aws.get_waiter("published_version_active").wait(
        FunctionName="orders", Qualifier="1", WaiterConfig={"Delay": 0.05, "MaxAttempts": 100}
    )
    aws.create_alias(FunctionName="orders", Name="live", FunctionVersion="1")
    aws.update_function_code(FunctionName="orders", ZipFile=code("two"))
    aws.get_waiter("function_updated_v2").wait(FunctionName="orders", WaiterConfig={"Delay": 0.05, "MaxAttempts": 100})
    aws.add_permission(
        FunctionName="orders", StatementId="s", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com"
    )
    aws.create_function_url_config(FunctionName="orders", Qualifier="live", AuthType="NONE")
    aws.put_function_event_invoke_config(FunctionName="orders", MaximumRetryAttempts=1)
    aws.put_function_concurrency(FunctionName="orders", ReservedConcurrentExecutions=7)
    aws.put_provisioned_concurrency_config(FunctionName="orders", Qualifier="live", ProvisionedConcurrentExecutions=1)
    aws.publish_version(FunctionName="given")
    aws.update_function_configuration(FunctionName="given", Environment={"Variables": {"SAID": "client"}})
    aws.invoke(FunctionName="orders", InvocationType="Event", Payload=json.dumps({"tell": str(tell)}))


def shown(aws: Any) -> dict[str, Any]:
    """What a client sees of it, that is to be the same after a restart."""
    answers = {
        "function": aws.get_function(FunctionName="orders"),
        "version": aws.get_function(FunctionName="orders", Qualifier="1"),
        "versions": aws.list_versions_by_function(FunctionName="orders"),
        "given": aws.list_versions_by_function(FunctionName="given")["Versions"][1:],
        "alias": aws.get_alias(FunctionName="orders", Name="live"),
        "layers": aws.list_layers(),
        "policy": aws.get_policy(FunctionName="orders"),
        "url": {**aws.get_function_url_config(FunctionName="orders", Qualifier="live"), "FunctionUrl": ""},
        "events": aws.get_function_event_invoke_config(FunctionName="orders"),
        "ahead": [
            config["RequestedProvisionedConcurrentExecutions"]
            for config in aws.list_provisioned_concurrency_configs(FunctionName="orders")[
                "ProvisionedConcurrencyConfigs"
            ]
        ],
        "reserved": aws.get_function_concurrency(FunctionName="orders"),
    }
    for answer in answers.values():
        if isinstance(answer, dict):
            answer.pop("ResponseMetadata", None)
    return answers


def queue(up: Up) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = Client(up.endpoint).get("/_emulator/api/queue")["events"]
    return found


def answer_of(aws: Any, name: str, **more: Any) -> Any:
    return json.load(aws.invoke(FunctionName=name, **more)["Payload"])


def test_everything_is_there_again(folder: Path) -> None:
    """After a kill -9 and after a stop: clients see no difference, and an event that has failed is tried once more."""
    tell = folder / "attempts"
    with running(folder) as (up, aws):
        make_everything(aws, tell)
        eventually(lambda: queue(up)[0]["state"] == "waiting", "the end of the first attempt")
        (event,) = queue(up)
        before = shown(aws)
        up.process.kill()
        up.process.wait(timeout=20)
    with running(folder) as (up, aws):
        assert shown(aws) == before
        up.process.send_signal(signal.SIGINT)
        up.process.wait(timeout=20)
        assert "1 asynchronous events are not done, and are kept in" in up.output.read_text().replace("\n", " ")
    with running(folder) as (up, aws):
        assert shown(aws) == before
        assert answer_of(aws, "orders") == ["two", "$LATEST", "secret"]
        assert answer_of(aws, "orders", Qualifier="live") == ["one", "1", "secret"]
        assert answer_of(aws, "given")[2] == "file", "a function of the file is as the file says"
        assert answer_of(aws, "given", Qualifier="1")[1:] == ["1", "file"]
        (kept,) = queue(up)
        same = ("request_id", "accepted_at", "attempts", "payload")
        assert [kept[key] for key in same] == [event[key] for key in same]
        assert kept["next_attempt"] == pytest.approx(event["next_attempt"], abs=5)  # of a minute
        Client(up.endpoint).post("/_emulator/api/fast-forward", {"seconds": 60})
        assert tell.read_text().split() == [event["request_id"]] * 2
        assert queue(up) == []
        refused = command("up", "--port", "0", "--sandbox", "process", "--state", str(folder / "state"), cwd=folder)
        assert refused.returncode == 2
        assert f"is in use by another emulator, process {up.process.pid}" in refused.stderr.replace("\n", " ")


def test_events_wait_for_their_function(tmp_path: Path) -> None:
    """One whose function is not there now is kept, and told of; until AWS as well would have dropped it."""
    with StateFolder(tmp_path / "state") as folder:
        for name, accepted in (("new", time.time()), ("old", time.time() - 22_000)):
            folder.journal.keep(KeptEvent(RequestId(name), "nobody", b'{"id":1}', "arn", "Root=1", accepted))
    settings = {"emulator": {"sandbox": "process", "state": str(tmp_path / "state")}, "database": {"server": "none"}}
    with Emulator(settings) as emulator:
        told = {(event.kind, event.request_id) for event in emulator.timeline() if event.function == "nobody"}
        assert told == {("state.trouble", "new"), ("event.dropped", "old")}
    with StateFolder(tmp_path / "state") as folder:
        assert [event.request_id for event in folder.journal.pending] == ["new"]
