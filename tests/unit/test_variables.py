"""The variables of an environment: what AWS sets, and whose word counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from emulator.model import Function, InitializationType, Logging
from emulator.variables import hidden_from_extensions, lambda_variables

STREAM = "2024/08/18/[$LATEST]60cefc4c4d174d898e4dbb301f9f10ef"


def variables(environment: dict[str, str], database: dict[str, str]) -> dict[str, str]:
    function = Function(
        name="orders",
        code=Path(),
        handler="app.main",
        runtime="python3.13",
        memory=256,
        environment=environment,
    )
    return lambda_variables(
        function,
        region="eu-central-1",
        log_stream=STREAM,
        database=database,
        metadata_token="secret",
        trace_id="Root=1",
    )


def test_lambdas_variables_have_the_recorded_names_and_values() -> None:
    """Each one as it was read inside a real function, for this function's settings."""
    assert variables({}, {}) == {
        "AWS_LAMBDA_FUNCTION_NAME": "orders",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_METADATA_TOKEN": "secret",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/orders",
        "AWS_LAMBDA_LOG_STREAM_NAME": STREAM,
        "AWS_REGION": "eu-central-1",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        "AWS_XRAY_DAEMON_ADDRESS": "169.254.100.1:2000",
        "_AWS_XRAY_DAEMON_ADDRESS": "169.254.100.1",
        "_AWS_XRAY_DAEMON_PORT": "2000",
        "_HANDLER": "app.main",
        "_X_AMZN_TRACE_ID": "Root=1",
        "AWS_ACCESS_KEY_ID": "ASIAEMULATEDEMULATED",
        "AWS_SECRET_ACCESS_KEY": "emulated",
        "AWS_SESSION_TOKEN": "emulated",
    }


def test_the_key_id_has_the_form_of_a_roles_key() -> None:
    """SDKs and scripts tell temporary keys by their first four letters and count twenty."""
    key = variables({}, {})["AWS_ACCESS_KEY_ID"]
    assert key.startswith("ASIA")
    assert len(key) == 20


def test_the_functions_own_variables_win_over_the_databases() -> None:
    """A function can name another database, and keeps what it does not name."""
    found = variables({"DB_NAME": "shop"}, {"DB_NAME": "lambda", "DB_HOST": "127.0.0.1"})
    assert (found["DB_NAME"], found["DB_HOST"]) == ("shop", "127.0.0.1")


def test_nothing_wins_over_lambdas_own() -> None:
    """Not even a database that claims one of its names."""
    assert variables({}, {"AWS_REGION": "nowhere"})["AWS_REGION"] == "eu-central-1"


def test_what_aws_lets_users_change_can_be_changed() -> None:
    """The tracing variables that are not reserved."""
    assert variables({"AWS_XRAY_CONTEXT_MISSING": "IGNORE_ERROR"}, {})["AWS_XRAY_CONTEXT_MISSING"] == "IGNORE_ERROR"


def found_for(**settings: object) -> dict[str, str]:
    initialization = settings.pop("initialization", InitializationType.ON_DEMAND)
    assert isinstance(initialization, InitializationType)
    function = Function(name="orders", code=Path(), **settings)  # type: ignore[arg-type]
    return lambda_variables(
        function, region="r", log_stream="s", database={}, initialization=initialization, metadata_token="", trace_id=""
    )


def test_provisioned_environments_know_it() -> None:
    """Runtimes and SDKs read why an environment is initialised."""
    found = found_for(initialization=InitializationType.PROVISIONED_CONCURRENCY)
    assert found["AWS_LAMBDA_INITIALIZATION_TYPE"] == "provisioned-concurrency"


def test_a_runtime_of_the_users_own_is_not_named() -> None:
    """As documented for the runtimes that are an operating system only."""
    assert "AWS_EXECUTION_ENV" not in found_for(runtime="provided.al2023")


def test_the_format_of_the_log_is_told_where_it_is_json() -> None:
    """AWS's runtime clients write JSON by themselves, from the level on that they are told."""
    json = found_for(logging=Logging(format="JSON", application_level="WARN"))
    assert (json["AWS_LAMBDA_LOG_FORMAT"], json["AWS_LAMBDA_LOG_LEVEL"]) == ("JSON", "WARN")
    assert found_for().keys().isdisjoint({"AWS_LAMBDA_LOG_FORMAT", "AWS_LAMBDA_LOG_LEVEL"})


def test_a_log_group_of_the_users_own_is_told() -> None:
    """It may be shared by several functions."""
    assert found_for(logging=Logging(group="shop"))["AWS_LAMBDA_LOG_GROUP_NAME"] == "shop"


def test_extensions_do_not_see_what_is_documented() -> None:
    """The documented list, word by word, and nothing that they need."""
    documented = {
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_XRAY_CONTEXT_MISSING",
        "AWS_XRAY_DAEMON_ADDRESS",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
        "_AWS_XRAY_DAEMON_ADDRESS",
        "_AWS_XRAY_DAEMON_PORT",
        "_HANDLER",
    }
    seen = {
        *("AWS_LAMBDA_RUNTIME_API", "AWS_LAMBDA_FUNCTION_NAME", "AWS_REGION", "AWS_ACCESS_KEY_ID", "PATH", "DB_HOST"),
        *("AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_METADATA_API", "AWS_LAMBDA_METADATA_TOKEN", "COLOUR"),
    }
    assert hidden_from_extensions(documented | seen) == documented


@pytest.mark.parametrize("name", ["_X_AMZN_TRACE_ID", "_LAMBDA_TELEMETRY_LOG_FD", "_"])
def test_whatever_begins_with_an_underscore_is_hidden(name: str) -> None:
    """AWS's own code has that rule; it covers names that are not documented."""
    assert hidden_from_extensions([name, "PATH"]) == {name}


def test_what_is_in_an_image_is_not_told_of_a_runtime() -> None:
    """Its handler is the last word of its command, if it is known here."""

    def found(*command: str) -> dict[str, str]:
        function = Function(name="orders", image="mine:1", command=command)
        return lambda_variables(function, region="r", log_stream=STREAM, database={}, metadata_token="t", trace_id="x")

    assert found()["AWS_EXECUTION_ENV"] == "AWS_Lambda_Image"
    assert "_HANDLER" not in found()
    assert found("-m", "app.handler")["_HANDLER"] == "app.handler"
