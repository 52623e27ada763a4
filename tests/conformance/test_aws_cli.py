"""The AWS CLI against the emulator, unmodified."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator import Emulator, Function
from tests.integration.conftest import FUNCTIONS


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """An emulator with one function."""
    with Emulator({"emulator": {"sandbox": "process"}, "database": {"server": "none"}}) as running:
        running.add(Function(name="anything", code=FUNCTIONS / "anything"))
        yield running


def aws(emulator: Emulator, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``aws lambda`` with these arguments."""
    program = Path(sys.executable).with_name("aws")
    credentials = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    return subprocess.run(
        [str(program), "lambda", *arguments, "--endpoint-url", emulator.endpoint_url],
        env={"PATH": os.environ["PATH"], **credentials},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def test_invoke(emulator: Emulator, tmp_path: Path) -> None:
    """The documented command line writes the payload to a file and prints status and version."""
    out = tmp_path / "out.json"
    done = aws(emulator, "invoke", "--function-name", "anything", "--payload", '{"do": "echo", "n": 1}', str(out))
    assert done.returncode == 0, done.stderr
    assert json.loads(out.read_text()) == {"do": "echo", "n": 1}
    assert json.loads(done.stdout) == {"StatusCode": 200, "ExecutedVersion": "$LATEST"}


def test_unknown_function(emulator: Emulator, tmp_path: Path) -> None:
    """An unknown function is an error of the command."""
    done = aws(emulator, "invoke", "--function-name", "nobody", str(tmp_path / "out"))
    assert done.returncode != 0
    assert "ResourceNotFoundException" in done.stderr


def test_a_layer_and_a_permission(emulator: Emulator, tmp_path: Path) -> None:
    """The documented command lines for what is around functions."""
    archive = tmp_path / "layer.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("python/x.py", "")
    done = aws(emulator, "publish-layer-version", "--layer-name", "mine", "--zip-file", f"fileb://{archive}")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["LayerVersionArn"].endswith(":layer:mine:1")
    permission = ["--statement-id", "s", "--action", "lambda:InvokeFunction", "--principal", "events.amazonaws.com"]
    done = aws(emulator, "add-permission", "--function-name", "anything", *permission)
    assert done.returncode == 0, done.stderr
    assert json.loads(json.loads(done.stdout)["Statement"])["Principal"] == {"Service": "events.amazonaws.com"}


def test_an_operation_that_is_not_there(emulator: Emulator) -> None:
    """It is an error of the command, which names the operation."""
    done = aws(emulator, "list-event-source-mappings")
    assert done.returncode != 0
    assert "ListEventSourceMappings is not implemented by this emulator" in done.stderr
