"""Inside a Python runtime: debugpy listens, before any code of the function is run.

It stands alone, as :mod:`emulator.sandbox.origins_main` does. What goes wrong is told in the function's log; the
function then runs without a debugger.
"""

from __future__ import annotations

import os
import sys

__all__ = ["listen"]

_QUIET = "PYDEVD_DISABLE_FILE_VALIDATION"  # or there would be a warning in the log, of modules that nobody debugs


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
