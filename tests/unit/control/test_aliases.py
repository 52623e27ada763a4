"""Aliases: where they lead, by which weights, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emulator.errors import (
    FunctionNotFoundError,
    InvalidParameterValueError,
    PreconditionFailedError,
    RequestError,
    ResourceConflictError,
    ValidationError,
)
from emulator.qualifiers import Routing
from tests.unit.control.play import ARN, Play, refused

BASIC = {"FunctionName": "orders", "Name": "blue", "FunctionVersion": "1"}


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Play]:
    """A control plane whose function has two versions, and an alias ``live``."""
    play = Play(tmp_path)
    yield play
    play.settle()


def weights(**parts: float) -> dict[str, Any]:
    """A routing configuration; ``v2=0.5`` is half of it for version 2."""
    return {"RoutingConfig": {"AdditionalVersionWeights": {name[1:]: part for name, part in parts.items()}}}


def test_an_alias_is_created_as_recorded(play: Play) -> None:
    """[R] LS:test_alias_lifecycle; the description is always there, the routing only where there is one."""
    answer = play.ask("CreateAlias", **BASIC)
    revision = answer.pop("RevisionId")
    assert answer == {"AliasArn": f"{ARN}:blue", "Name": "blue", "FunctionVersion": "1", "Description": ""}
    assert play.service.functions.routings["orders:blue"] == Routing("1")
    assert play.ask("GetAlias", FunctionName="orders", Name="blue") == {**answer, "RevisionId": revision}


def test_an_alias_with_weights(play: Play) -> None:
    """One other version has a part; it is what serves."""
    answer = play.ask("CreateAlias", **BASIC, **weights(v2=0.25), Description="new")
    assert answer["RoutingConfig"] == {"AdditionalVersionWeights": {"2": 0.25}}
    assert play.service.functions.routings["orders:blue"] == Routing("1", {"2": 0.25})
    changed = play.ask("UpdateAlias", FunctionName="orders", Name="blue", RoutingConfig={})
    assert "RoutingConfig" not in changed
    assert (changed["Description"], play.service.functions.routings["orders:blue"]) == ("new", Routing("1"))


def test_an_alias_may_lead_to_latest(play: Play) -> None:
    """But not by weights."""
    play.ask("CreateAlias", **{**BASIC, "FunctionVersion": "$LATEST"})
    assert play.service.functions.routings["orders:blue"] == Routing("$LATEST")
    wish = {"FunctionName": "orders", "Name": "blue", **weights(v1=0.5)}
    message = refused(play, InvalidParameterValueError, "UpdateAlias", **wish)
    assert message == "$LATEST is not supported for an alias pointing to more than 1 version"
    play.ask("UpdateAlias", FunctionName="orders", Name="blue", FunctionVersion="1", **weights(v2=0.5))
    wish = {"FunctionName": "orders", "Name": "blue", "FunctionVersion": "$LATEST"}
    assert refused(play, InvalidParameterValueError, "UpdateAlias", **wish) == message
    assert play.service.functions.routings["orders:blue"] == Routing("1", {"2": 0.5})


@pytest.mark.parametrize(
    ("more", "error", "text"),
    [
        (weights(v2=0.1, v1=0.1), InvalidParameterValueError, "Number of items in AdditionalVersionWeights cannot be"),
        (weights(v1=0.5), InvalidParameterValueError, "Invalid function version 1. Function version 1 is already incl"),
        (weights(v9=0.5), FunctionNotFoundError, f"Function not found: {ARN}:9"),
        (weights(v2=1.5), ValidationError, "1 validation error detected: Value '{2=1.5}' at 'routingConfig.additional"),
        (weights(vlive=0.5), ValidationError, "1 validation error detected: Value '{live=0.5}' at 'routingConfig.add"),
        ({"FunctionVersion": "9"}, FunctionNotFoundError, f"Function not found: {ARN}:9"),
        ({"FunctionName": "nope"}, FunctionNotFoundError, "Function not found: "),
        ({"Name": "7"}, ValidationError, "1 validation error detected: Value '7' at 'name' failed to satisfy"),
        ({"Name": "live"}, ResourceConflictError, f"Alias already exists: {ARN}:live"),
    ],
)
def test_what_cannot_be_is_refused(play: Play, more: dict[str, Any], error: type[RequestError], text: str) -> None:
    """[R] In AWS's words, and nothing is there afterwards."""
    assert refused(play, error, "CreateAlias", **{**BASIC, **more}).startswith(text)
    assert set(play.record.aliases) == {"live"}
    assert play.service.functions.routings == {}


def test_an_alias_is_led_elsewhere(play: Play) -> None:
    """With another revision; what is not said stays."""
    play.ask("CreateAlias", **BASIC, Description="old")
    before = play.ask("GetAlias", FunctionName="orders", Name="blue")
    after = play.ask(
        "UpdateAlias", FunctionName="orders", Name="blue", FunctionVersion="2", RevisionId=before["RevisionId"]
    )
    assert (after["FunctionVersion"], after["Description"]) == ("2", "old")
    assert after["RevisionId"] != before["RevisionId"]
    assert play.service.functions.routings["orders:blue"] == Routing("2")
    stale = {"FunctionName": "orders", "Name": "blue", "RevisionId": before["RevisionId"]}
    refused(play, PreconditionFailedError, "UpdateAlias", **stale)


def test_an_alias_does_not_lead_twice_to_one_version(play: Play) -> None:
    """Also where the version comes to the weights."""
    play.ask("CreateAlias", **BASIC, **weights(v2=0.5))
    wish = {"FunctionName": "orders", "Name": "blue", "FunctionVersion": "2"}
    assert refused(play, InvalidParameterValueError, "UpdateAlias", **wish).startswith("Invalid function version 2.")
    assert play.service.functions.routings["orders:blue"] == Routing("1", {"2": 0.5})


def test_aliases_are_listed(play: Play) -> None:
    """By name; or those that lead to one version; in pieces."""
    play.ask("CreateAlias", **{**BASIC, "FunctionVersion": "2"})
    assert [one["Name"] for one in play.ask("ListAliases", FunctionName="orders")["Aliases"]] == ["blue", "live"]
    listed = play.ask("ListAliases", FunctionName="orders", FunctionVersion="1")["Aliases"]
    assert [one["Name"] for one in listed] == ["live"]
    piece = play.ask("ListAliases", FunctionName="orders", MaxItems=1)
    assert [one["Name"] for one in piece["Aliases"]] == ["blue"]
    assert play.ask("ListAliases", FunctionName="orders", Marker=piece["NextMarker"])["Aliases"][0]["Name"] == "live"


def test_a_deleted_alias_leads_nowhere(play: Play) -> None:
    """It is not found; deleting it again is no error [D]."""
    play.ask("CreateAlias", **BASIC)
    for _ in range(2):
        play.ask("DeleteAlias", FunctionName="orders", Name="blue")
    assert "orders:blue" not in play.service.functions.routings
    for operation in ("GetAlias", "UpdateAlias"):
        message = refused(play, FunctionNotFoundError, operation, FunctionName="orders", Name="blue")
        assert message == f"Cannot find alias arn: {ARN}:blue"
