"""What docs/timeline.md says, run and compared."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

from emulator import Emulator, Function, cli
from tests.needs import need_database

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "timeline.md").read_text()


def recorded(path: Path, sample: str) -> Emulator:
    """An emulator that writes its timeline, after four invocations of a sample, which are recycled."""
    emulator = Emulator({"emulator": {"sandbox": "process", "timeline_file": str(path)}})
    with emulator:
        orders = emulator.add(Function(name="orders", code=ROOT / "sample_functions" / sample, timeout=10))
        for _ in range(4):
            orders.invoke({})
        emulator.connections()
        orders.recycle()
    return emulator


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the recordings of the page, before the fix and after it."""
    need_database()
    folder = tmp_path_factory.mktemp("timeline")
    recorded(folder / "before.jsonl", "connect_per_invocation")
    recorded(folder / "after.jsonl", "connect_once")
    return folder


@pytest.fixture
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder as the working directory, with an emulator that answers."""
    monkeypatch.chdir(folder)
    with Emulator({"emulator": {"sandbox": "process"}, "database": {"server": "none"}}) as emulator:
        monkeypatch.setenv("LAMBDA_FREEZER_ENDPOINT", emulator.endpoint_url)
        yield folder


def test_commands_of_the_page(here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Those that end do so without an error; the comparison is the one that stands there."""
    commands = re.findall(r"^\$ (lambda-freezer timeline .*|lambda-freezer timeline)$", PAGE, re.MULTILINE)
    outputs = {}
    for command in commands:
        if "--follow" in command:
            continue
        monkeypatch.setattr(sys, "argv", shlex.split(command))
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert not ended.value.code, command
        outputs[command] = capsys.readouterr().out
        if "--perfetto" in command:
            assert json.loads((here / "trace.json").read_text())["traceEvents"]
    assert len(outputs) == 6
    (compared,) = [command for command in outputs if "diff" in command]
    shown = PAGE.partition(f"$ {compared}\n")[2].partition("```")[0].splitlines()
    assert [line.rstrip() for line in outputs[compared].splitlines()] == shown


def test_options_of_the_page() -> None:
    """The table names the options that there are."""
    named = set(re.findall(r"^\| `(--[a-z-]+)[ `]", PAGE, re.MULTILINE))
    command = get_command(cli.app).commands["timeline"]  # type: ignore[attr-defined]
    assert named == {opt for parameter in command.params for opt in parameter.opts if opt.startswith("--")}


def test_every_kind_of_event_is_on_the_page() -> None:
    """As it is written in the sources."""
    families = "environment|invocation|connection|session|policy|event|provisioned|database|function|logs|timeline"
    sources = "\n".join(path.read_text() for path in (ROOT / "emulator").rglob("*.py"))
    recorded = set(re.findall(rf'(?:record|kind =|kind=|[A-Z]+ =)\(?\s*"((?:{families})\.[a-z-]+)"', sources))
    assert {"session.zombie", "connection.stale", "event.retry", "invocation.throttled"} <= recorded
    rows = re.findall(r"^\| (`[a-z]+\..*?) \|", PAGE, re.MULTILINE)
    named = set()
    for row in rows:
        family = ""
        for word in re.findall(r"`([a-z.-]+)`", row):
            family = word.partition(".")[0] or family
            named.add(f"{family}.{word.partition('.')[2]}")
    assert sorted(recorded - named) == []
