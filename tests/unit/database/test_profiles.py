"""Profiles: limits by the name of an instance class."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from emulator.database.profiles import PROFILES, profile_named
from emulator.errors import ConfigurationError


@pytest.mark.parametrize(
    ("name", "connections"),
    [
        ("db.t2.micro", 66),
        ("db.t3.micro", 66),
        ("db.t4g.micro", 66),
        ("db.t3.small", 150),
        ("db.t3.medium", 307),
        ("db.t3.large", 648),
        ("db.m5.large", 648),
        ("db.r3.large", 1258),
        ("db.m5.xlarge", 1320),
        ("db.r5.large", 1320),
        ("db.r3.xlarge", 2540),
        ("db.r5.xlarge", 2650),
        ("aurora:db.t3.small", 45),
        ("aurora:db.t3.medium", 90),
        ("aurora:db.t3.large", 135),
        ("aurora:db.r5.large", 1000),
        ("aurora:db.r5.2xlarge", 3000),
        ("DB.T3.Micro ", 66),
    ],
)
def test_a_class_has_its_limits(name: str, connections: int) -> None:
    """Those that were seen, however the name is written; and a session may sleep for eight hours."""
    profile = profile_named(name)
    assert (profile.max_connections, profile.wait_timeout) == (connections, 28_800)


def test_more_memory_takes_more_connections() -> None:
    """Within RDS for MySQL and within Aurora."""
    for family in ("db.", "aurora:"):
        found = sorted((p.memory, p.max_connections) for name, p in PROFILES.items() if name.startswith(family))
        assert [connections for _, connections in found] == sorted(connections for _, connections in found)


@pytest.mark.parametrize(
    ("name", "close"), [("db.t3.mikro", "db.t3.micro"), ("t3.micro", "db.t3.micro"), ("db.m5.huge", "db.m5.large")]
)
def test_an_unknown_name_is_refused_with_those_close_to_it(name: str, close: str) -> None:
    """And with the way to do without a profile."""
    with pytest.raises(ConfigurationError, match="there is no database profile") as caught:
        profile_named(name)
    assert close in caught.value.cure
    assert "max_connections" in caught.value.cure


def test_a_name_like_none_gets_all_of_them() -> None:
    """There is nothing close to it."""
    with pytest.raises(ConfigurationError) as caught:
        profile_named("mainframe")
    assert all(name in caught.value.cure for name in PROFILES)


def test_the_documentation_has_every_class_with_its_limit() -> None:
    """Row by row, and nothing that there is not."""
    page = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text()
    found: dict[str, int] = {}
    for row in re.findall(r"^\| [\d.]+ GiB \|(.*)\|$", page, re.MULTILINE):
        classes, connections, aurora = row.split("|")
        found |= {f"db.{name}": int(connections) for name in re.findall(r"`(.*?)`", classes)}
        limit = aurora.rpartition(" ")[0].rpartition(" ")[2]
        found |= {f"aurora:db.{name}": int(limit) for name in re.findall(r"`(.*?)`", aurora)}
    assert found == {name: profile.max_connections for name, profile in PROFILES.items()}
