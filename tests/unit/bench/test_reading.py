"""What the bench reads of others: the kernel's account of memory, the load generator's line, stamps of clocks."""

from __future__ import annotations

import os
import tomllib
from array import array

import pytest

from tests.bench.lag import lags
from tests.bench.long_run import deciles
from tests.bench.memory import family, parent_of, parse_pss, pss
from tests.bench.product import echo_settings, to_toml
from tests.bench.stages import SENT, Stage, typical_way
from tests.bench.throughput import Load, parse_load

SMAPS_ROLLUP = """\
55a1c0000000-7ffd4a5f6000 ---p 00000000 00:00 0                          [rollup]
Rss:               13924 kB
Pss:                6012 kB
Pss_Dirty:          5120 kB
Pss_Anon:           5100 kB
Shared_Clean:       7900 kB
"""


def test_memory_is_the_share_and_not_what_is_resident() -> None:
    """Of the kernel's figures the one whose sum over processes is true, in bytes; one that is not there is 0."""
    assert parse_pss(SMAPS_ROLLUP) == 6012 * 1024
    assert parse_pss("") == 0


def test_this_process_has_memory_and_a_parent() -> None:
    """The kernel's files are where we look for them."""
    assert pss(os.getpid()) > 2**20
    assert parent_of(os.getpid()) == os.getppid()
    assert os.getpid() in family(os.getppid())


def test_a_load_is_answers_in_a_time() -> None:
    """The order of the generator's words."""
    found = parse_load("8000 2.000000 3 1\n")
    assert found == Load(answers=8000, seconds=2.0, others=3, broken=1)
    assert found.rate == 4000


def test_settings_survive_the_way_through_a_file() -> None:
    """Tables, tables of tables, and tables as values are written as the product reads them."""
    settings = echo_settings("container", prewarmed=2, fork_server=True, quiet=0.05)
    settings["functions"]["echo"]["environment"] = {"A": 'quoted "b"', "C": "µ"}
    assert tomllib.loads(to_toml(settings)) == settings


def test_a_lag_is_from_the_last_call_to_the_last_tick() -> None:
    """A runtime calls twice for an invocation: the second call is the one that asks for the next event."""
    sent, asked = [1_000, 10_000, 20_000], [2_000, 3_000, 12_000, 13_000, 22_000, 23_000]
    assert lags(sent, [3_500, 13_040, 23_600], asked) == pytest.approx([500e-9, 40e-9, 600e-9])


def test_a_ticker_without_a_processor_tells_no_lag() -> None:
    """Its last tick is older than the call: how long after that it could have run is not known."""
    assert lags([1_000, 10_000], [2_900, 13_500], [2_000, 3_000, 12_000, 13_000]) == pytest.approx([500e-9])


def test_a_call_of_another_invocation_is_none_of_this_one() -> None:
    """Where no call came in between two requests there is nothing to count from."""
    assert lags([1_000, 10_000], [2_900, 13_500], [500, 12_000]) == pytest.approx([1_500e-9])


def test_the_way_of_most_invocations_is_shown_with_medians() -> None:
    """Three invocations, two of them the same way: the odd one's times do not count."""
    stamps = [(10, "→ a"), (30, "← a"), (110, "→ a"), (150, "← a"), (201, "→ a"), (202, "→ b"), (290, "← b")]
    way = typical_way([0, 100, 200], stamps)
    assert way.stages == (Stage(SENT, 0, 0), Stage("→ a", 0.01, 0.01), Stage("← a", 0.03, 0.04))
    assert way.invocations == 2
    assert way.share == pytest.approx(2 / 3)


def test_without_requests_there_is_no_way() -> None:
    """Stamps of the start alone are nobody's."""
    assert typical_way([], [(1, "→ a")]).stages == ()


def test_tenths_are_in_the_order_of_time() -> None:
    """A run that gets slower shows it in its last tenths."""
    assert deciles(array("d", [float(value) for value in range(20)])) == [0.5 + 2 * tenth for tenth in range(10)]
