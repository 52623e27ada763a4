"""What a process sandbox is made of: command line and variables, and what it cannot have. Pure."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from emulator.model import Function
from emulator.sandbox.runtime_main import ORIGINS, search_path
from emulator.variables import hidden_from_extensions

__all__ = [
    "LACKS",
    "LOCALE",
    "PROGRAMS",
    "TIME_ZONE",
    "extension_variables",
    "plain_runtime_command",
    "runtime_command",
    "runtime_variables",
]

LACKS = (
    "/tmp, /var/task and /opt of their own (TMPDIR, LAMBDA_TASK_ROOT and LAMBDA_FREEZER_OPT name them)",  # noqa: S108
    "read-only code",
    "Lambda's user",
    "the name sandbox.localdomain",
    "a CPU share",
    "limits on the number of processes and the size of /tmp",
)
"""What an environment has on AWS and as a container, and does not have as a process."""

LOCALE, TIME_ZONE = "C.UTF-8", ":UTC"
PROGRAMS = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
_RUNTIME = Path(__file__).with_name("runtime_main.py")
_WRAPPER = "AWS_LAMBDA_EXEC_WRAPPER"


def runtime_command(function: Function, opt: Path | None) -> list[str | Path]:
    """The command line of the runtime; that of its wrapper in front, where the function has one.

    Arguments:
        opt: the merged layers.
    """
    runtime = plain_runtime_command()
    wrapper = function.environment.get(_WRAPPER)
    if not wrapper:
        return runtime
    # By a shell: what it says, and its status, where a wrapper is missing are those that AWS's has.
    return ["/bin/sh", "-c", 'exec "$@"', "bootstrap", _translated(Path(wrapper), function, opt), *runtime]


def plain_runtime_command() -> list[str | Path]:
    """The command line of a runtime that has no wrapper."""
    # Without -P the folder of the script would come before everything else that can be imported.
    return [sys.executable, "-P", _RUNTIME]


def runtime_variables(
    function: Function,
    given: Mapping[str, str],
    *,
    opt: Path | None,
    temporary: Path,
    runtime_api: str,
    origins: Path | None = None,
) -> dict[str, str]:
    """The variables of the runtime.

    Arguments:
        given: the function's, complete but for what only its sandbox knows.
        opt: the merged layers. DIFFERS: they have no fixed place; ``LAMBDA_FREEZER_OPT`` tells where they are.
        temporary: what stands for ``/tmp``.
        runtime_api: ``host:port``.
        origins: a pipe for the lines that open connections; the runtime takes it out again, so nobody else sees it.
    """
    code = str(function.code)
    # For what the runtime starts: it has its own search path from its script.
    modules = os.pathsep.join(search_path(code, str(opt) if opt is not None else "", []))
    asked = {ORIGINS: str(origins)} if origins is not None else {}
    return {"PYTHONPATH": modules, **_variables(function, given, opt, temporary, runtime_api), **asked}


def extension_variables(
    function: Function, given: Mapping[str, str], *, opt: Path | None, temporary: Path, runtime_api: str
) -> dict[str, str]:
    """The variables of an extension; arguments as for the runtime."""
    found = _variables(function, given, opt, temporary, runtime_api)
    hidden = hidden_from_extensions(found)
    return {name: value for name, value in found.items() if name not in hidden}


def _variables(
    function: Function, given: Mapping[str, str], opt: Path | None, temporary: Path, runtime_api: str
) -> dict[str, str]:
    code = str(function.code)
    return {
        "PATH": PROGRAMS if opt is None else f"{PROGRAMS}:{opt}/bin",
        "LANG": LOCALE,
        "TZ": TIME_ZONE,
        "TMPDIR": str(temporary),
        "LAMBDA_TASK_ROOT": code,
        "LAMBDA_RUNTIME_DIR": str(Path(sys.prefix)),
        "PWD": code,
        "SHLVL": "0",
        "_HANDLER": function.handler,
        **({"LD_LIBRARY_PATH": f"{opt}/lib", "LAMBDA_FREEZER_OPT": str(opt)} if opt is not None else {}),
        **given,
        "AWS_LAMBDA_METADATA_API": runtime_api,
        "AWS_LAMBDA_RUNTIME_API": runtime_api,
    }


def _translated(path: Path, function: Function, opt: Path | None) -> Path:
    """Where a file is that a function knows by its place on Lambda."""
    for place, folder in (("/var/task", function.code), ("/opt", opt)):
        if folder is not None and path.is_relative_to(place):
            return folder / path.relative_to(place)
    return path
