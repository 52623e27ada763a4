"""What the pages about extensions and logs say, run and compared."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from emulator import Emulator
from emulator.config import Settings

DOCS = Path(__file__).parent.parent.parent / "docs"


@pytest.mark.parametrize("page", ["extensions.md", "logs.md"])
def test_tests_that_a_page_names_exist(page: str) -> None:
    """Each name in code quotes that looks like a test's is one's."""
    tests = "\n".join(path.read_text() for path in DOCS.parent.joinpath("tests").rglob("test_*.py"))
    names = re.findall(r"`(test_\w+)`", (DOCS / page).read_text())
    assert names
    assert [name for name in names if f"def {name}(" not in tests] == []


def test_a_debuggers_configuration_is_one() -> None:
    """It is JSON as an editor reads it, and has the port of the command above it."""
    page = (DOCS / "debugging.md").read_text()
    found = json.loads(re.findall(r"```json\n(\{.*?)```", page, re.DOTALL)[0])
    (configuration,) = found["configurations"]
    assert (configuration["type"], configuration["request"]) == ("debugpy", "attach")
    assert f"up --debug-port {configuration['connect']['port']}\n" in page


def test_example_of_an_extension(tmp_path: Path) -> None:
    """The extension runs as it stands, beside a function that knows nothing of it, until both are told to end."""
    page = (DOCS / "extensions.md").read_text()
    (extension,), (configuration,) = (
        re.findall(rf"```{kind}\n(.*?)```", page, re.DOTALL) for kind in ("python", "toml")
    )
    (tmp_path / "function").mkdir()
    (tmp_path / "function" / "app.py").write_text("def handler(event, context):\n    return context.aws_request_id\n")
    program = tmp_path / "layer" / "extensions" / "hello"
    program.parent.mkdir(parents=True)
    program.write_text(extension)
    program.chmod(0o755)
    settings = Settings.model_validate(
        {
            "emulator": {"sandbox": "process", "port": 0},
            "database": {"server": "none"},
            "functions": tomllib.loads(configuration)["functions"],
        }
    )
    with Emulator(settings, base=tmp_path) as emulator:
        request_id = emulator.invoke("greeted").payload
        emulator.recycle("greeted")
        lines = [line.partition("\t")[0].split(" ")[0] for line in emulator.logs("greeted").splitlines()]
        log = emulator.logs("greeted")
    (shown,) = re.findall(r"```\n(INIT_START.*?)```", page, re.DOTALL)
    assert [line.split(" ")[0] for line in shown.splitlines()] == lines
    assert f"hello INVOKE {request_id}\n" in log
    assert log.endswith("hello SHUTDOWN spindown\n")
