"""The variables of an environment: what AWS sets, and whose word counts."""

from __future__ import annotations

from pathlib import Path

from emulator.model import Function
from emulator.variables import lambda_variables

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
    return lambda_variables(function, region="eu-central-1", log_stream=STREAM, database=database)


def test_lambdas_variables_have_the_recorded_names_and_values() -> None:
    """Each one as it was read inside a real function, for this function's settings."""
    assert variables({}, {}) == {
        "AWS_LAMBDA_FUNCTION_NAME": "orders",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/orders",
        "AWS_LAMBDA_LOG_STREAM_NAME": STREAM,
        "AWS_REGION": "eu-central-1",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
        "_HANDLER": "app.main",
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
