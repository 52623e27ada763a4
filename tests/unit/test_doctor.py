"""What the doctor says of runtimes: how they run here, or what they lack."""

from __future__ import annotations

from pathlib import Path

import pytest

from emulator.doctor import runtime_as_process, runtime_in_containers
from emulator.runtimes import RuntimeKind
from emulator.sandbox import equipment
from emulator.sandbox.equipment import NODE_CLIENT
from tests.support import in_loop
from tests.unit.sandbox.test_equipment import node_client, program
from tests.unit.sandbox.test_images import Store


def test_what_needs_nothing_is_fine() -> None:
    """Python is the emulator's, another program the function's."""
    assert runtime_as_process(RuntimeKind.PYTHON, []).fine
    assert runtime_as_process(RuntimeKind.PROVIDED, []).found == "the program that the function brings"


def test_what_a_process_lacks_is_told_with_its_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And when it is there, where it is."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(equipment, "_PROGRAMS", str(tmp_path))
    assert runtime_as_process(RuntimeKind.NODEJS, []).found == "nodejs needs Node.js, and there is no node in PATH"
    program(tmp_path, "node", "#!/bin/sh\necho v22.1.0\n")
    check = runtime_as_process(RuntimeKind.NODEJS, [tmp_path])
    assert (check.name, check.fine) == ("nodejs as processes", False)
    assert NODE_CLIENT in check.cure
    main = node_client(tmp_path / "nodejs")
    check = runtime_as_process(RuntimeKind.NODEJS, [tmp_path])
    assert (check.fine, check.found) == (True, f"Node.js 22, AWS's client in {main.parent}")


@in_loop
async def test_images_are_listed_once() -> None:
    """A stand-in serves many versions."""
    check = await runtime_in_containers(
        Store("lambda-freezer/java:17", "public.ecr.aws/lambda/java:21"), RuntimeKind.JAVA
    )
    assert (check.fine, check.found) == (True, "lambda-freezer/java:17, public.ecr.aws/lambda/java:21")
    check = await runtime_in_containers(Store(), RuntimeKind.JAVA)
    assert (check.fine, check.found) == (False, "no image here")
    assert "docker/build-images --only java" in check.cure
