"""The environment variables of an execution environment, as far as they do not depend on its sandbox."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from emulator.model import Function, InitializationType

__all__ = ["hidden_from_extensions", "lambda_variables"]

# Nothing listens there, as nothing does on AWS while tracing is off. These may be changed by the user [D].
_XRAY = {
    "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
    "AWS_XRAY_DAEMON_ADDRESS": "169.254.100.1:2000",
}
# [D] runtimes-extensions-api; all other names of that list begin with an underscore.
_HIDDEN = frozenset(
    {
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_XRAY_CONTEXT_MISSING",
        "AWS_XRAY_DAEMON_ADDRESS",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
    }
)


def lambda_variables(
    function: Function,
    *,
    region: str,
    log_stream: str,
    database: Mapping[str, str],
    initialization: InitializationType = InitializationType.ON_DEMAND,
    metadata_token: str,
    trace_id: str,
) -> dict[str, str]:
    """What AWS sets (as recorded; docs/fidelity.md), the database's coordinates, and the user's own.

    The user's variables win over the database's, so a function can name another database; Lambda's own
    cannot be overridden (:class:`~emulator.model.Function` refuses them).
    """
    return {
        **_XRAY,
        **database,
        **function.environment,
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": initialization.value,
        "AWS_LAMBDA_METADATA_TOKEN": metadata_token,
        "AWS_LAMBDA_LOG_GROUP_NAME": function.log_group,
        "AWS_LAMBDA_LOG_STREAM_NAME": log_stream,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "_AWS_XRAY_DAEMON_ADDRESS": "169.254.100.1",
        "_AWS_XRAY_DAEMON_PORT": "2000",
        **({"_HANDLER": function.handler} if function.handler else {}),
        "_X_AMZN_TRACE_ID": trace_id,  # [R] there during init already; runtimes set it anew for each event
        # A role's credentials on AWS. These have the right form and open nothing.
        "AWS_ACCESS_KEY_ID": "ASIAEMULATEDEMULATED",
        "AWS_SECRET_ACCESS_KEY": "emulated",
        "AWS_SESSION_TOKEN": "emulated",
        **_of_runtime(function),
        **_of_logging(function),
    }


def _of_runtime(function: Function) -> dict[str, str]:
    """[D] Not defined where the function brings its own runtime (``provided.*``); [X] in images."""
    if function.is_image:
        return {"AWS_EXECUTION_ENV": "AWS_Lambda_Image"}
    return {} if function.runtime.startswith("provided") else {"AWS_EXECUTION_ENV": f"AWS_Lambda_{function.runtime}"}


def _of_logging(function: Function) -> dict[str, str]:
    """[C] What AWS's runtime clients read to write JSON, and to leave out what is below the level."""
    if function.logging.format != "JSON":
        return {}
    return {"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": function.logging.application_level}


def hidden_from_extensions(names: Iterable[str]) -> frozenset[str]:
    """Those of an environment's variables that its extensions do not see.

    The documented list [D], and whatever begins with an underscore, as AWS's own code has it [C].
    """
    return frozenset(name for name in names if name in _HIDDEN or name.startswith("_"))
