"""What docs/pytest.md says, run and compared."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from emulator import pytest_plugin
from tests.needs import need_database
from tests.pytest_runs import run_pytest

PAGE = (Path(__file__).parent.parent.parent / "docs" / "pytest.md").read_text()
BLOCKS = re.findall(r"```python\n# (\S+)\n(.*?)```", PAGE, re.DOTALL)


def without_numbers(text: str) -> list[str]:
    """Lines with an N for each number and id, which differ from run to run."""
    found = re.sub(r"\b[0-9a-f]{8}\b|(?<=session )\d+", "N", text)
    return [line.removeprefix("E").strip() for line in found.splitlines()]


@pytest.mark.timeout(120)
def test_examples_of_the_page(tmp_path: Path) -> None:
    """Every file runs as it stands, and an assertion that fails says what the page says."""
    need_database()
    files = dict(BLOCKS)
    assert len(files) == len(BLOCKS) == 4
    settings = files.pop("tests/conftest.py")
    files["tests/conftest.py"] = settings.replace(', "path": "nat"', "")  # or it would forget before the server does
    long_freeze = files["tests/test_orders.py"].partition("def test_opens_another")[2].partition("\n\n\n")[0]
    failing = f"def test_opens_another{long_freeze}".replace("seen.assert_opened(at_most=2)", "seen.assert_reused()")
    fixture = files["tests/test_orders.py"].partition("def test_keeps")[0]
    files["tests/test_failing.py"] = fixture + failing
    told = run_pytest(tmp_path, files, "--lambda-sandbox", "process")
    assert "1 failed, 5 passed" in told, told
    (shown,) = re.findall(r"```\nAssertionError: (.*?)```", PAGE, re.DOTALL)
    lines = without_numbers(told)
    first = next(number for number, line in enumerate(lines) if "opened another session" in line)
    expected = without_numbers(shown)
    expected[0] = f"AssertionError: {expected[0]}"
    assert lines[first : first + len(expected)] == expected


def test_tables_of_the_page() -> None:
    """They name the fixtures and the options that there are."""
    fixtures = re.findall(r"^\| `(\w+)` \| (?:the run|a test) \|", PAGE, re.MULTILINE)
    assert set(fixtures) == {
        name for name in pytest_plugin.__all__ if name.islower() and not name.startswith(("pytest_", "policy_of"))
    }
    options = re.findall(r"^\| `(--lambda-\w+) \S+` \| `(lambda_\w+) = ", PAGE, re.MULTILINE)
    known = [name for name, *_ in pytest_plugin.OPTIONS]
    assert options == [(f"--lambda-{name}", f"lambda_{name}") for name in known]
