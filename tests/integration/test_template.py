"""An emulator that is started with an AWS SAM template, as a user starts it."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.running import Up, command, start_up
from tests.support import eventually

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Parameters:
  Greeting: {Type: String}
Globals:
  Function: {Timeout: 5, Environment: {Variables: {GREETING: !Ref Greeting}}}
Resources:
  Hello:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: src
      Handler: app.handler
      Runtime: python3.11
      FunctionUrlConfig: {AuthType: NONE}
      Events:
        Web: {Type: HttpApi, Properties: {Path: "/hello/{who}", Method: get}}
        Nightly: {Type: Schedule, Properties: {Schedule: rate(1 hour), Input: '{"who": "the night"}'}}
  Inline:
    Type: AWS::Lambda::Function
    Properties:
      Runtime: python3.11
      Handler: index.handler
      Code: {ZipFile: "def handler(event, context): return 'inline'"}
  Orders: {Type: AWS::DynamoDB::Table}
"""
CODE = """
import os

def handler(event, context):
    who = event.get("pathParameters", event).get("who", "nobody")
    print("hello", who)
    return {"greeting": os.environ["GREETING"], "who": who}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A template and its code."""
    folder = tmp_path_factory.mktemp("sam")
    (folder / "src").mkdir()
    (folder / "src" / "app.py").write_text(CODE)
    (folder / "template.yaml").write_text(TEMPLATE)
    return folder


@pytest.fixture(scope="module")
def up(project: Path) -> Iterator[Up]:
    """Without a database, on processes."""
    given = ("template.yaml", "--parameter", "Greeting=good evening", "--sandbox", "process", "--database", "none")
    with start_up(project, *given) as running:
        yield running


def _get(address: str) -> Any:
    with urllib.request.urlopen(address, timeout=20) as answer:
        return json.load(answer)


def test_a_route_of_the_template_is_served(up: Up) -> None:
    """With its path parameter, a parameter's value and a variable of Globals."""
    assert _get(f"{up.endpoint}/hello/ada") == {"greeting": "good evening", "who": "ada"}


def test_a_url_and_inline_code(up: Up) -> None:
    """The URL by the function's name; inline code by the API."""
    assert _get(f"{up.endpoint}/_url/Hello/")["who"] == "nobody"
    assert up.run("invoke", "Inline").stdout.strip() == '"inline"'


def test_a_schedule_is_on_the_emulators_clock(up: Up) -> None:
    """Two hours skipped are two events, each with the input that the template gives."""
    assert up.run("fast-forward", "2h").returncode == 0
    eventually(lambda: up.run("logs", "Hello").stdout.count("hello the night") == 2, "two scheduled events")
    told = up.run("timeline", "--json").stdout
    assert told.count('"schedule.due"') == 2


def test_what_has_no_effect_is_told(up: Up) -> None:
    """Once, when it starts."""
    eventually(lambda: "passed over" in up.output.read_text(), "the lines that it begins with")
    assert up.output.read_text().count("Orders (AWS::DynamoDB::Table)") == 1


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["template.yaml"], "the parameter Greeting has no default"),
        (["template.yaml", "--parameter", "Greeting"], "has no value"),
        (["nothing.yaml"], "cannot be read"),
        (["src/app.py"], "is no template"),
        (["--parameter", "A=b"], "without a template"),
    ],
)
def test_wrong_usage(project: Path, arguments: list[str], complaint: str) -> None:
    """Exit status 2, and what is wrong."""
    ended = command("up", "--port", "0", "--database", "none", "--sandbox", "process", *arguments, cwd=project)
    assert ended.returncode == 2
    assert complaint in " ".join(ended.stderr.split())
