"""What docs/audit.md and docs/conditions.md say, run and compared."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from emulator import cli
from emulator.audit import verdict
from emulator.conditions import CONDITIONS
from emulator.database.profiles import PROFILES
from tests.needs import need_database

DOCS = Path(__file__).parent.parent.parent / "docs"
AUDIT, CONDITIONS_PAGE = ((DOCS / name).read_text() for name in ("audit.md", "conditions.md"))


def test_options_of_the_page() -> None:
    """The table names the options that there are."""
    named = {
        option
        for row in re.findall(r"^\| (`-.*?) \|", AUDIT, re.MULTILINE)
        for option in re.findall(r"`(-[-a-z]+)", row)
    }
    command = get_command(cli.app).commands["audit"]  # type: ignore[attr-defined]
    assert named == {opt for parameter in command.params for opt in parameter.opts if opt.startswith("-")}


def test_figures_of_the_page() -> None:
    """The classes that it names have the numbers that it names."""
    named = re.findall(r"`((?:aurora:)?db\.[\w.]+)` (\d+)", AUDIT)
    assert len(named) == 4
    assert all(PROFILES[name].max_connections == int(number) for name, number in named)


def test_every_finding_leads_to_a_place_on_the_page() -> None:
    """Whatever a verdict can say has a heading of its own, and no heading is about something else."""
    headings = set(re.findall(r"^### ([\w-]+)$", AUDIT, re.MULTILINE))
    source = inspect.getsource(verdict)
    ids = set(re.findall(r'_finding\(\s*f?"([a-z-]+)', source)) | set(re.findall(r'return "([a-z-]+)", "', source))
    ids |= {kind.replace(" ", "-") for kind in verdict._LEFT}
    assert ids == headings


def test_the_conditions_of_the_page() -> None:
    """Each with what it does and why, in the words that it has itself."""
    rows = re.findall(r"^\| `([\w-]+)` \| (.*) \| (.*) \|$", CONDITIONS_PAGE, re.MULTILINE)
    assert rows == [(name, condition.what, condition.reason) for name, condition in CONDITIONS.items()]


@pytest.mark.database
def test_the_example_of_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs as it stands."""
    need_database()
    monkeypatch.chdir(DOCS.parent)
    (code,) = re.findall(r"<!-- run by tests/docs/test_audit.py -->\n```python\n(.*?)```", CONDITIONS_PAGE, re.DOTALL)
    exec(
        compile(code.replace("Emulator()", 'Emulator({"emulator": {"sandbox": "process"}})'), "conditions.md", "exec"),
        {},
    )


def test_what_cannot_be_audited_has_a_status_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """2: neither fine nor a finding."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["lambda-freezer", "audit", "nobody"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert "neither a function nor a folder" in capsys.readouterr().err
