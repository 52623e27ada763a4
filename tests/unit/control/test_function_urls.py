"""URLs of functions, as the API has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from emulator.errors import FunctionNotFoundError, ResourceConflictError, ValidationError
from tests.unit.control.play import ARN, Play, refused

CREATE, GET, UPDATE = "CreateFunctionUrlConfig", "GetFunctionUrlConfig", "UpdateFunctionUrlConfig"
DELETE, LIST = "DeleteFunctionUrlConfig", "ListFunctionUrlConfigs"
NOTHING, NO_FUNCTION = "The resource you requested does not exist.", "Function does not exist"


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """A control plane over nothing."""
    return Play(tmp_path)


def test_a_life(play: Play) -> None:
    """[R] LS:test_url_config_lifecycle; the URL is there for clients at once, and gone at once."""
    made = play.ask(CREATE, FunctionName="orders", AuthType="NONE")
    assert made.keys() == {"AuthType", "CreationTime", "FunctionArn", "FunctionUrl"}
    config = play.service.urls.find("orders")
    assert config is not None
    assert made["FunctionUrl"] == play.service.urls.address(config)
    assert refused(play, ResourceConflictError, CREATE, FunctionName="orders", AuthType="NONE") == (
        f"Failed to create function url config for [functionArn = {ARN}]. "
        "Error message:  FunctionUrlConfig exists for this Lambda function"
    )
    got = play.ask(GET, FunctionName=ARN)
    assert got == {**made, "InvokeMode": "BUFFERED", "LastModifiedTime": made["CreationTime"]}
    cors = {"AllowOrigins": ["https://a.example"], "AllowMethods": ["GET"], "MaxAge": 10, "AllowCredentials": True}
    play.ask(UPDATE, FunctionName="orders", AuthType="AWS_IAM", Cors=cors, InvokeMode="RESPONSE_STREAM")
    got = play.ask(GET, FunctionName="orders")
    assert (got["AuthType"], got["Cors"], got["InvokeMode"]) == ("AWS_IAM", cors, "RESPONSE_STREAM")
    changed = play.service.urls.find("orders")
    assert changed is not None
    assert (changed.url_id, changed.auth) == (config.url_id, "AWS_IAM")
    assert changed.cors is not None
    assert changed.cors.allow_origins == ("https://a.example",)
    assert play.record.url_configs[""]["auth"] == "AWS_IAM"
    assert play.ask(DELETE, FunctionName="orders") == {}
    assert play.service.urls.find("orders") is None
    assert refused(play, FunctionNotFoundError, GET, FunctionName="orders") == NOTHING


def test_aliases_have_their_own(play: Play) -> None:
    """[R] LS:test_url_config_list_paging."""
    assert play.ask(LIST, FunctionName="orders") == {"FunctionUrlConfigs": []}
    for qualifier in ({}, {"Qualifier": "live"}):
        play.ask(CREATE, FunctionName="orders", AuthType="NONE", **qualifier)
    configs = play.ask(LIST, FunctionName="orders")["FunctionUrlConfigs"]
    assert [config["FunctionArn"] for config in configs] == [ARN, f"{ARN}:live"]
    assert len({config["FunctionUrl"] for config in configs}) == 2
    first = play.ask(LIST, FunctionName="orders", MaxItems=1)
    rest = play.ask(LIST, FunctionName="orders", MaxItems=1, Marker=first["NextMarker"])
    assert [*first["FunctionUrlConfigs"], *rest["FunctionUrlConfigs"]] == configs


def test_what_is_refused(play: Play) -> None:
    """[R] LS:test_url_config_exceptions."""
    for name in ("nobody", "orders:nothing"):
        assert refused(play, FunctionNotFoundError, CREATE, FunctionName=name, AuthType="NONE") == NO_FUNCTION
        assert refused(play, FunctionNotFoundError, UPDATE, FunctionName=name, AuthType="NONE") == NO_FUNCTION
        for operation in (GET, DELETE):
            assert refused(play, FunctionNotFoundError, operation, FunctionName=name) == NOTHING
    assert refused(play, FunctionNotFoundError, LIST, FunctionName="nobody") == NO_FUNCTION
    assert refused(play, FunctionNotFoundError, UPDATE, FunctionName="orders", AuthType="NONE") == NOTHING
    for qualifier in ("1", "$LATEST"):
        message = refused(play, ValidationError, GET, FunctionName="orders", Qualifier=qualifier)
        assert message.startswith(f"1 validation error detected: Value '{qualifier}' at 'qualifier' failed to satisfy")
    methods = {"AllowMethods": ["OPTIONS-"]}
    message = refused(play, ValidationError, CREATE, FunctionName="orders", AuthType="NONE", Cors=methods)
    assert "Value '[OPTIONS-]' at 'cors.allowMethods' failed to satisfy constraint: Member must satisfy" in message
