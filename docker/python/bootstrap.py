"""Run awslambdaric with the module search path of Lambda's managed Python runtime."""

import os
import sys

LIBRARY = f"python{sys.version_info.major}.{sys.version_info.minor}"
RUNTIME = os.path.dirname(__file__)  # noqa: PTH120  (pathlib would lengthen every cold start)
CODE_LAYERS_RUNTIME = [
    os.environ.get("LAMBDA_TASK_ROOT", "/var/task"),
    f"/opt/python/lib/{LIBRARY}/site-packages",
    "/opt/python",
    RUNTIME,
]
sys.path[:] = CODE_LAYERS_RUNTIME + [entry for entry in sys.path if entry not in CODE_LAYERS_RUNTIME]

from awslambdaric.__main__ import main  # noqa: E402  (found only on the path set above)

if __name__ == "__main__":
    main([sys.argv[0], os.environ["_HANDLER"]])
