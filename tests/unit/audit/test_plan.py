"""What an audit is asked to do: names and folders, limits and numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from emulator.audit.plan import Plan, make_plan
from emulator.audit.run import plan_of
from emulator.conditions import CONDITIONS
from emulator.config import Settings
from emulator.errors import ConditionError, ConfigurationError

SETTINGS: dict[str, Any] = {
    "emulator": {"port": 3001, "sandbox": "process"},
    "policy": {"name": "always-cold"},
    "functions": {
        "orders": {"code": "orders", "timeout": 7, "provisioned_concurrency": 2},
        "other": {"code": "other"},
        "few": {"code": "few", "reserved_concurrency": 4},
    },
}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    for name, file in (("orders", "app.py"), ("My Service", "lambda_function.py"), ("strange", "main.py")):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_text("")
    return tmp_path


def plan(function: str, base: Path, *, settings: dict[str, Any] = SETTINGS, **options: Any) -> Plan:
    return make_plan(function, {}, Settings.model_validate(settings), base, **options)


@pytest.mark.parametrize("by", ["orders", "{base}/orders"])
def test_a_function_of_the_configuration(base: Path, by: str) -> None:
    """By its name or by its folder: alone in an emulator of its own, with its settings, and kept warm."""
    made = plan(by.format(base=base), base)
    assert made.function == "orders"
    assert list(made.settings.functions) == ["orders"]
    table = made.settings.functions["orders"]
    assert (table.timeout, table.provisioned_concurrency, table.policy.name) == (7, 0, "keep-warm")
    assert (made.settings.emulator.port, made.settings.emulator.sandbox) == (0, "process")


def test_a_folder_that_the_configuration_does_not_know(base: Path) -> None:
    """Its name becomes a function's, its handler is guessed by the file that is there."""
    made = plan(str(base / "My Service"), base)
    assert made.function == "My-Service"
    assert made.settings.functions["My-Service"].handler == "lambda_function.lambda_handler"
    assert plan(str(base / "strange"), base, handler="main.run").settings.functions["strange"].handler == "main.run"


@pytest.mark.parametrize(("function", "cure"), [("nobody", "There are orders, other, few"), ("strange", "--handler")])
def test_what_cannot_be_audited_is_refused(
    base: Path, monkeypatch: pytest.MonkeyPatch, function: str, cure: str
) -> None:
    """With what there is, or what to say."""
    monkeypatch.chdir(base)
    with pytest.raises(ConfigurationError) as told:
        plan(function, base)
    assert cure in told.value.cure


def test_the_limit_is_in_force_on_a_server_of_our_own(base: Path) -> None:
    """And only compared with on the user's, which is not changed."""
    made = plan("orders", base, profile="db.t3.micro")
    assert (made.limit, made.limit_of, made.settings.database.max_connections) == (66, "db.t3.micro", 66)
    theirs = SETTINGS | {"database": {"server": "mysql://u:p@h/db"}}
    made = plan("orders", base, settings=theirs, max_connections=40)
    assert (made.limit, made.settings.database.max_connections) == (40, None)
    assert plan("orders", base).limit is None


def test_two_limits_are_one_too_many(base: Path) -> None:
    """Which of them was meant nobody knows."""
    with pytest.raises(ConfigurationError, match="both"):
        plan("orders", base, profile="db.t3.micro", max_connections=3)


def test_concurrency_is_what_is_reserved_at_most(base: Path) -> None:
    """A storm is no larger than what can be, nor than what a small machine starts."""
    for wanted in (None, 60):
        made = plan("few", base, concurrency=wanted)
        assert made.concurrency == 4
        assert "storm=4" in [condition.name for condition in made.conditions]
    made = plan("orders", base, concurrency=60)
    assert made.concurrency == 60
    assert [condition.name for condition in made.conditions] == list(CONDITIONS)


def test_conditions_by_name(base: Path) -> None:
    """In the order that was asked for; a misspelt one is refused."""
    assert [c.name for c in plan("orders", base, conditions=["storm=3", "warm"]).conditions] == ["storm=3", "warm"]
    with pytest.raises(ConditionError):
        plan("orders", base, conditions=["warmer"])


def test_a_payload_that_is_not_json(base: Path) -> None:
    """The shell has eaten its quotes."""
    with pytest.raises(ConfigurationError, match="not JSON"):
        plan_of("orders", b"{id: 1}", Settings.model_validate(SETTINGS), base)


def test_an_unknown_profile_is_refused(base: Path) -> None:
    """With those that look like it."""
    with pytest.raises(ConfigurationError, match=r"no database profile 'db\.t3\.nano'"):
        plan("orders", base, profile="db.t3.nano")
