"""AWS SAM's local Lambda, with its containers kept warm: what people use who want AWS's API on their machine."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.bench.children import child, free_port, wait_until
from tests.bench.client import Door, RawClient, invoke_path
from tests.bench.containers import docker, need_image, remove
from tests.bench.errors import BenchError
from tests.bench.product import ECHO, MEMORY
from tests.bench.tools import sam_program

__all__ = ["sam", "template"]

_MACHINES = {"x86_64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}


def template() -> str:
    """The function as SAM wants it described; JSON is YAML too."""
    properties = {
        "FunctionName": "echo",
        "CodeUri": str(ECHO),
        "Handler": "app.handler",
        "Runtime": f"python{sys.version_info.major}.{sys.version_info.minor}",
        "MemorySize": MEMORY,
        "Timeout": 30,
    }
    resource = {"Type": "AWS::Serverless::Function", "Properties": properties}
    return json.dumps({"Transform": "AWS::Serverless-2016-10-31", "Resources": {"echo": resource}})


@contextlib.contextmanager
def sam() -> Iterator[Door]:
    """``sam local start-lambda --warm-containers EAGER``.

    Raises:
        BenchError: it is not installed, or does not start; it needs an engine and an image.
    """
    port = free_port()
    before = set(_containers())
    with tempfile.TemporaryDirectory(prefix="lambda-freezer-bench-") as folder, _image_under_its_name():
        description = Path(folder) / "template.yaml"
        description.write_text(template())
        command: list[str | Path] = [
            *(sam_program(), "local", "start-lambda", "--skip-pull-image", "--warm-containers", "EAGER"),
            *("--port", str(port), "--template", description),
        ]
        door = Door("127.0.0.1", port, invoke_path("echo"))
        variables = {**os.environ, "SAM_CLI_TELEMETRY": "0", "HOME": folder}
        try:
            with child(command, variables=variables, folder=Path(folder)) as process:
                wait_until(lambda: _invokes(door) or process.poll() is not None, "SAM answers", seconds=90, every=0.1)
                if process.poll() is not None:
                    raise BenchError("SAM did not start")
                yield door
        finally:
            with contextlib.suppress(BenchError):
                remove(*(one for one in _containers() if one not in before))


@contextlib.contextmanager
def _image_under_its_name() -> Iterator[None]:
    """SAM builds upon AWS's image for one kind of machine, and fetches it unless it has that name here already.

    Where AWS's is not here the stand-in gets the name meanwhile; what SAM makes of that goes with it.
    """
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    kind = _MACHINES.get(platform.machine(), platform.machine())
    name = f"public.ecr.aws/lambda/python:{version}-{kind}"
    made = f"public.ecr.aws/lambda/python:{version}-rapid-{kind}"
    source = need_image()
    try:
        docker("image", "inspect", name)
    except BenchError:
        docker("tag", source, name)
        try:
            yield
        finally:
            for one in (made, name):
                with contextlib.suppress(BenchError):
                    docker("rmi", one)
    else:
        yield


def _containers() -> list[str]:
    """Those that run an image of SAM's making."""
    listed = docker("ps", "--all", "--format", "{{.ID}} {{.Image}}").splitlines()
    return [line.split()[0] for line in listed if "-rapid-" in line]


def _invokes(door: Door) -> bool:
    try:
        with RawClient(door) as client:
            client.invoke()
    except (OSError, AssertionError):
        return False
    return True
