"""Those that the product is compared to, each with the same runtime client and the same function."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from emulator.sandbox import runtime_main
from tests.bench.children import child, free_port, wait_until
from tests.bench.client import Door, RawClient, invoke_path
from tests.bench.errors import BenchError
from tests.bench.product import ECHO, MEMORY
from tests.bench.tools import compiled, rie_program

__all__ = ["floor", "floor_server", "rie", "runtime_command", "runtime_variables"]


def runtime_command() -> list[str]:
    """AWS's runtime client, started as the product starts it."""
    return [sys.executable, "-P", str(Path(runtime_main.__file__))]


def runtime_variables(runtime_api: str = "", *, code: Path = ECHO) -> dict[str, str]:
    """What the runtime client and a function have to know."""
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "TZ": ":UTC",
        "TMPDIR": tempfile.gettempdir(),
        "LAMBDA_TASK_ROOT": str(code),
        "LAMBDA_RUNTIME_DIR": sys.prefix,
        "PYTHONPATH": str(code),
        "AWS_LAMBDA_FUNCTION_NAME": "function",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(MEMORY),
        "AWS_LAMBDA_FUNCTION_TIMEOUT": "30",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/function",
        "AWS_LAMBDA_LOG_STREAM_NAME": "stream",
        "AWS_REGION": "us-east-1",
        "_HANDLER": "app.handler",
        **({"AWS_LAMBDA_RUNTIME_API": runtime_api} if runtime_api else {}),
    }


@contextlib.contextmanager
def rie() -> Iterator[Door]:
    """AWS's Runtime Interface Emulator as a plain process: one environment, one invocation at a time, no freeze.

    Raises:
        BenchError: it is not there, or does not start.
    """
    front, back = free_port(), free_port()
    command: list[str | Path] = [
        rie_program(),
        "--runtime-interface-emulator-address",
        f"127.0.0.1:{front}",
        "--runtime-api-address",
        f"127.0.0.1:{back}",
        "--log-level",
        "error",
        *runtime_command(),
        "app.handler",
    ]
    door = Door("127.0.0.1", front, invoke_path("function"))
    with child(command, variables=runtime_variables(), folder=ECHO):
        wait_until(lambda: _invokes(door), "RIE answers")
        yield door


@contextlib.contextmanager
def floor_server() -> Iterator[int]:
    """The floor without environments; its port."""
    with child([compiled("floor")], answers=True) as server:
        assert server.stdout is not None
        yield int(server.stdout.readline())


@contextlib.contextmanager
def floor(environments: int = 1) -> Iterator[Door]:
    """The floor, and so many runtimes.

    Raises:
        BenchError: there is no C compiler.
    """
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(floor_server())
        for _ in range(environments):
            variables = runtime_variables(f"127.0.0.1:{port}")
            stack.enter_context(child(runtime_command(), variables=variables, folder=ECHO))
        door = Door("127.0.0.1", port, invoke_path("function"))
        wait_until(lambda: _invokes(door), "the floor answers")
        yield door


def _invokes(door: Door) -> bool:
    try:
        with RawClient(door) as client:
            client.invoke()
    except OSError:
        return False
    except AssertionError as error:
        raise BenchError(f"the first invocation failed: {error}") from error
    return True
