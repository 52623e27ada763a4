"""Policies on real environments: chosen by rules of one's own, and changed over the inspection API."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emulator import Emulator, Function
from emulator.errors import ConfigurationError
from emulator.policies import AfterError, IdleTimeout, MaxLifetime
from tests.integration.conftest import FUNCTIONS

OWN_RULE = '''
class Thrice:
    """A rule and a choice of one's own, with a mistake in one of them."""
    def verdict(self, environment, now):
        return "three is enough" if environment.invocations >= 3 else None
    def select(self, idle):
        raise ValueError("cannot decide")
'''


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Emulator]:
    """An emulator of its own, without a database, with one function that says nothing of policies."""
    (tmp_path / "rules_of_mine.py").write_text(OWN_RULE)
    settings: dict[str, dict[str, Any]] = {
        "emulator": {"sandbox": "process", "seed": 7},
        "database": {"server": "none"},
    }
    with Emulator(settings, base=tmp_path) as emulator:
        emulator.add(Function(name="orders", code=FUNCTIONS / "anything"))
        yield emulator


def ask(emulator: Emulator, path: str, body: Any = None) -> tuple[int, Any]:
    """GET, or PUT where there is a body; status and answer."""
    request = urllib.request.Request(
        f"{emulator.endpoint_url}/_emulator/api{path}",
        data=json.dumps(body).encode() if body is not None else None,
        method="GET" if body is None else "PUT",
        headers={"content-type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def endings(emulator: Emulator) -> list[str]:
    return [event.reason for event in emulator.timeline() if event.kind == "environment.shutting-down"]


def test_a_policy_is_changed_over_http_without_losing_what_is_within_its_limits(small: Emulator) -> None:
    """The same environment serves on; its old timer is gone and the new one ends it, with the new reason."""
    orders = small.function("orders")
    first = orders.invoke({"do": "count"}).environment_id
    status, view = ask(small, "/functions/orders/policy", {"idle_timeout": "1h", "max_lifetime": "off"})
    assert status == 200
    assert view == ask(small, "/functions/orders/policy")[1]
    assert (view["name"], view["rules"]) == ("aws", ["idle timeout 1 h"])
    assert view["settings"] == {"idle_timeout": 3600.0, "max_lifetime": "off"}
    small.fast_forward(minutes=30)
    assert orders.invoke({"do": "count"}).environment_id == first
    status, view = ask(small, "/policy", {"name": "fn"})
    assert (status, view["rules"], view["seed"]) == (200, ["idle timeout 30 s"], 7)
    small.fast_forward(minutes=30)
    assert orders.invoke({"do": "count"}).environment_id == first  # what the function has of its own still holds
    assert ask(small, "/functions/orders/policy", {})[1]["rules"] == ["idle timeout 30 s"]
    small.fast_forward(seconds=31)
    small.wait_for("environment.gone", environment=first)
    assert endings(small)[-1].startswith("idle ")
    assert endings(small)[-1].endswith(">= 30 s")
    assert [event.reason for event in small.timeline() if event.kind == "policy.changed"][1] == "fn: idle timeout 30 s"


@pytest.mark.parametrize(
    ("path", "body", "status", "complaint"),
    [
        ("/policy", {"idle": 1}, 422, "extra_forbidden"),
        ("/policy", {"idle_timeout": "seven"}, 422, "a duration is written like"),
        ("/policy", {"name": "not_there:Rule"}, 400, "there is no module not_there"),
        ("/functions/orders/policy", {"memory_limit": 5}, 400, "a matter of the whole emulator"),
        ("/functions/nobody/policy", {}, 404, "Function not found"),
    ],
)
def test_a_wrong_policy_is_refused_and_nothing_changes(
    small: Emulator, path: str, body: dict[str, Any], status: int, complaint: str
) -> None:
    """By what is wrong with it, and the emulator goes on as before."""
    before = ask(small, "/policy")
    found, answer = ask(small, path, body)
    assert found == status
    assert complaint in json.dumps(answer)
    assert ask(small, "/policy") == before
    assert small.function("orders").invoke({"do": "count"}).payload == 1


def test_a_rule_of_the_user_s_ends_environments_and_its_mistake_is_told(small: Emulator) -> None:
    """Its reason is on the timeline; where its choice fails the event is served all the same, and that is told once."""
    small.set_policy({"name": "rules_of_mine:Thrice", "idle_timeout": "1h"})
    orders = small.function("orders")
    both = {result.environment_id for result in orders.invoke_parallel([{"do": "sleep", "seconds": 0.3}] * 2)}
    assert len(both) == 2
    served = [orders.invoke({"do": "count"}) for _ in range(2)]
    assert {result.environment_id for result in served} < both
    assert endings(small) == ["three is enough"]
    troubles = [event.reason for event in small.timeline() if event.kind == "policy.trouble"]
    assert len(troubles) == 1
    assert "raised ValueError: cannot decide" in troubles[0]
    assert small.policy("orders").rules == ("Thrice", "idle timeout 1 h")


def test_rules_that_a_program_composed(small: Emulator) -> None:
    """A function is deployed with them; a failed invocation and an age end its environments."""
    policy = IdleTimeout("7m") | MaxLifetime("2h") | AfterError()
    careful = small.add(Function(name="careful", code=FUNCTIONS / "anything", policy=policy))
    first = careful.invoke({"do": "count"}).environment_id
    failed = careful.invoke({"do": "raise"})
    assert (failed.environment_id, failed.function_error) == (first, "Unhandled")
    assert careful.environments() == []
    assert endings(small)[-1].startswith("its invocation failed: ")
    assert careful.policy().rules == ("idle timeout 7 min", "lifetime 2 h", "after an error")
    with pytest.raises(ConfigurationError, match="is no policy"):
        careful.set_policy(7)


def test_memory_pressure_over_real_environments(small: Emulator) -> None:
    """Two of 128 MiB are idle; the limit lets one stay, the one used last."""
    small.set_policy({"name": "keep-warm", "memory_limit": 200})
    first = small.function("orders").invoke({"do": "count"}).environment_id
    other = small.add(Function(name="other", code=FUNCTIONS / "anything"))
    second = other.invoke({"do": "count"}).environment_id
    small.wait_for("environment.gone", environment=first)
    assert [view.id for view in small.environments()] == [second]
    assert endings(small) == ["memory: 256 MiB idle > 200 MiB, idle longest of 2"]
