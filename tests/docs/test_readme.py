"""What README and docs say, run and compared."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel
from typer.main import get_command

from emulator import cli, config
from emulator.lifecycle import mermaid
from tests.needs import need_database

ROOT = Path(__file__).parent.parent.parent


def test_example_of_the_readme(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ten lines run as they stand."""
    need_database()
    monkeypatch.chdir(ROOT)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == 1
    exec(compile(blocks[0], "README.md", "exec"), {})


def test_commands_of_the_readme() -> None:
    """The table names the commands that there are."""
    named = set(re.findall(r"^\| `lambda-freezer (\S+?)[ `]", (ROOT / "README.md").read_text(), re.MULTILINE))
    commands = set(get_command(cli.app).commands) - {"version"}  # type: ignore[attr-defined]
    assert named == commands


def test_lifecycle_diagram() -> None:
    """The diagram of the architecture is the table's own."""
    assert f"```mermaid\n{mermaid()}\n```" in (ROOT / "docs" / "architecture.md").read_text()


def test_every_key_is_documented() -> None:
    """docs/configuration.md has a row for every key there is, and for no other."""
    text = (ROOT / "docs" / "configuration.md").read_text()
    tables: dict[str, type[BaseModel]] = {
        "`[emulator]`": config.EmulatorSettings,
        "`[database]`": config.DatabaseSettings,
        "`[policy]`": config.PolicySettings,
        "`[functions.NAME]`": config.FunctionSettings,
        "`[runtimes.NAME]`": config.RuntimeSettings,
        "`asynchronous` of a function": config.AsynchronousSettings,
        "`url` of a function": config.UrlTable,
        "`cors` of a URL or a route": config.CorsSettings,
        "`[[routes]]`": config.RouteSettings,
    }
    for heading, table in tables.items():
        section = text.partition(f"\n## {heading}")[2].partition("\n## ")[0]
        assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == set(table.model_fields), heading


def test_every_room_of_the_house_is_drawn() -> None:
    """The picture of the house names every module and package, and none that is not there."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    picture = text.partition("## The house")[2].partition("```")[2].partition("```")[0]
    drawn = set(re.findall(r"(\w+)(?:\.py|/)", picture))
    rooms = {
        path.stem
        for path in (ROOT / "emulator").iterdir()
        if path.suffix == ".py" or (path.is_dir() and path.name != "__pycache__")
    }
    assert drawn == rooms - {"__init__", "__main__"}


def test_sample_configuration_names_every_sample() -> None:
    """Every sample, to be built or not, is in a configuration file of the samples, and nothing else is."""
    samples = ROOT / "sample_functions"
    tables = [tomllib.loads(path.read_text())["functions"] for path in samples.glob("*.toml")]
    named = {Path(function["code"]).parts[0] for table in tables for function in table.values()}
    assert named == {path.parent.name for name in ("app.py", "build.sh") for path in samples.glob(f"*/{name}")}


def test_tests_that_the_fidelity_page_names_exist() -> None:
    """Each test or file in the column 'shown by' is there."""
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    text = (ROOT / "docs" / "fidelity.md").read_text()
    names = re.findall(r"`(test_\w+)`", text)
    assert names
    for name in names:
        assert f"def {name}(" in tests, name
    for path in re.findall(r"`(tests/[\w/.]+)`", text):
        assert (ROOT / path).exists(), path
