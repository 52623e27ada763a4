"""Merged layers: who gets which version, and when a folder goes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.errors import CodeError
from emulator.model import Function
from emulator.sandbox.instance import Instance
from emulator.sandbox.opt import OptFolders
from tests.support import in_loop


@pytest.fixture
def instance() -> Iterator[Instance]:
    with Instance() as made:
        yield made


@pytest.fixture
def function(tmp_path: Path) -> Function:
    """With one layer, that has one extension."""
    for folder in ("code", "layer/extensions"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "layer" / "extensions" / "agent").write_text("1")
    return Function(name="orders", code=tmp_path / "code", layers=[tmp_path / "layer"])


def folders(instance: Instance) -> list[str]:
    return sorted(path.name for path in instance.folder.glob("layers-*"))


def test_sandboxes_of_one_version_share_a_folder(instance: Instance, function: Function) -> None:
    """It stays when they are gone: the next one wants it."""

    @in_loop
    async def share() -> None:
        store = OptFolders(instance)
        await store.prepare(function)
        first, second = store.take(function), store.take(function)
        assert first is not None
        assert first is second
        assert first.extensions == ("agent",)
        assert first.folder.stat().st_mode & 0o777 == 0o755
        await store.give_back(first)
        await store.give_back(first)
        assert first.folder.exists()

    share()


def test_a_sandbox_keeps_its_version(instance: Instance, function: Function) -> None:
    """A changed layer is a fresh folder; the old one goes with the last who has it."""

    @in_loop
    async def change() -> None:
        store = OptFolders(instance)
        await store.prepare(function)
        old = store.take(function)
        (function.layers[0] / "extensions" / "agent").write_text("2")
        await store.prepare(function)
        new = store.take(function)
        assert old is not None
        assert new is not None
        assert (old.folder / "extensions" / "agent").read_text() == "1"
        assert (new.folder / "extensions" / "agent").read_text() == "2"
        await store.give_back(old)
        assert folders(instance) == [new.folder.name]

    change()


def test_a_version_that_nobody_has_goes_at_once(instance: Instance, function: Function) -> None:
    """Somebody saves ten times before the next invocation."""

    @in_loop
    async def save() -> None:
        store = OptFolders(instance)
        for _ in range(3):
            await store.prepare(function)
        assert len(folders(instance)) == 1
        await store.prepare(Function(name="orders", code=function.code))  # deployed again, without layers
        assert folders(instance) == []
        assert store.take(Function(name="orders", code=function.code)) is None

    save()


def test_a_version_that_cannot_be_made_changes_nothing(instance: Instance, function: Function) -> None:
    """A half-written archive leaves no folder, and the old one in force."""

    @in_loop
    async def fail() -> None:
        store = OptFolders(instance)
        await store.prepare(function)
        broken = function.folder.parent / "broken.zip"
        broken.write_text("half")
        with pytest.raises(CodeError):
            await store.prepare(Function(name="orders", code=function.code, layers=[broken]))
        opt = store.take(function)
        assert opt is not None
        assert folders(instance) == [opt.folder.name]

    fail()
