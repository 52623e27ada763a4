"""The runtime of a process sandbox: AWS's Python client, with the module search path of Lambda.

It is run as a plain script, because wrappers (``AWS_LAMBDA_EXEC_WRAPPER``) expect a command line as on AWS: an
interpreter, and a script as the last word of it.
"""

import os
import sys

__all__ = ["search_path"]


def search_path(code: str, opt: str, before: list[str]) -> list[str]:
    """Code first, then layers, then the rest, as on AWS; without layers ``opt`` is empty."""
    library = f"python{sys.version_info.major}.{sys.version_info.minor}"
    layers = [f"{opt}/python/lib/{library}/site-packages", f"{opt}/python"] if opt else []
    first = [code, *layers]
    return first + [entry for entry in before if entry not in first]


if __name__ == "__main__":
    sys.path[:] = search_path(os.environ["LAMBDA_TASK_ROOT"], os.environ.get("LAMBDA_FREEZER_OPT", ""), sys.path)

    from awslambdaric.__main__ import main  # type: ignore[import-untyped]

    main([sys.argv[0], os.environ["_HANDLER"]])
