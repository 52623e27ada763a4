"""What the plugin costs those who do not use it."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from emulator import pytest_plugin

HEAVY = (
    "asyncio",
    "docker",
    "fastapi",
    "psutil",
    "pydantic",
    "pymysql",
    "uvloop",
    "emulator.embedded",
    "emulator.config",
)


def mark(*args: Any, **kwargs: Any) -> pytest.Mark:
    """What a test is marked with; the plugin, which makes the marker known, need not run here."""
    return pytest.Mark("lambda_policy", args, kwargs, _ispytest=True)


def test_nothing_heavy_is_imported() -> None:
    """Whatever pytest itself has not imported, the plugin has not either: it is loaded by every run of pytest."""
    program = (
        "import pytest, sys; before = set(sys.modules); import emulator.pytest_plugin; import emulator.testing;"
        "print(*sorted(name for name in set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert set(done.stdout.split()).isdisjoint(HEAVY)
    assert len(done.stdout.split()) < 10, done.stdout


@pytest.mark.parametrize(
    ("marker", "policy"),
    [
        (mark("always-cold"), {"name": "always-cold"}),
        (mark("aws", idle_timeout="1m"), {"name": "aws", "idle_timeout": "1m"}),
        (mark(max_invocations=2), {"max_invocations": 2}),
        (mark({"name": "fn"}), {"name": "fn"}),
    ],
)
def test_what_a_marker_asks_for(marker: pytest.Mark, policy: object) -> None:
    """A name, a name with keys, keys alone, or whatever else is a policy."""
    assert pytest_plugin.policy_of(marker) == policy


def test_a_marker_that_makes_no_sense_is_refused() -> None:
    """Two policies are none."""
    with pytest.raises(pytest.UsageError, match="lambda_policy takes a name"):
        pytest_plugin.policy_of(mark("aws", "fn"))
