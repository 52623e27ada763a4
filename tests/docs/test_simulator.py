"""What docs/simulator.md says, run and compared."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from emulator import cli

PAGE = (Path(__file__).parent.parent.parent / "docs" / "simulator.md").read_text()


def test_options_of_the_page() -> None:
    """The table names the options that there are."""
    named = set(re.findall(r"^\| `(--[a-z-]+)[ `]", PAGE, re.MULTILINE))
    command = get_command(cli.app).commands["simulate"]  # type: ignore[attr-defined]
    assert named == {option for parameter in command.params for option in parameter.opts}


def test_commands_and_traces_of_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every command runs, on the traces that the page shows, and the first one prints what stands there."""
    (csv,) = re.findall(r"```csv\n(.*?)```", PAGE, re.DOTALL)
    (lines,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "orders.csv").write_text(csv)
    (tmp_path / "orders.jsonl").write_text(lines)
    monkeypatch.chdir(tmp_path)
    outputs = []
    commands = re.findall(r"^\$ (lambda-freezer simulate .*)$", PAGE, re.MULTILINE)
    for command in [*commands, "lambda-freezer simulate --trace orders.jsonl"]:
        monkeypatch.setattr(sys, "argv", shlex.split(command))
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert not ended.value.code, command
        outputs.append(capsys.readouterr().out)
    assert len(outputs) == 4
    shown = PAGE.partition(f"$ {commands[0]}\n")[2].partition("```")[0].splitlines()
    printed = [line.rstrip() for line in outputs[0].splitlines()]
    assert printed[: len(shown)] == shown
