"""The product, in a process of its own, as a user starts it."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from tests.bench.children import child, free_port
from tests.bench.client import Door, invoke_path
from tests.bench.errors import BenchError

__all__ = ["ECHO", "FUNCTIONS", "MEMORY", "Product", "Settings", "echo_settings", "product", "to_toml"]

FUNCTIONS = Path(__file__).parent.parent / "functions" / "bench"
ECHO = FUNCTIONS / "echo"
MEMORY = 1769
_READY = 60.0  # seconds

Settings = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Product:
    """One that runs."""

    process: subprocess.Popen[str]
    port: int
    ready_after: float  # seconds from the start of the command to the first answer

    def door(self, function: str = "echo") -> Door:
        return Door("127.0.0.1", self.port, invoke_path(function))

    def get(self, path: str) -> Any:
        """What the inspection API answers."""
        return self._ask("GET", f"/_emulator/api{path}", None)

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        return self._ask("POST", f"/_emulator/api{path}", body)

    def freezes(self, function: str = "echo") -> int:
        """How often the environments of a function were frozen, all together."""
        return sum(one["freezes"] for one in self.get(f"/environments?function={function}")["environments"])

    def states(self) -> dict[str, int]:
        """How many environments are in each state."""
        found: dict[str, int] = self.get("/status")["environments"]
        return found

    def log(self, function: str) -> str:
        """All that its environments have written."""
        with urlopen(f"http://127.0.0.1:{self.port}/_emulator/api/functions/{function}/logs", timeout=60) as answer:
            return str(answer.read().decode(errors="replace"))

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            content = json.dumps(body) if body is not None else None
            connection.request(method, path, content, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            content = answer.read().decode()
            if answer.status != 200:
                raise BenchError(f"{method} {path} was answered {answer.status}: {content}")
            return json.loads(content)
        finally:
            connection.close()


def echo_settings(sandbox: str = "process", **emulator: Any) -> dict[str, dict[str, Any]]:
    """One function that returns its event, and a database beside it, as by default."""
    return {
        "emulator": {"sandbox": sandbox, **emulator},
        "functions": {"echo": {"code": str(ECHO), "memory": MEMORY, "timeout": 30}},
    }


@contextlib.contextmanager
def product(settings: Settings, *, command: tuple[str, ...] = ("-m", "emulator")) -> Iterator[Product]:
    """Start it, and end it.

    Raises:
        BenchError: it does not start; a key that this build does not know is one of the reasons.
    """
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="lambda-freezer-bench-") as folder:
        config = Path(folder) / "lambda-freezer.toml"
        config.write_text(to_toml(settings))
        begin = time.perf_counter()
        with child([sys.executable, *command, "up", "--config", config, "--port", str(port)]) as process:
            running = Product(process, port, _first_answer(process, port) - begin)
            yield running


def _first_answer(process: subprocess.Popen[str], port: int) -> float:
    """When it has answered for the first time: it takes connections early, and answers when it is ready."""
    deadline = time.perf_counter() + _READY
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_READY)
    try:
        while True:
            try:
                connection.request("GET", "/_emulator/api/status")
                connection.getresponse().read()
                return time.perf_counter()
            except OSError as error:
                if process.poll() is not None or time.perf_counter() > deadline:
                    raise BenchError("the emulator did not start") from error
                connection.close()
                time.sleep(0.001)
    finally:
        connection.close()


def to_toml(settings: Settings) -> str:
    """Tables as a file; JSON's words for strings, numbers, truth and lists are TOML's too."""
    lines: list[str] = []
    for name, table in settings.items():
        if table and all(isinstance(value, Mapping) for value in table.values()):
            for inner, values in table.items():
                lines += [f"[{name}.{json.dumps(inner)}]", *_lines(values)]
        else:
            lines += [f"[{name}]", *_lines(table)]
    return "\n".join(lines) + "\n"


def _lines(table: Mapping[str, Any]) -> list[str]:
    return [f"{key} = {_value(value)}" for key, value in table.items()]


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(key)} = {_value(inner)}" for key, inner in value.items()) + "}"
    return json.dumps(value)
