"""What docs/metrics.md says, compared with what is there."""

from __future__ import annotations

import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from emulator import Emulator, Function
from emulator.client import Client
from tests.needs import need_database

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "metrics.md").read_text()


def test_metrics_of_the_page_are_those_that_there_are() -> None:
    """All of them, each with the labels that its row names."""
    need_database()
    with Emulator({"emulator": {"sandbox": "process"}}) as emulator:
        emulator.add(Function(name="counter", code=ROOT / "sample_functions" / "counter"))
        text = b"".join(Client(emulator.endpoint_url).stream("/_emulator/metrics")).decode()
    labels: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels[name] = {label for sample in family.samples for label in sample.labels} - {"le"}
    rows = re.findall(r"^\| `(lambda_[a-z_]+)` \|(.*?)\|", PAGE, re.MULTILINE)
    assert {name for name, _ in rows} == labels.keys()
    ours = {name: set(re.findall(r"`([a-z_]+)`", said)) for name, said in rows if name.startswith("lambda_freezer")}
    assert ours == {name: found for name, found in labels.items() if name.startswith("lambda_freezer")} | {
        "lambda_freezer_freeze_lag_seconds": {"function"}  # nothing was frozen yet
    }
