"""A function's code: which folders are refused, and which changes are noticed."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import watchfiles

from emulator import deployment
from emulator.deployment import Change, CodeWatcher, check_code
from emulator.errors import CodeError
from emulator.model import Function
from tests.support import in_loop


def function(code: Path) -> Function:
    return Function(name="orders", code=code)


def refusal(code: Path, *, other_user: bool = False) -> CodeError:
    with pytest.raises(CodeError) as caught:
        check_code(function(code), other_user=other_user)
    return caught.value


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A folder with a handler, as a user has it."""
    folder = tmp_path / "orders"
    folder.mkdir(mode=0o755)
    (folder / "app.py").write_text("def handler(event, context): ...\n")
    return folder


def test_an_image_has_no_code_that_could_be_wrong() -> None:
    """Its layers are looked at like those of any other."""
    check_code(Function(name="orders", image="mine:1"), other_user=True)
    with pytest.raises(CodeError, match="its layer /none does not exist"):
        check_code(Function(name="orders", image="mine:1", layers=[Path("/none")]), other_user=True)


@contextlib.contextmanager
def as_ordinary_user() -> Iterator[None]:
    """What access checks say to a user without rights; root passes every one of them."""
    if os.getuid() != 0:
        yield
        return
    os.setresuid(65_534, 0, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


def test_a_folder_with_code_is_accepted(code: Path) -> None:
    """By us and by another user."""
    check_code(function(code), other_user=False)
    check_code(function(code), other_user=True)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    """The message names function and folder."""
    error = refusal(tmp_path / "missing")
    assert error.message == f"function orders: its code {tmp_path / 'missing'} does not exist"
    assert error.cure


def test_a_file_is_refused(code: Path) -> None:
    """An archive or a module is no folder."""
    assert "is not a folder" in refusal(code / "app.py").message


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    """There is no handler in it."""
    assert "is empty" in refusal(tmp_path).message


def test_a_folder_that_we_cannot_read_is_refused(code: Path) -> None:
    """The cure is the command that helps."""
    code.chmod(0o000)
    with as_ordinary_user():
        error = refusal(code)
    assert "cannot be read" in error.message
    assert error.cure == f"chmod u+rx {code}"


@pytest.mark.parametrize("mode", [0o700, 0o750, 0o754, 0o751])
def test_a_private_folder_is_refused_where_another_user_runs_the_code(code: Path, mode: int) -> None:
    """In a container the code is read by Lambda's user; as a process it is read by us."""
    code.chmod(mode)
    check_code(function(code), other_user=False)
    error = refusal(code, other_user=True)
    assert "can be read by its owner only" in error.message
    assert error.cure == f"chmod -R o+rX {code}"


def layered(code: Path, *layers: Path) -> Function:
    return Function(name="orders", code=code, layers=layers)


def test_layers_that_can_be_used_are_accepted(tmp_path: Path, code: Path) -> None:
    """A folder and a file; whether that is an archive is seen when it is unpacked."""
    folder, archive = tmp_path / "folder", tmp_path / "layer.zip"
    folder.mkdir(mode=0o755)
    archive.touch()
    check_code(layered(code, folder, archive), other_user=True)


def test_a_missing_layer_is_refused(tmp_path: Path, code: Path) -> None:
    """The message names function and layer."""
    with pytest.raises(CodeError) as caught:
        check_code(layered(code, tmp_path / "missing"), other_user=False)
    assert caught.value.message == f"function orders: its layer {tmp_path / 'missing'} does not exist"
    assert caught.value.cure


@pytest.mark.parametrize("kind", ["folder", "archive"])
def test_a_layer_that_we_cannot_read_is_refused(kind: str) -> None:
    """The cure is the command that helps."""
    with tempfile.TemporaryDirectory() as place:  # other users have to be let into it, to see the code
        Path(place).chmod(0o755)
        code, layer = Path(place) / "code", Path(place) / "layer"
        code.mkdir(mode=0o755)
        (code / "app.py").touch()
        if kind == "folder":
            layer.mkdir()
        else:
            layer.touch()
        layer.chmod(0o000)
        with as_ordinary_user(), pytest.raises(CodeError) as caught:
            check_code(layered(code, layer), other_user=False)
    assert caught.value.message == f"function orders: its layer {layer} cannot be read"
    assert caught.value.cure.startswith("chmod u+r")


def test_a_private_layer_is_refused_where_another_user_runs_the_code(tmp_path: Path, code: Path) -> None:
    """As private code is."""
    layer = tmp_path / "layer"
    layer.mkdir(mode=0o700)
    check_code(layered(code, layer), other_user=False)
    with pytest.raises(CodeError, match="can be read by its owner only"):
        check_code(layered(code, layer), other_user=True)


class Watched:
    """A running watcher and what it has said; it is told again until it has armed itself."""

    def __init__(self) -> None:
        self.changed: list[str] = []
        self.changes: list[Change] = []
        self.watcher = CodeWatcher(self._on_change)
        self._heard = asyncio.Event()
        self._marks = itertools.count(1)

    def _on_change(self, change: Change) -> None:
        self.changes.append(change)
        self.changed.append(change.function)
        self._heard.set()

    async def hears(self, change: Callable[[int], object], name: str, file: str | None = None) -> None:
        """Repeat a change until it is heard: nobody can see from outside that a watch is armed.

        What was written last may be told a second time, later; see :meth:`catches_up`.
        """
        self._heard.clear()
        async with asyncio.timeout(30):
            for attempt in range(1_000):
                change(attempt)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.2):
                        await self._heard.wait()
                if name in self.changed and (file is None or any(file in change.files for change in self.changes)):
                    return
                self._heard.clear()

    async def hears_of(self, file: str) -> None:
        """Wait until a file is told of, by its name below what is watched."""
        async with asyncio.timeout(30):
            while not any(file in change.files for change in self.changes):
                self._heard.clear()
                await self._heard.wait()

    async def catches_up(self, folder: Path) -> None:
        """All that was written before has been told, or passed over: changes come in order, and this one is the last.

        Arguments:
            folder: is watched already, and has been heard of.
        """
        mark = f"mark_{next(self._marks)}.py"
        (folder / mark).write_text("")
        await self.hears_of(mark)


@contextlib.asynccontextmanager
async def watching(**paths: Path | tuple[Path, ...]) -> AsyncIterator[Watched]:
    watched = Watched()
    for name, given in paths.items():
        watched.watcher.watch(name, *(given if isinstance(given, tuple) else (given,)))
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(watched.watcher.run())
        yield watched
        assert not running.done(), "the watcher gave up"
        watched.watcher.close()
        async with asyncio.timeout(30):
            await running


@in_loop
async def test_a_change_is_told_with_the_functions_name(tmp_path: Path, code: Path) -> None:
    """Only the function whose folder it was hears of it."""
    other = tmp_path / "other"
    other.mkdir()
    async with watching(orders=code, other=other) as watched:
        await watched.hears(lambda n: (code / "app.py").write_text(f"x = {n}\n"), "orders")
        assert set(watched.changed) == {"orders"}
        await watched.hears(lambda n: (other / "app.py").write_text(f"x = {n}\n"), "other")


@in_loop
async def test_two_functions_may_share_a_folder(code: Path) -> None:
    """Both are told."""
    async with watching(first=code, second=code) as watched:
        await watched.hears(lambda n: (code / "app.py").write_text(f"x = {n}\n"), "first")
        assert "second" in watched.changed


@in_loop
async def test_a_folder_can_be_added_while_it_runs(tmp_path: Path, code: Path) -> None:
    """Also to a watcher that had nothing to watch."""
    late = tmp_path / "late"
    late.mkdir()
    async with watching() as watched:
        watched.watcher.watch("orders", code)
        await watched.hears(lambda n: (code / "app.py").write_text(f"x = {n}\n"), "orders")
        watched.watcher.watch("late", late)
        await watched.hears(lambda n: (late / "deep.py").write_text(f"x = {n}\n"), "late")


@in_loop
async def test_bytecode_and_version_control_are_no_changes_of_code(tmp_path: Path, code: Path) -> None:
    """Running a function writes bytecode; that must not recycle its environment."""
    cache, git, other = code / "__pycache__", code / ".git", tmp_path / "other"
    for folder in (cache, git, other):
        folder.mkdir()
    async with watching(orders=code, other=other) as watched:
        await watched.hears(lambda n: (code / "app.py").write_text(f"x = {n}\n"), "orders")
        await watched.catches_up(other)
        watched.changed.clear()
        for number in range(3):
            (cache / "app.cpython-311.pyc").write_text(str(number))
            (git / "index").write_text(str(number))
            for name in ("app.py.swp", "app.py~", ".#app.py", "#app.py#", "4913", ".app.py.kate-swp", "app.py.tmp.7"):
                (code / name).write_text(str(number))
        await watched.catches_up(other)
        assert set(watched.changed) == {"other"}


def test_what_is_saved_at_once_is_one_change(tmp_path: Path, code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file of it is named, and one event is enough for all of them."""
    names = [f"part_{number}.py" for number in range(20)]
    for name in names:
        (tmp_path / name).write_text("x = 1\n")

    @in_loop
    async def watch() -> None:
        async with watching(orders=code) as watched:
            await watched.hears(lambda n: (code / "app.py").write_text(f"x = {n}\n"), "orders")
            await watched.catches_up(code)
            watched.changes.clear()
            for name in names:
                (tmp_path / name).rename(code / name)
            await watched.hears_of(names[-1])
            await watched.catches_up(code)
            told = [sorted(set(names).intersection(change.files)) for change in watched.changes]
            assert [files for files in told if files] == [sorted(names)]

    monkeypatch.setattr(deployment, "_CALM", 250)  # nobody is held up for so long between two of these names
    watch()


@pytest.mark.parametrize("folder", ["node_modules/left-pad", "python/lib/python3.11/site-packages/left_pad"])
def test_dependencies_are_code(code: Path, folder: str) -> None:
    """Whoever installs another version of one wants to see it run."""
    (code / folder).mkdir(parents=True)

    @in_loop
    async def watch() -> None:
        async with watching(orders=code) as watched:
            await watched.hears(lambda n: (code / folder / "main.file").write_text(f"x = {n}\n"), "orders")
            assert watched.changes[0].files == (f"{folder}/main.file",)

    watch()


@in_loop
async def test_bytecode_of_what_has_changed_goes(code: Path) -> None:
    """It would be taken for that of the new code, if that is as long and of the same second; others' stays."""
    old, other = (Path(importlib.util.cache_from_source(str(code / name))) for name in ("app.py", "other.py"))
    old.parent.mkdir()
    old.touch()
    other.touch()
    async with watching(orders=code) as watched:
        await watched.hears(lambda n: (code / "app.py").write_text(f"x = {n}\n"), "orders")
        assert (old.exists(), other.exists()) == (False, True)


@in_loop
async def test_what_counts_is_decided_below_the_watched_folder(tmp_path: Path) -> None:
    """A build tool may put code into a folder that is passed over elsewhere."""
    code = tmp_path / ".aws-sam" / "build" / "Orders"
    code.mkdir(parents=True)
    async with watching(orders=code) as watched:
        await watched.hears(lambda n: (code / "app.py").write_text(f"x = {n}\n"), "orders")


@pytest.mark.parametrize("parent", ["", "build/"])
def test_a_folder_that_is_made_anew_is_told_of_and_watched_again(tmp_path: Path, parent: str) -> None:
    """A build removes the folder, or the one above it, and writes it anew; a watch went with what was there."""
    code = tmp_path / f"{parent}dist"
    code.mkdir(parents=True)
    (code / "app.js").write_text("")

    @in_loop
    async def watch() -> None:
        async with watching(orders=code) as watched:
            await watched.hears(lambda n: (code / "app.js").write_text(f"x = {n}\n"), "orders")
            shutil.rmtree(tmp_path / "build" if parent else code)
            code.mkdir(parents=True)
            (code / "app.js").write_text("new")
            async with asyncio.timeout(30):
                while Change("orders", ()) not in watched.changes:
                    await asyncio.sleep(0.01)
            await watched.hears(lambda n: (code / "late.js").write_text(f"x = {n}\n"), "orders", "late.js")

    watch()


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ((), "its folder is there anew"),
        (("app.py",), "app.py changed"),
        (("app.py", "b.py"), "app.py and another file changed"),
        (("app.py", "b.py", "c.py"), "app.py and 2 other files changed"),
    ],
)
def test_a_change_is_one_sentence(files: tuple[str, ...], told: str) -> None:
    """However many files it is about."""
    assert str(Change("orders", files)) == told


@in_loop
async def test_a_folder_that_vanishes_does_not_end_the_watch_over_the_others(tmp_path: Path, code: Path) -> None:
    """Somebody changes branches while the emulator runs, and adds a function afterwards."""
    gone = tmp_path / "gone"
    gone.mkdir()
    (gone / "app.py").write_text("")
    async with watching(orders=code, gone=gone) as watched:
        await watched.hears(lambda n: (gone / "app.py").write_text(f"x = {n}\n"), "gone")
        shutil.rmtree(gone)
        late = tmp_path / "late"
        late.mkdir()
        watched.watcher.watch("late", late)
        await watched.hears(lambda n: (late / "app.py").write_text(f"x = {n}\n"), "late")
        await watched.hears(lambda n: (code / "app.py").write_text(f"y = {n}\n"), "orders")


@in_loop
async def test_a_link_is_watched_where_it_points_to(tmp_path: Path, code: Path) -> None:
    """A folder may be linked into the project."""
    link = tmp_path / "link"
    link.symlink_to(code)
    async with watching(orders=link) as watched:
        await watched.hears(lambda n: (link / "app.py").write_text(f"x = {n}\n"), "orders")


@in_loop
async def test_a_changed_layer_is_a_change_of_its_function(tmp_path: Path, code: Path) -> None:
    """A folder and an archive; of the archive's neighbours nobody wants to hear."""
    layer, archive = tmp_path / "layer", tmp_path / "archives" / "layer.zip"
    layer.mkdir()
    archive.parent.mkdir()
    archive.touch()
    async with watching(orders=(code, layer, archive)) as watched:
        for changed in (layer / "module.py", archive, code / "app.py"):
            watched.changed.clear()
            await watched.hears(lambda n, path=changed: path.write_text(f"x = {n}\n"), "orders")  # type: ignore[misc]
        await watched.catches_up(code)
        watched.changes.clear()
        (archive.parent / "other.zip").write_text("x")
        archive.write_text("a change that is heard after it")
        await watched.hears_of("layer.zip")
        assert {file for change in watched.changes for file in change.files} == {"layer.zip"}


@in_loop
async def test_an_archive_that_is_replaced_as_a_whole_is_still_watched(tmp_path: Path, code: Path) -> None:
    """Build tools write a new one beside it and rename it; a watch on the file itself would go with the old one."""
    archive = tmp_path / "layer.zip"
    archive.touch()

    def replace(number: int) -> None:
        fresh = tmp_path / f"fresh-{number}"
        fresh.write_text(str(number))
        fresh.rename(archive)

    async with watching(orders=(code, archive)) as watched:
        for _ in range(3):
            watched.changed.clear()
            await watched.hears(replace, "orders")


def test_a_watch_that_cannot_be_set_up_is_tried_again(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a moment no descriptor is free; the emulator goes on, and changes are told again afterwards."""
    awatch, failures = watchfiles.awatch, [OSError("too many open files"), RuntimeError("the same, of the watcher's")]

    async def failing(*paths: Path, **settings: Any) -> AsyncIterator[set[tuple[watchfiles.Change, str]]]:
        if failures:
            raise failures.pop()
        async for changes in awatch(*paths, **settings):
            yield changes

    @in_loop
    async def watch() -> None:
        async with watching(orders=code) as watched:
            await watched.hears(lambda n: (code / "app.py").write_text(f"x = {n}\n"), "orders")
        assert failures == []

    monkeypatch.setattr(watchfiles, "awatch", failing)
    monkeypatch.setattr(deployment, "_LOOK_AGAIN", 0.01)
    watch()


@in_loop
async def test_a_function_that_is_gone_is_not_watched_any_more(tmp_path: Path, code: Path) -> None:
    """Another one in the same folder is."""
    async with watching(first=code, second=code) as watched:
        await watched.hears(lambda n: (code / "app.py").write_text(f"x = {n}\n"), "first")
        watched.watcher.forget("first")
        watched.watcher.forget("nobody")
        watched.changed.clear()
        await watched.hears(lambda n: (code / "app.py").write_text(f"y = {n}\n"), "second")
        assert "first" not in watched.changed
