"""Log streams as files: nothing is lost, nothing is changed, and a function's streams come back in order."""

from __future__ import annotations

import asyncio
import itertools
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulator.errors import ConfigurationError
from emulator.log_files import LogFiles
from emulator.logs import LogFile
from emulator.model import Function, Logging
from tests.support import in_loop, run

FUNCTION = Function(name="orders", code=Path())


class Files:
    """Log files in a folder of the test's, and what they had to complain of."""

    def __init__(self, folder: Path) -> None:
        self.troubles: list[str] = []
        self.own_folder = folder / "own"
        self.own_folder.mkdir()
        self._moments = itertools.count(1.0)
        self.files = LogFiles(
            folder / "logs", self.own_folder, on_trouble=self.troubles.append, now=lambda: next(self._moments)
        )
        self.folder = self.files.folder

    def open(self, environment: str, function: Function = FUNCTION) -> LogFile:
        return self.files.open(function, environment, f"2026/10/08/[$LATEST]{environment}")

    def file(self, environment: str) -> Path:
        return self.folder / f"aws/lambda/orders/2026/10/08/[$LATEST]{environment}.log"

    async def read(self, environment: str | None = None, tail: int | None = None) -> bytes:
        batches = self.files.read("orders", environment=environment, tail=tail)
        return b"".join([piece.lines async for batch in batches for piece in batch])


@pytest.fixture
def logs(tmp_path: Path) -> Iterator[Files]:
    """Log files without any stream."""
    made = Files(tmp_path)
    yield made
    made.files.close()


def test_a_stream_is_a_file_below_its_group(logs: Files) -> None:
    """Both names have folders in them; the file is there with the first line, and can be read at once."""
    write = logs.open("e1")
    assert not logs.file("e1").exists()
    write(b"one\n")
    assert logs.file("e1").read_bytes() == b"one\n"
    write(b"two\n")
    assert logs.file("e1").read_bytes() == b"one\ntwo\n"


@pytest.mark.parametrize(
    ("group", "folder"), [("shared", "shared"), ("/a/b", "a/b"), ("../../x", "%2E%2E/%2E%2E/x"), ("./y", "%2E/y")]
)
def test_a_log_group_stays_below_the_folder(logs: Files, group: str, folder: str) -> None:
    """AWS lets a group be called ``..``; it leads nowhere else here."""
    logs.open("e1", Function(name="orders", code=Path(), logging=Logging(group=group)))(b"one\n")
    assert (logs.folder / folder / "2026/10/08/[$LATEST]e1.log").read_bytes() == b"one\n"


@in_loop
async def test_lines_are_neither_cut_nor_changed(tmp_path: Path) -> None:
    """Not long ones, and not what is no text."""
    logs = Files(tmp_path)
    junk = bytes(byte for byte in range(256) if byte != 10) * 4_000 + b"\n"
    logs.open("e1")(junk)
    assert logs.file("e1").read_bytes() == junk
    assert await logs.read() == junk
    logs.files.close()


@in_loop
async def test_streams_are_merged_in_the_order_in_which_their_lines_came(tmp_path: Path) -> None:
    """With the moment, the environment and the stream of each, also where the index has gone to its file."""
    logs = Files(tmp_path)
    writers = [logs.open("e1"), logs.open("e2")]
    expected = [b"%d\n" % number for number in range(10_000)]
    for number, line in enumerate(expected):
        writers[number * 7 % 3 % 2](line)
    assert await logs.read() == b"".join(expected)
    assert (logs.own_folder / "orders.index").stat().st_size > 100_000
    batch = await anext(logs.files.read("orders"))
    assert [(piece.time, piece.environment, piece.stream, piece.lines) for piece in batch[:2]] == [
        (1.0, "e1", "2026/10/08/[$LATEST]e1", b"0\n"),
        (2.0, "e2", "2026/10/08/[$LATEST]e2", b"1\n"),
    ]
    logs.files.close()


@in_loop
async def test_one_environment_can_be_read_alone(tmp_path: Path) -> None:
    """And functions have nothing to do with each other."""
    logs = Files(tmp_path)
    first, second = logs.open("e1"), logs.open("e2")
    for number in range(3):
        first(b"first %d\n" % number)
        second(b"second %d\n" % number)
    logs.open("e3", Function(name="other", code=Path()))(b"other\n")
    assert await logs.read(environment="e2") == b"second 0\nsecond 1\nsecond 2\n"
    assert await logs.read(environment="e2", tail=1) == b"second 2\n"
    assert await logs.read(environment="e3") == b""
    assert logs.files.environments("orders") == {"e1", "e2"}
    assert logs.files.environments("nobody") == set()
    logs.files.close()


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(blocks=st.lists(st.tuples(st.integers(0, 1), st.integers(1, 4)), max_size=12), tail=st.integers(0, 60))
def test_a_tail_is_the_last_lines(
    tmp_path_factory: pytest.TempPathFactory, blocks: list[tuple[int, int]], tail: int
) -> None:
    """However they came, and however many are wanted."""
    logs = Files(tmp_path_factory.mktemp("tail"))
    writers = [logs.open("e0"), logs.open("e1")]
    lines: list[bytes] = []
    for writer, count in blocks:
        block = [b"%d\n" % (len(lines) + number) for number in range(count)]
        writers[writer](b"".join(block))
        lines += block

    async def compare() -> None:
        assert await logs.read(tail=tail) == b"".join(lines[max(0, len(lines) - tail) :])

    run(compare())
    logs.files.close()


@in_loop
async def test_who_follows_gets_what_comes_until_the_end(tmp_path: Path) -> None:
    """What is there, what comes, from environments that come as well, and then the end."""
    logs = Files(tmp_path)
    first = logs.open("e1")
    first(b"old\nolder than that is wanted\n")
    seen = bytearray()
    news = asyncio.Event()

    async def follow() -> None:
        async for batch in logs.files.read("orders", tail=1, follow=True):
            seen.extend(b"".join(piece.lines for piece in batch))
            news.set()

    async def come(*lines: bytes) -> None:
        while not seen.endswith(b"".join(lines)):
            news.clear()
            async with asyncio.timeout(30):
                await news.wait()

    task = asyncio.create_task(follow())
    await come(b"older than that is wanted\n")
    first(b"new\n")
    await come(b"new\n")
    logs.open("e2")(b"of another\n")
    await come(b"of another\n")
    first(b"last\n")
    logs.files.end_followers()
    async with asyncio.timeout(30):
        await task
    assert bytes(seen) == b"older than that is wanted\nnew\nof another\nlast\n"
    logs.files.close()


@in_loop
async def test_a_function_without_a_log_is_followed_from_its_first_line(tmp_path: Path) -> None:
    """Without following there is nothing to get."""
    logs = Files(tmp_path)
    assert await logs.read() == b""
    follower = logs.files.read("orders", follow=True)
    waiting = asyncio.ensure_future(anext(follower))
    await asyncio.sleep(0)
    logs.open("e1")(b"first\n")
    async with asyncio.timeout(30):
        assert [piece.lines for piece in await waiting] == [b"first\n"]
    await follower.aclose()  # type: ignore[attr-defined]
    logs.files.close()


@in_loop
async def test_a_slow_reader_misses_nothing_and_costs_no_memory(tmp_path: Path) -> None:
    """Whoever stopped reading finds it all when he goes on."""
    logs = Files(tmp_path)
    write = logs.open("e1")
    block = b"x" * 99 + b"\n"
    write(block * 1000)
    reader = logs.files.read("orders", follow=True)
    size = sum(len(piece.lines) for piece in await anext(reader))
    for _ in range(100):
        write(block * 1000)
    logs.files.end_followers()
    async for batch in reader:
        size += sum(len(piece.lines) for piece in batch)
    assert size == 101 * 1000 * 100
    logs.files.close()


@in_loop
async def test_thousands_of_environments_need_few_open_files(tmp_path: Path) -> None:
    """Neither for writing nor for reading, and every line is there."""
    logs = Files(tmp_path)
    before = len(os.listdir("/proc/self/fd"))
    writers = [logs.open(f"e{number}") for number in range(1000)]
    for word in (b"one\n", b"two\n"):
        for write in writers:
            write(word)
    reader = logs.files.read("orders")
    await anext(reader)
    assert len(os.listdir("/proc/self/fd")) - before < 200
    await reader.aclose()  # type: ignore[attr-defined]
    assert logs.file("e0").read_bytes() == logs.file("e999").read_bytes() == b"one\ntwo\n"
    assert await logs.read() == b"one\n" * 1000 + b"two\n" * 1000
    logs.files.close()
    assert len(os.listdir("/proc/self/fd")) == before


@in_loop
async def test_a_disk_that_is_full_is_told_once_and_cuts_no_line(tmp_path: Path) -> None:
    """What does not fit is counted; when there is room again, lines stand behind whole lines."""
    logs = Files(tmp_path)
    write = logs.open("e1")
    write(b"before\n")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        write(b"does not fit\n")
        write(b"nor does this\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    write(b"after\n")
    assert logs.file("e1").read_bytes() == b"before\nafter\n"
    assert await logs.read() == b"before\nafter\n"
    assert logs.troubles == [f"logs cannot be written below {logs.folder}: File too large"]
    assert logs.files.trouble == f"27 bytes of logs could not be written below {logs.folder}: File too large"
    logs.files.close()


def test_no_trouble_is_none(logs: Files) -> None:
    """Nothing is told of what works."""
    logs.open("e1")(b"one\n")
    assert logs.files.trouble is None
    assert logs.troubles == []


@in_loop
async def test_a_file_that_somebody_took_away_is_missing_and_nothing_else(tmp_path: Path) -> None:
    """The folder is the user's; the other streams come."""
    logs = Files(tmp_path)
    logs.open("e1")(b"gone\n")
    logs.open("e2")(b"there\n")
    logs.file("e1").unlink()
    assert await logs.read() == b"there\n"
    assert await logs.read(tail=5) == b"there\n"
    logs.files.close()


def test_a_folder_that_cannot_be_made_is_an_error_at_once(tmp_path: Path) -> None:
    """A file stands where it should be: the cure names the key."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"cannot be made: Not a directory") as caught:
        LogFiles(tmp_path / "file" / "logs", tmp_path, on_trouble=print)
    assert "log_folder" in caught.value.cure


def test_a_folder_that_cannot_be_written_to_is_an_error_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not a loss of all logs later on."""
    monkeypatch.setattr(os, "access", lambda path, _mode: path != tmp_path)
    with pytest.raises(ConfigurationError, match=r"cannot be written to") as caught:
        LogFiles(tmp_path, tmp_path, on_trouble=print)
    assert "log_folder" in caught.value.cure
