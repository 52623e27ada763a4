"""The runtime of a process sandbox: AWS's Python client, with the module search path of Lambda.

It is run as a plain script, because wrappers (``AWS_LAMBDA_EXEC_WRAPPER``) expect a command line as on AWS: an
interpreter, and a script as the last word of it.
"""

import os
import sys

__all__ = ["AWAITS_DEBUGGER", "DEBUGGER", "ORIGINS", "search_path"]

ORIGINS = "LAMBDA_FREEZER_ORIGINS"
"""The variable with the pipe on which connections are told of; it is taken away before any other code is run."""

DEBUGGER = "_LAMBDA_FREEZER_DEBUGGER"
"""The variable that says where to listen for a debugger, ``host:port``; taken away likewise."""

AWAITS_DEBUGGER = "_LAMBDA_FREEZER_AWAITS_DEBUGGER"
"""The variable that says to wait for one first, where it is set."""


def _run(name: str, function: str, *arguments: object) -> None:
    """A function of a neighbouring script."""
    # By its place: nothing of this package is importable here, and a function may have a module of the same name.
    from importlib.machinery import SourceFileLoader
    from importlib.util import module_from_spec, spec_from_loader

    path = os.path.join(os.path.dirname(__file__), f"{name}_main.py")
    loader = SourceFileLoader(f"_lambda_freezer_{name}", path)
    spec = spec_from_loader(loader.name, loader)
    if spec is not None:
        module = module_from_spec(spec)
        loader.exec_module(module)
        getattr(module, function)(*arguments)


def search_path(code: str, opt: str, before: list[str]) -> list[str]:
    """Code first, then layers, then the rest, as on AWS; without layers ``opt`` is empty."""
    library = f"python{sys.version_info.major}.{sys.version_info.minor}"
    layers = [f"{opt}/python/lib/{library}/site-packages", f"{opt}/python"] if opt else []
    first = [code, *layers]
    return first + [entry for entry in before if entry not in first]


if __name__ == "__main__":
    sys.path[:] = search_path(os.environ["LAMBDA_TASK_ROOT"], os.environ.get("LAMBDA_FREEZER_OPT", ""), sys.path)

    if (pipe := os.environ.pop(ORIGINS, None)) is not None:
        _run("origins", "install", pipe, os.environ["LAMBDA_TASK_ROOT"])

    if (end := os.environ.pop(DEBUGGER, None)) is not None:
        _run("debugger", "listen", end, os.environ.pop(AWAITS_DEBUGGER, None) is not None)

    from awslambdaric.__main__ import main  # type: ignore[import-untyped]

    main([sys.argv[0], os.environ["_HANDLER"]])
