"""The public runtime clients that docker/runtime-clients fetches, with registries that are only played."""

from __future__ import annotations

import importlib
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

DOCKER = Path(__file__).resolve().parents[3] / "docker"


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module, which is no part of the package."""
    monkeypatch.syspath_prepend(DOCKER)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return importlib.import_module("standins.clients")


@pytest.fixture
def builds(clients: Any) -> tuple[Any, list[Path]]:
    """A client that is made of nothing, and the folders in which it has been built."""
    seen: list[Path] = []

    def build(source: Path, scratch: Path, result: Path) -> None:
        seen.append(result)
        (result / "client").write_text(f"build {len(seen)}")

    return clients.Client("java", {"sh": "dash", "no-such-program": "no-such-package"}, ("pom.xml",), build), seen


def test_a_client_is_built_once(clients: Any, builds: tuple[Any, list[Path]], tmp_path: Path) -> None:
    """What is there, made of the same inputs, is not made again, unless by force."""
    client, seen = builds
    into = tmp_path / "a" / "b"

    first = clients.install(client, into)
    clients.install(client, into)
    assert len(seen) == 1
    assert clients.is_current(client, into)
    clients.install(client, into, force=True)
    assert (first / "client").read_text() == "build 2"
    assert sorted(path.name for path in into.iterdir()) == [".java.lock", "java"]


def test_a_failure_leaves_the_old_client(clients: Any, builds: tuple[Any, list[Path]], tmp_path: Path) -> None:
    """A build that fails leaves nothing behind and takes nothing away."""
    client, _ = builds
    place = clients.install(client, tmp_path)

    def fail(source: Path, scratch: Path, result: Path) -> None:
        raise clients.BuildError("the registry is asleep")

    with pytest.raises(clients.BuildError, match="asleep"):
        clients.install(clients.Client("java", {}, ("pom.xml",), fail), tmp_path, force=True)
    assert (place / "client").read_text() == "build 1"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".java.lock", "java"]


def test_missing_programs_are_told_as_packages(builds: tuple[Any, list[Path]]) -> None:
    """What a user has to install is named as the distribution names it."""
    assert builds[0].missing_packages() == ["no-such-package"]


def playing_maven(name: str) -> Callable[[str, list[Any]], None]:
    """A Maven that fetches one small archive."""

    def run(what: str, command: list[Any]) -> None:
        (target,) = [part.partition("=")[2] for part in command if str(part).startswith("-DoutputDirectory=")]
        with zipfile.ZipFile(Path(target) / name, "w") as jar:
            jar.writestr(zipfile.ZipInfo("jni/libaws-lambda-jni.linux-x86_64.so"), "native")

    return run


def test_java_archives_are_compared_with_their_checksums(
    clients: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another file than the locked one is refused by name, whatever the registry says of it; the locked one is used."""
    name = "aws-lambda-java-runtime-interface-client-9.jar"
    monkeypatch.setattr(clients, "run", playing_maven(name))
    source, result = tmp_path / "source", tmp_path / "result"
    source.mkdir()
    result.mkdir()
    (source / "pom.xml").write_text("")
    (source / "checksums.txt").write_text(f"{'0' * 64}  {name}\n")
    with pytest.raises(clients.BuildError, match=f"checksums.txt says: {name}"):
        clients.build_java(source, tmp_path, result)

    digest = clients.hashlib.sha256((result / name).read_bytes()).hexdigest()
    (source / "checksums.txt").write_text(f"{digest}  {name}\n")
    clients.build_java(source, tmp_path, result)
    assert (result / "jni/libaws-lambda-jni.linux-x86_64.so").read_text() == "native"
