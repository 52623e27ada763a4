"""Inside a Python runtime: debugpy listens, before any code of the function is run.

It stands alone, for it runs without this package: run by the runtime of a process sandbox, and as the
``sitecustomize`` of a container's Python. What goes wrong is told in the function's log; the function then runs without
a debugger.
"""

from __future__ import annotations

import os
import sys

__all__ = ["listen"]

_QUIET = "PYDEVD_DISABLE_FILE_VALIDATION"  # or there would be a warning in the log, of modules that nobody debugs
_DEBUGGER = "_LAMBDA_FREEZER_DEBUGGER"


def listen(end: str, wait: bool) -> None:
    """Let a debugger attach, now or whenever one comes.

    Arguments:
        end: ``host:port``.
        wait: go on only when one has attached, so that it sees the function's code from its first line on.
    """
    host, _, port = end.rpartition(":")
    was = os.environ.get(_QUIET)
    os.environ[_QUIET] = "1"
    try:
        import debugpy

        debugpy.listen((host, int(port)))
        if wait:
            debugpy.wait_for_client()
    except Exception as error:  # noqa: BLE001 (whatever it is, the function is still to run)
        print(f"lambda-freezer: no debugger can attach: {error!r}", file=sys.stderr)
    finally:
        if was is None:
            os.environ.pop(_QUIET, None)
        else:
            os.environ[_QUIET] = was


def _listen_in_container() -> None:
    """As ``sitecustomize``: nothing of this is to be seen afterwards, and the next one is still run."""
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != here]
    rest = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry != here]
    os.environ["PYTHONPATH"] = os.pathsep.join(rest)
    if (told := os.environ.pop(_DEBUGGER, None)) is not None:  # extensions, and what the function starts, have it not
        end, _, place = told.partition(" ")
        library = f"python{sys.version_info.major}.{sys.version_info.minor}"
        own = [os.environ.get("LAMBDA_TASK_ROOT", ""), f"/opt/python/lib/{library}/site-packages", "/opt/python"]
        path = sys.path[:]
        sys.path[:] = [*own, *path, place]  # whose own debugpy comes first, as it would later
        listen(end, os.path.exists(os.path.join(here, "wait")))
        sys.path[:] = [entry for entry in sys.path if entry in path or entry not in (*own, place)]
    del sys.modules[__name__]
    try:
        import sitecustomize  # type: ignore[import-not-found]  # noqa: F401
    except ImportError as error:
        sys.modules[__name__] = type(sys)(__name__)  # whoever has imported us looks for a module of that name
        if error.name != "sitecustomize":
            raise


if __name__ == "sitecustomize":
    _listen_in_container()
