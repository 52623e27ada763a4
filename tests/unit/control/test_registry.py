"""The registry as JSON."""

from __future__ import annotations

import json
from pathlib import Path

from emulator.control.registry import Registry
from tests.unit.control.archives import archive
from tests.unit.control.play import ACCOUNT, Play


def test_everything_can_be_said_in_json_and_read_again(tmp_path: Path) -> None:
    """With versions, aliases, tags, policies and layers; the copy shares nothing with it."""
    play = Play(tmp_path)
    role = f"arn:aws:iam::{ACCOUNT}:role/worker"
    given = {"FunctionName": "fresh", "Role": role, "Runtime": "python3.12", "Handler": "app.handler"}
    play.ask("CreateFunction", **given, Code={"ZipFile": archive()}, Publish=True, Tags={"a": "b"})
    play.settle()
    play.ask("CreateAlias", FunctionName="fresh", Name="live", FunctionVersion="1")
    permission = {"StatementId": "s", "Action": "lambda:InvokeFunction", "Principal": "*"}
    play.ask("AddPermission", FunctionName="fresh", **permission)
    play.ask("PublishLayerVersion", LayerName="tools", Content={"ZipFile": archive()})
    registry = play.control.registry
    written = json.dumps(registry.to_json())
    read = Registry.from_json(json.loads(written))
    assert read == registry
    read.functions["fresh"].latest.settings["Timeout"] = 900
    assert json.dumps(registry.to_json()) == written
