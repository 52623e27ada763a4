"""What docs/policies.md says of presets and rules, run and compared."""

from __future__ import annotations

import re
from pathlib import Path

from emulator import policies
from emulator.config import PolicySettings, make_policy
from emulator.policies import PRESETS
from tests.unit.policies.known import Known

PAGE = (Path(__file__).parent.parent.parent / "docs" / "policies.md").read_text()


def table(heading: str) -> list[list[str]]:
    """The rows of the first table below a heading, cell by cell."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\|(.*)\|$", section, re.MULTILINE)[2:]
    return [[cell.strip() for cell in row.split(" | ")] for row in rows]


def test_presets_of_the_page() -> None:
    """Every preset has its row, with the figures that it has."""
    words = {"7 min": "IdleTimeout", "10 min": "IdleTimeout", "30 s": "IdleTimeout", "2 h": "MaxLifetime"}
    rows = table("Presets")
    assert [row[0].strip("`| ") for row in rows] == list(PRESETS)
    for name, idle, lifetime, invocations, _ in rows:
        told = [cell for cell in (idle, lifetime, invocations) if cell != "–"]
        rules = PRESETS[name.strip("`| ")]
        assert [type(rule).__name__ for rule in rules] == [words.get(cell, "MaxInvocations") for cell in told]
        assert all(cell in str(rule) for cell, rule in zip(told, rules, strict=True))


def test_keys_and_rules_of_the_page() -> None:
    """Each key, as it is written there, makes the rule that stands beside it."""
    names = {name: getattr(policies, name) for name in policies.__all__}
    for key, rule, _ in table("Rules"):
        setting, _, value = key.strip("`| ").partition(" = ")
        made = eval(rule.strip("`"), names)
        if setting == "memory_limit":
            continue
        settings = PolicySettings.model_validate({"name": "keep-warm", setting: eval(value.replace("true", "True"))})
        assert make_policy(settings).rules == (made,), key


def test_the_class_of_the_page_is_a_rule(tmp_path: Path) -> None:
    """It is found by its name, and each of its methods does what the comment says."""
    blocks = [block for block in re.findall(r"```py\n(.*?)```", PAGE, re.DOTALL) if "class Nightly" in block]
    assert len(blocks) == 1
    (tmp_path / "my_rules.py").write_text(blocks[0])
    policy = make_policy(PolicySettings(name="my_rules:Nightly"), base=tmp_path)
    assert policy.due(Known()) == 86_400.0
    assert policy.verdict(Known(), 86_399.0) is None
    assert policy.verdict(Known(), 86_400.0) == "it is night"
    assert len(policy.after) == 1
