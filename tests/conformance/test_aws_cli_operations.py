"""Every operation of the control API by the AWS CLI, unmodified: one story, told by command lines."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emulator import Emulator, Function
from emulator.control.operations import OPERATIONS
from tests.integration.conftest import FUNCTIONS

_ACCOUNT = "arn:aws:lambda:us-east-1:123456789012"
_SESSION = Path(__file__).with_name("aws_cli_session.py")

# Each line is what stands behind "aws lambda"; "wait" is the CLI's own waiter.
STORY = """
create-function --function-name told --runtime python3.11 --role arn:aws:iam::123456789012:role/r --handler app.handler --zip-file fileb://{zip}
wait function-active-v2 --function-name told
get-function --function-name told
get-function-configuration --function-name {arn}:function:told
get-function-code-signing-config --function-name told
delete-function-code-signing-config --function-name told
put-function-recursion-config --function-name told --recursive-loop Allow
get-function-recursion-config --function-name told
put-runtime-management-config --function-name told --update-runtime-on FunctionUpdate
get-runtime-management-config --function-name told
list-functions --max-items 1
update-function-configuration --function-name told --timeout 9 --environment Variables={{STAGE=test}}
wait function-updated-v2 --function-name told
publish-version --function-name told --description first
wait published-version-active --function-name told --qualifier 1
update-function-code --function-name told --zip-file fileb://{other}
wait function-updated-v2 --function-name told
publish-version --function-name told
wait published-version-active --function-name told --qualifier 2
list-versions-by-function --function-name told
create-alias --function-name told --name live --function-version 1
update-alias --function-name told --name live --routing-config AdditionalVersionWeights={{"2"=0.5}}
get-alias --function-name told --name live
list-aliases --function-name told
invoke --function-name told:live --payload {{}} {out}
invoke-async --function-name told --invoke-args {event}
tag-resource --resource {arn}:function:told --tags team=shop
list-tags --resource {arn}:function:told
untag-resource --resource {arn}:function:told --tag-keys team
add-permission --function-name told --statement-id s3 --action lambda:InvokeFunction --principal s3.amazonaws.com
get-policy --function-name told
remove-permission --function-name told --statement-id s3
put-function-concurrency --function-name told --reserved-concurrent-executions 5
get-function-concurrency --function-name told
delete-function-concurrency --function-name told
put-provisioned-concurrency-config --function-name told --qualifier 2 --provisioned-concurrent-executions 1
get-provisioned-concurrency-config --function-name told --qualifier 2
list-provisioned-concurrency-configs --function-name told
delete-provisioned-concurrency-config --function-name told --qualifier 2
put-function-event-invoke-config --function-name told --maximum-retry-attempts 1
update-function-event-invoke-config --function-name told --maximum-event-age-in-seconds 60
get-function-event-invoke-config --function-name told
list-function-event-invoke-configs --function-name told
delete-function-event-invoke-config --function-name told
create-function-url-config --function-name told --auth-type NONE
update-function-url-config --function-name told --auth-type AWS_IAM
get-function-url-config --function-name told
list-function-url-configs --function-name told
delete-function-url-config --function-name told
publish-layer-version --layer-name shared --zip-file fileb://{zip}
get-layer-version --layer-name shared --version-number 1
get-layer-version-by-arn --arn {arn}:layer:shared:1
list-layers
list-layer-versions --layer-name shared
add-layer-version-permission --layer-name shared --version-number 1 --statement-id all --action lambda:GetLayerVersion --principal *
get-layer-version-policy --layer-name shared --version-number 1
remove-layer-version-permission --layer-name shared --version-number 1 --statement-id all
delete-layer-version --layer-name shared --version-number 1
get-account-settings
delete-alias --function-name told --name live
delete-function --function-name told
"""  # noqa: E501 - command lines are as long as they are


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """One that has a function of its own besides."""
    with Emulator({"emulator": {"sandbox": "process"}, "database": {"server": "none"}}) as running:
        running.add(Function(name="anything", code=FUNCTIONS / "anything"))
        yield running


def _archive(path: Path, answer: str) -> Path:
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("app.py", f"def handler(event, context):\n    return {answer!r}\n")
    return path


def _told(emulator: Emulator, commands: list[list[str]]) -> list[dict[str, Any]]:
    credentials = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    lines = [["lambda", *command, "--endpoint-url", emulator.endpoint_url] for command in commands]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(_SESSION)],
        input=json.dumps(lines),
        env={"PATH": os.environ["PATH"], **credentials},
        capture_output=True,
        text=True,
        timeout=55,
        check=True,
    )
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return answers


def test_every_operation(emulator: Emulator, tmp_path: Path) -> None:
    """None fails; what is asked is answered; and no operation that there is has been left out."""
    (tmp_path / "event.json").write_text("{}")
    out = tmp_path / "out.json"
    places = {
        "zip": _archive(tmp_path / "one.zip", "first"),
        "other": _archive(tmp_path / "two.zip", "second"),
        "out": out,
        "event": tmp_path / "event.json",
        "arn": _ACCOUNT,
    }
    commands = [shlex.split(line.format(**places)) for line in STORY.strip().splitlines()]
    answers = _told(emulator, commands)
    failed = [(command, answer) for command, answer in zip(commands, answers, strict=True) if answer["status"]]
    assert failed == []
    by_name = {command[0]: json.loads(answer["out"] or "{}") for command, answer in zip(commands, answers, strict=True)}
    assert by_name["get-function-configuration"]["State"] == "Active"
    assert by_name["update-function-configuration"]["Environment"] == {"Variables": {"STAGE": "test"}}
    assert [version["Version"] for version in by_name["list-versions-by-function"]["Versions"]] == ["$LATEST", "1", "2"]
    assert by_name["invoke"]["ExecutedVersion"] in ("1", "2")
    assert json.loads(out.read_text()) == {"1": "first", "2": "second"}[by_name["invoke"]["ExecutedVersion"]]
    assert by_name["list-tags"]["Tags"] == {"team": "shop"}
    assert {_command(operation) for operation in OPERATIONS} - set(by_name) == set()


def _command(operation: str) -> str:
    """``GetFunction`` as the CLI has it."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", operation).lower()
