"""The environment variables of an execution environment, as far as they do not depend on its sandbox."""

from __future__ import annotations

from collections.abc import Mapping

from emulator.model import Function

__all__ = ["lambda_variables"]


def lambda_variables(
    function: Function, *, region: str, log_stream: str, database: Mapping[str, str]
) -> dict[str, str]:
    """What AWS sets (as recorded; docs/fidelity.md), the database's coordinates, and the user's own.

    The user's variables win over the database's, so a function can name another database; Lambda's own
    cannot be overridden (:class:`~emulator.model.Function` refuses them).
    """
    return {
        **database,
        **function.environment,
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": log_stream,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{function.runtime}",
        "_HANDLER": function.handler,
        # A role's credentials on AWS. These have the right form and open nothing.
        "AWS_ACCESS_KEY_ID": "ASIAEMULATEDEMULATED",
        "AWS_SECRET_ACCESS_KEY": "emulated",
        "AWS_SESSION_TOKEN": "emulated",
    }
