"""Versions and aliases: where an invocation of each goes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

from emulator.model import Function
from emulator.qualifiers import Qualifiers, Routing


def qualifiers() -> Qualifiers:
    """Those of ``orders``, which has the versions 1 and 2."""
    made = Qualifiers(Random(1))
    for number in ("1", "2"):
        made.add(Function(name="orders", code=Path("/code"), version=number))
    return made


def test_a_version_is_its_own_target_and_latest_the_function() -> None:
    """What there is not is just that: whoever asks finds nothing under it."""
    made = qualifiers()
    assert made.target("orders", "1") == "orders:1"
    assert made.target("orders", "$LATEST") == "orders"
    assert made.target("orders", "9") == "orders:9"
    assert made.function("orders:1") is not None
    assert made.function("orders:9") is None


def test_an_alias_leads_where_it_was_led_last() -> None:
    """To a version, to ``$LATEST``, and nowhere any more."""
    made = qualifiers()
    made.lead("orders", "live", Routing("1"))
    assert made.target("orders", "live") == "orders:1"
    made.lead("orders", "live", Routing("$LATEST"))
    assert made.target("orders", "live") == "orders"
    made.unlead("orders", "live")
    assert made.function(made.target("orders", "live")) is None


def test_weights_are_kept_in_the_long_run() -> None:
    """By the chance that is given: a fifth goes to the other version."""
    made = qualifiers()
    made.lead("orders", "live", Routing("1", {"2": 0.2}))
    counted = Counter(made.target("orders", "live") for _ in range(2000))
    assert counted.keys() == {"orders:1", "orders:2"}
    assert 340 < counted["orders:2"] < 460


def test_weights_of_nothing_and_of_all() -> None:
    """Neither is a matter of chance."""
    made = qualifiers()
    for weight, target in ((0.0, "orders:1"), (1.0, "orders:2")):
        made.lead("orders", "live", Routing("1", {"2": weight}))
        assert {made.target("orders", "live") for _ in range(50)} == {target}


def test_a_forgotten_function_has_nothing() -> None:
    """Others keep theirs, also one whose name begins alike."""
    made = qualifiers()
    made.add(Function(name="orders-old", code=Path("/code"), version="1"))
    made.lead("orders", "live", Routing("1"))
    made.forget("orders")
    assert list(made.keys_of("orders")) == []
    assert made.target("orders", "live") == "orders:live"
    assert list(made.keys_of("orders-old")) == ["orders-old:1"]
