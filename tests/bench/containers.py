"""Peers in containers, by the engine's command line; each is removed again."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from tests.bench.children import wait_until
from tests.bench.client import Door, RawClient, invoke_path
from tests.bench.errors import BenchError
from tests.bench.product import ECHO, MEMORY
from tests.bench.tools import rie_program

__all__ = ["docker", "docker_run_to_next", "docker_runs_to_next", "image", "need_image", "remove", "rie_in_container"]

_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
_AWS, _STAND_IN = f"public.ecr.aws/lambda/python:{_VERSION}", f"lambda-freezer/python:{_VERSION}"
_BOOTSTRAP = "/var/runtime/bootstrap"


def docker(*words: str | Path, patience: float = 120) -> str:
    """What the engine's command line prints.

    Raises:
        BenchError: there is none, or it failed.
    """
    program = shutil.which("docker")
    if program is None:
        raise BenchError("there is no container engine: the program docker is not here")
    try:
        made = subprocess.run(
            [program, *map(str, words)], capture_output=True, text=True, timeout=patience, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"docker {words[0]} took more than {patience:g} s") from error
    if made.returncode != 0:
        raise BenchError(f"docker {words[0]}: {made.stderr.strip() or made.stdout.strip()}")
    return made.stdout.strip()


def remove(*names: str) -> None:
    """Remove containers; an engine that is too busy to say so does it all the same."""
    if names:
        with contextlib.suppress(BenchError):
            docker("rm", "--force", *names, patience=300)


@cache
def image() -> str | None:
    """The image that the product would take, if one is here; nothing is fetched for the bench."""
    for name in (_AWS, _STAND_IN):
        with contextlib.suppress(BenchError):
            docker("image", "inspect", name)
            return name
    return None


def need_image() -> str:
    """The image that the product would take.

    Raises:
        BenchError: there is none, or no engine.
    """
    docker("version")
    name = image()
    if name is None:
        raise BenchError(f"neither {_AWS} nor {_STAND_IN} is here: run ./dev setup")
    return name


@contextlib.contextmanager
def rie_in_container() -> Iterator[Door]:
    """AWS's Runtime Interface Emulator and the function in a container on the engine's bridge, by its own address."""
    name = f"lambda-freezer-bench-{os.getpid()}-rie"
    try:
        docker(
            *("run", "--detach", "--name", name, "--volume", f"{rie_program()}:/aws-lambda-rie:ro"),
            *("--volume", f"{ECHO}:/var/task:ro", "--entrypoint", "/aws-lambda-rie"),
            *("--env", f"AWS_LAMBDA_FUNCTION_MEMORY_SIZE={MEMORY}", "--env", "AWS_LAMBDA_FUNCTION_TIMEOUT=30"),
            *(need_image(), "--log-level", "error", _BOOTSTRAP, "app.handler"),
        )
        address = docker("inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", name)
        door = Door(address, 8080, invoke_path("function"))
        wait_until(lambda: _invokes(door), "RIE answers in its container")
        yield door
    finally:
        remove(name)


def docker_run_to_next() -> float:
    """Seconds from ``docker run`` of the image until its runtime has asked for its first event."""
    return docker_runs_to_next(1, at_once=1)


def docker_runs_to_next(count: int, *, at_once: int) -> float:
    """The same of so many containers, some at a time, until the last one's runtime has asked.

    Raises:
        BenchError: the engine refused, or a runtime did not ask.
    """
    names = [f"lambda-freezer-bench-{os.getpid()}-run-{number}" for number in range(count)]
    gateway = docker("network", "inspect", "--format", "{{range .IPAM.Config}}{{.Gateway}}{{end}}", "bridge")
    wanted = need_image()
    with socket.create_server(("0.0.0.0", 0), backlog=count) as listener, ThreadPoolExecutor(at_once) as pool:
        listener.settimeout(30)
        told = f"AWS_LAMBDA_RUNTIME_API={gateway}:{listener.getsockname()[1]}"

        def run(name: str) -> None:
            docker(
                *("run", "--detach", "--name", name, "--volume", f"{ECHO}:/var/task:ro", "--entrypoint", _BOOTSTRAP),
                *("--env", "_HANDLER=app.handler", "--env", told, wanted),
            )

        begin = time.perf_counter()
        try:
            started = [pool.submit(run, name) for name in names]
            with contextlib.ExitStack() as open_ones:
                for _ in names:
                    connection = open_ones.enter_context(listener.accept()[0])
                    connection.settimeout(30)
                    if b"/next" not in connection.recv(4096):
                        raise BenchError("a runtime asked for something else than its first event")
                took = time.perf_counter() - begin
                for one in started:
                    one.result()
            return took
        except TimeoutError as error:
            raise BenchError("the runtime in the container did not ask for its first event") from error
        finally:
            pool.shutdown(cancel_futures=True)
            remove(*names)


def _invokes(door: Door) -> bool:
    try:
        with RawClient(door) as client:
            client.invoke()
    except OSError:
        return False
    return True
