"""Which changes of a function's code are noticed."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import itertools
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import watchfiles

from emulator import code_watcher
from emulator.code_watcher import Change, CodeWatcher
from tests.support import in_loop


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A folder with a handler, as a user has it."""
    folder = tmp_path / "orders"
    folder.mkdir(mode=0o755)
    (folder / "app.py").write_text("def handler(event, context): ...\n")
    return folder


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

    def watch(self, name: str, *paths: Path) -> None:
        """From now on; what is written next has a later time than now, also where files' times come in ticks."""
        since = time.time_ns()
        self.watcher.watch(name, *paths, since=since)
        with tempfile.NamedTemporaryFile() as probe:
            while os.fstat(probe.fileno()).st_ctime_ns <= since:
                os.utime(probe.name)

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
        watched.watch(name, *(given if isinstance(given, tuple) else (given,)))
    async with running(watched):
        yield watched


@contextlib.asynccontextmanager
async def running(watched: Watched) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        run = tasks.create_task(watched.watcher.run())
        yield
        assert not run.done(), "the watcher gave up"
        watched.watcher.close()
        async with asyncio.timeout(30):
            await run


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
        watched.watch("orders", code)
        await watched.hears(lambda n: (code / "app.py").write_text(f"x = {n}\n"), "orders")
        watched.watch("late", late)
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

    monkeypatch.setattr(code_watcher, "_CALM", 250)  # nobody is held up for so long between two of these names
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
        watched.watch("late", late)
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
            async with asyncio.timeout(30):
                while failures:
                    await asyncio.sleep(0.01)
            await watched.hears(lambda n: (code / "app.py").write_text(f"x = {n}\n"), "orders")

    monkeypatch.setattr(watchfiles, "awatch", failing)
    monkeypatch.setattr(code_watcher, "_LOOK_AGAIN", 0.01)
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


@in_loop
async def test_what_is_saved_before_the_watch_is_armed_is_told(tmp_path: Path, code: Path) -> None:
    """Once; and only what was saved after the function was deployed, of the functions of which that is true."""
    archive = tmp_path / "layer.zip"
    archive.touch()
    (code / "deep").mkdir()
    watched = Watched()
    watched.watch("early", code)
    for name in ("app.py", "deep/new.py", "app.pyc"):
        (code / name).write_text("saved too soon")
    watched.watch("late", code, archive)
    archive.write_text("saved too soon")
    async with running(watched):
        await watched.hears_of("layer.zip")
        await watched.catches_up(code)
    told = [(change.function, change.files) for change in watched.changes if "mark_1.py" not in change.files]
    assert sorted(told) == [("early", ("app.py", "deep/new.py")), ("late", ("layer.zip",))]


@in_loop
async def test_what_is_saved_while_the_watch_is_made_anew_is_told(tmp_path: Path, code: Path) -> None:
    """The old one may have gathered it, and ends with it; what it has told already is not told again."""
    others = [tmp_path / f"other_{number}" for number in range(5)]
    async with watching(orders=code) as watched:
        await watched.catches_up(code)
        for number, other in enumerate(others):
            other.mkdir()
            watched.watch(other.name, other)
            (code / f"part_{number}.py").write_text("x = 1\n")
            await watched.hears_of(f"part_{number}.py")
        await watched.catches_up(code)
    told = [file for change in watched.changes for file in change.files]
    assert told == ["mark_1.py", *(f"part_{number}.py" for number in range(5)), "mark_2.py"]
