"""A real debugger, attached to real runtimes at the debug port of a function."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emulator import Emulator, Function
from emulator.embedded import DeployedFunction, InvocationResult
from emulator.errors import AddressInUseError, ConfigurationError
from emulator.runtimes import RuntimeKind
from tests.integration.dap import Debugger
from tests.integration.inspector import Inspector
from tests.needs import need_debugpy, need_engine, need_runtime
from tests.support import eventually

CODE = """LOADED = "once"


def handler(event, context):
    answer = {"got": event["n"]}
    answer["loaded"] = LOADED
    return answer
"""
IN_MODULE, IN_HANDLER = 1, 6
NODE_CODE = """export const handler = async (event) => {
  const answer = { got: event.n };
  debugger;
  return answer;
};
"""


class Debugged:
    """A function with a debug port, and its file."""

    def __init__(self, emulator: Emulator, folder: Path, number: int) -> None:
        folder.mkdir(mode=0o755)
        self.emulator, self.file = emulator, folder / "app.py"
        self.file.write_text(CODE)
        self.port = _free_port()
        self.name = f"debugged-{number}"
        self.function: DeployedFunction = emulator.add(
            Function(name=self.name, code=folder, timeout=2, debug_port=self.port)
        )

    @property
    def states(self) -> list[str]:
        return [environment.state for environment in self.emulator.environments(self.name)]

    def attach(self, *lines: int) -> Debugger:
        debugger = Debugger(self.port)
        debugger.attach(self.file, lines, container=self.emulator.status().sandbox == "container")
        return debugger


class Call(threading.Thread):
    """An invocation that goes on while the test looks at it."""

    def __init__(self, debugged: Debugged, number: int) -> None:
        super().__init__()
        self._debugged, self._number = debugged, number
        self._result: InvocationResult | None = None
        self.start()

    def run(self) -> None:
        self._result = self._debugged.function.invoke({"n": self._number})

    @property
    def payload(self) -> Any:
        self.join(50)
        assert self._result is not None, "it has not come to its end"
        return self._result.payload


def _free_port() -> int:
    with socket.socket() as candidate:
        candidate.bind(("127.0.0.1", 0))
        return int(candidate.getsockname()[1])


@pytest.fixture(scope="module", params=["process", pytest.param("container", marks=pytest.mark.container)])
def emulator(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    """An emulator for each kind of sandbox, without a database."""
    need_debugpy()
    if request.param == "container":
        need_engine()
    with Emulator({"emulator": {"sandbox": request.param}, "database": {"server": "none"}}) as running:
        yield running


_numbers = iter(range(1, 1000))


@pytest.fixture
def debugged(emulator: Emulator, tmp_path: Path) -> Iterator[Debugged]:
    tmp_path.chmod(0o755)
    made = Debugged(emulator, tmp_path / "code", next(_numbers))
    yield made
    emulator.recycle(made.name)


def test_a_line_can_be_stopped_at_for_longer_than_the_timeout(debugged: Debugged) -> None:
    """The deadline is real time, which is why this takes two seconds. Afterwards the environment is frozen as ever."""
    assert debugged.function.invoke({"n": 0}).payload == {"got": 0, "loaded": "once"}
    eventually(lambda: debugged.states == ["frozen"], "it is frozen")
    with debugged.attach(IN_HANDLER) as debugger:
        call = Call(debugged, 1)
        thread = debugger.stopped()
        time.sleep(2.2)
        assert debugger.variable(thread, "answer") == "{'got': 1}"
        assert debugged.states == ["invoking"]
        debugger.go_on(thread)
        assert call.payload == {"got": 1, "loaded": "once"}
        assert debugged.states == ["idle"]
        debugger.disconnect()
    eventually(lambda: debugged.states == ["frozen"], "it is frozen again")
    assert debugged.function.invoke({"n": 2}).payload["got"] == 2


def test_who_attaches_first_sees_the_module_from_its_first_line_on(debugged: Debugged) -> None:
    """Events that come meanwhile wait, for there is one environment; whoever goes rudely leaves it running."""
    with debugged.attach(IN_MODULE) as debugger:
        thread = debugger.stopped()
        assert debugged.states == ["init"]
        calls = [Call(debugged, number) for number in range(2)]
        debugger.go_on(thread)
        assert sorted(call.payload["got"] for call in calls) == [0, 1]
        assert len(debugged.states) == 1
    eventually(lambda: debugged.states == ["frozen"], "it is frozen")


def test_saved_code_asks_the_debugger_to_attach_again(debugged: Debugged) -> None:
    """And the one that does gets an environment with the new code."""
    with debugged.attach() as debugger:
        debugged.file.write_text(CODE.replace("once", "anew"))
        assert debugger.event("terminated") == {"restart": True}
    with debugged.attach(IN_HANDLER) as debugger:
        call = Call(debugged, 3)
        debugger.go_on(debugger.stopped())
        assert call.payload == {"got": 3, "loaded": "anew"}


def test_a_function_keeps_its_port_and_shares_it_with_nobody(emulator: Emulator, debugged: Debugged) -> None:
    """Who deploys it again need not know of it; another port, and another function at the same one, are refused."""
    code = debugged.file.parent
    emulator.add(Function(name=debugged.name, code=code, timeout=3))
    assert emulator.status().debug_ports[debugged.name] == f"127.0.0.1:{debugged.port}"
    assert emulator.deployed(debugged.name).debug_port == debugged.port
    with pytest.raises(ConfigurationError, match="cannot change while the emulator runs"):
        emulator.add(Function(name=debugged.name, code=code, debug_port=_free_port()))
    with pytest.raises(ConfigurationError, match=f"is the debug port of {debugged.name} already"):
        emulator.add(Function(name="another", code=code, debug_port=debugged.port))
    taken = socket.create_server(("127.0.0.1", 0))
    with taken, pytest.raises(AddressInUseError, match="function another: the debug port"):
        emulator.add(Function(name="another", code=code, debug_port=taken.getsockname()[1]))
    assert emulator.add(Function(name="another", code=code)).invoke({"n": 1}).payload["got"] == 1


def test_node_is_debugged_by_its_own_inspector(emulator: Emulator, tmp_path: Path) -> None:
    """For longer than the timeout, as Python is; and as a process from its first line on."""
    sandbox = emulator.status().sandbox
    need_runtime(RuntimeKind.NODEJS, sandbox)
    tmp_path.chmod(0o755)
    code = tmp_path / "code"
    code.mkdir(mode=0o755)
    (code / "app.mjs").write_text(NODE_CODE)
    port = _free_port()
    name = f"inspected-{sandbox}"
    function = emulator.add(Function(name=name, code=code, runtime="nodejs20.x", timeout=2, debug_port=port))
    with Inspector(port) as inspector:
        if sandbox == "process":
            inspector.ask("Runtime.runIfWaitingForDebugger")
            inspector.stopped()
            inspector.go_on()
        results: list[Any] = []
        thread = threading.Thread(target=lambda: results.append(function.invoke({"n": 7}).payload))
        thread.start()
        frame = inspector.stopped()
        time.sleep(2.2)
        assert inspector.value(frame, "answer.got") == 7
        inspector.go_on()
        thread.join(50)
        assert results == [{"got": 7}]
        assert [environment.state for environment in emulator.environments(name)] == ["idle"]
    eventually(lambda: [e.state for e in emulator.environments(name)] == ["frozen"], "it is frozen")
    emulator.recycle(name)
