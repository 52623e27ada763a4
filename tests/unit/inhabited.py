"""Sandboxes with life in: runtimes and extensions that do what they like at any moment, unless they are frozen.

They talk to the inside APIs over the server's own connections. Left to themselves they do nothing; ``duty`` is what a
healthy one would do next.
"""

from __future__ import annotations

import asyncio
import functools
import json
import signal
from collections.abc import Sequence
from typing import Any, ClassVar

from emulator.errors import FreezeError, SandboxError
from emulator.runtime_api.server import RuntimeApiServer
from emulator.sandbox.base import ExitStatus, FakeSandbox, SandboxEvents, SandboxSpec
from emulator.sandbox.freezer import Done, FakeFreezer
from emulator.sandbox.network import FakeCut, OnSwitched
from tests.unit.any_order import Call

__all__ = ["Extension", "Inhabited", "Program", "Runtime"]

_INVOCATION = "/2018-06-01/runtime/invocation"
_EXTENSION = "/2020-01-01/extension"
_STREAMING = "Lambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\n"


class Program:
    """A process of a sandbox, from its start to its end."""

    def __init__(self, sandbox: Inhabited, name: str) -> None:
        self.sandbox, self.name = sandbox, name
        self.alive = True
        self.heeds = True
        """It ends when it is told to by SIGTERM."""
        self.calls: list[Call] = []

    @property
    def acts(self) -> bool:
        return self.alive and not self.sandbox.freezer.frozen

    def call(self, request: str, body: bytes = b"", *, whole: bool = True) -> Call:
        """Ask the inside APIs for something."""
        call = Call(self.sandbox.server, self.sandbox.view.address, request, body, whole=whole)
        self.calls = [*(other for other in self.calls if other.is_open), call]
        return call

    def die(self, status: ExitStatus, *, exit_first: bool = False) -> None:
        """Its end, and what is heard of it: its connections, and its exit."""
        if not self.alive:
            return
        self.alive = False
        if exit_first:
            self._tell(status)
        for call in self.calls:
            call.hang_up()
        if not exit_first:
            asyncio.get_running_loop().call_soon(self._tell, status)

    def end(self) -> None:
        """It was ended by the sandbox, so nobody is told."""
        self.alive = False
        for call in self.calls:
            call.hang_up()

    def signalled(self, number: signal.Signals) -> None:
        if number is signal.SIGKILL or (self.heeds and self.acts):
            asyncio.get_running_loop().call_soon(self.die, ExitStatus(signal=number))

    def _tell(self, status: ExitStatus) -> None:
        sandbox = self.sandbox
        if sandbox.programs.get(self.name) is not self:
            return  # it was ended meanwhile
        if self.name:
            sandbox.on_extension_exit(self.name, status)
        else:
            sandbox.on_exit(status)


class Runtime(Program):
    """The runtime: what it was given, and what it makes of it."""

    def __init__(self, sandbox: Inhabited) -> None:
        super().__init__(sandbox, "")
        self.open: str | None = None
        """The request it works on."""
        self.last = "request-0"
        self.was_given_two = False
        self.has_given_up = False
        self.internal: list[Extension] = []
        self.waiting: Call | None = None
        self.stream: Call | None = None

    def next(self) -> None:
        call = self.call(f"GET {_INVOCATION}/next")
        if call.status is None and call.is_open:
            self.waiting = call
            call.on_end = functools.partial(self._answered, call)
        else:
            self._answered(call)

    def post(self, what: str, request_id: str, body: bytes = b"null", headers: str = "") -> int | None:
        """``response`` or ``error``."""
        call = self.call(f"POST {_INVOCATION}/{request_id}/{what}\r\n{headers}", body)
        if call.status is not None and request_id == self.open and call.status != 403:
            self._done()
        return call.status

    def init_error(self) -> None:
        error = "Lambda-Runtime-Function-Error-Type: Runtime.ImportModuleError\r\n"
        call = self.call(f"POST /2018-06-01/runtime/init/error\r\n{error}", b"{}")
        self.has_given_up = self.has_given_up or call.status == 202

    def begin_stream(self, request_id: str) -> None:
        call = self.call(f"POST {_INVOCATION}/{request_id}/response\r\n{_STREAMING}", whole=False)
        if call.status is None and call.is_open:
            self.stream = call
            call.on_end = self._done

    def stream_more(self, data: bytes) -> None:
        if self.stream is not None:
            self.stream.send(b"%x\r\n%b\r\n" % (len(data), data))

    def end_stream(self, error_type: str | None = None) -> None:
        if self.stream is not None:
            trailer = f"Lambda-Runtime-Function-Error-Type: {error_type}\r\n" if error_type else ""
            self.stream.send(f"0\r\n{trailer}\r\n".encode())

    def break_stream(self, how: str) -> None:
        match self.stream, how:
            case Call() as stream, "hang up":
                stream.hang_up()
            case Call() as stream, "end":
                stream.end_here()
            case Call() as stream, "nonsense":
                stream.send(b"no chunk\r\n")

    def duty(self) -> None:
        """What a healthy runtime does next."""
        if not self.acts:
            return
        if self.has_given_up:
            self.die(ExitStatus(code=1))
        elif self.stream is not None:
            self.end_stream()
        elif self.open is not None:
            self.post("response", self.open)
        elif self.waiting is None:
            self.next()

    def _answered(self, call: Call) -> None:
        if self.waiting is call:
            self.waiting = None
        if call.status == 200:
            self.sandbox.disturbed += self.sandbox.freezer.frozen
            request_id = call.headers["lambda-runtime-aws-request-id"]
            self.was_given_two |= self.open not in (None, request_id)
            self.open = self.last = request_id
        elif call.status is not None:
            self.has_given_up = True  # as runtimes do that are refused an event

    def _done(self) -> None:
        self.open = self.stream = None


class Extension:
    """An extension, in a process of its own or in the runtime's."""

    def __init__(self, program: Program, name: str) -> None:
        self.program, self.name = program, name
        self.identifier = "00000000-0000-4000-8000-000000000000"
        self.is_registered = False
        self.has_given_up = False
        self.is_told_to_end = False
        self.waiting: Call | None = None
        self.heard: list[dict[str, Any]] = []

    def register(self, events: Sequence[str]) -> None:
        body = json.dumps({"events": events}).encode()
        call = self.program.call(f"POST {_EXTENSION}/register\r\nLambda-Extension-Name: {self.name}\r\n", body)
        if call.status == 200:
            self.is_registered = True
            self.identifier = call.headers["lambda-extension-identifier"]

    def next(self) -> None:
        call = self._call("GET", f"{_EXTENSION}/event/next")
        if call.status is None and call.is_open:
            self.waiting = call
            call.on_end = functools.partial(self._answered, call)
        else:
            self._answered(call)

    def give_up(self, when: str) -> None:
        """``when`` is ``init`` or ``exit``."""
        error = "Lambda-Extension-Function-Error-Type: Extension.Unhappy\r\n"
        call = self._call("POST", f"{_EXTENSION}/{when}/error", headers=error)
        self.has_given_up = self.has_given_up or call.status == 202

    def subscribe(self, api: str) -> None:
        version = {"telemetry": "2022-07-01", "logs": "2020-08-15"}[api]
        wish = {
            "schemaVersion": version,
            "types": ["platform", "function"],
            "destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain:4243"},
            "buffering": {"timeoutMs": 25},
        }
        self._call("PUT", f"/{version}/{api}", json.dumps(wish).encode())

    def duty(self, events: Sequence[str], api: str) -> None:
        """What a healthy extension does next.

        Arguments:
            events: those that it cares for.
            api: by which it hears of what happens, if it wants to.
        """
        if not self.program.acts:
            return
        if self.has_given_up or self.is_told_to_end:
            if self.program.name:
                self.program.die(ExitStatus(code=0 if self.is_told_to_end else 1))
        elif not self.is_registered:
            self.register(events)
            if api:
                self.subscribe(api)
        elif self.waiting is None:
            self.next()

    def _call(self, method: str, path: str, body: bytes = b"", *, headers: str = "") -> Call:
        identifier = f"Lambda-Extension-Identifier: {self.identifier}\r\n"
        return self.program.call(f"{method} {path}\r\n{identifier}{headers}", body)

    def _answered(self, call: Call) -> None:
        if self.waiting is call:
            self.waiting = None
        if call.status == 200:
            self.program.sandbox.disturbed += self.program.sandbox.freezer.frozen
            self.heard.append(json.loads(call.body))
            self.is_told_to_end |= self.heard[-1]["eventType"] == "SHUTDOWN"


# -- sandboxes -------------------------------------------------------------------------------------------------


class _Ice(FakeFreezer):
    """A freezer that is as bad as one may be: what it is to freeze stands at once, what it is to thaw late.

    Of several requests the newest counts, in whatever order they are confirmed.
    """

    _newest: Done | None = None

    def _answer(self, frozen: bool, done: Done) -> None:
        self._newest = done
        self.frozen = self.frozen or frozen
        took_effect = functools.partial(self._took_effect, frozen, done)
        if self.slow:
            self.waiting.append(took_effect)
        else:
            took_effect(self.fail_with)

    def _took_effect(self, frozen: bool, done: Done, error: FreezeError | None) -> None:
        if done is self._newest:
            self.frozen = frozen == (error is None)
        done(error)


class _Switch(FakeCut):
    """A cut that knows what it has done."""

    is_off = False

    def _asked(self, what: str, done: OnSwitched) -> None:
        def switched(error: SandboxError | None) -> None:
            if error is None:
                self.is_off = what == "off"
            done(error)

        super()._asked(what, switched)


class Inhabited(FakeSandbox):
    """A sandbox with programs in it, which may fail at all that it is asked to do."""

    server: ClassVar[RuntimeApiServer]

    def __init__(self, spec: SandboxSpec, address: str, events: SandboxEvents) -> None:
        super().__init__(spec, address, events)
        self.freezer: _Ice = _Ice()
        self.cut: _Switch = _Switch()
        self.gate = asyncio.Event()
        """Starts, resets and ends wait for it."""
        self.gate.set()
        self.programs: dict[str, Program] = {}
        self.outsiders: list[Extension] = []
        self.fail_reset_with: SandboxError | None = None
        self.fail_programs_with: SandboxError | None = None
        self.fail_signals_with: OSError | None = None
        self.disturbed = 0
        """How often somebody was told something while he was frozen, and could not hear it."""

    @property
    def runtime(self) -> Runtime | None:
        """The one that lives."""
        runtime = self.programs.get("")
        return runtime if isinstance(runtime, Runtime) and runtime.alive else None

    @property
    def living_extensions(self) -> list[Extension]:
        internal = self.runtime.internal if self.runtime is not None else []
        return [extension for extension in self.outsiders if extension.program.alive] + internal

    async def start(self) -> None:
        await self.gate.wait()
        await super().start()
        if self.extensions:
            self._start_extensions()
        else:
            self.programs[""] = Runtime(self)

    async def reset(self) -> None:
        await self.gate.wait()
        if self.fail_reset_with is not None:
            raise self.fail_reset_with
        await super().reset()
        self._end_programs()

    def start_extensions(self) -> None:
        if self.fail_programs_with is not None:
            raise self.fail_programs_with
        super().start_extensions()
        self._start_extensions()

    def start_runtime(self) -> None:
        if self.fail_programs_with is not None:
            raise self.fail_programs_with
        super().start_runtime()
        self.programs[""] = Runtime(self)

    def signal_runtime(self, number: signal.Signals) -> None:
        super().signal_runtime(number)
        if self.fail_signals_with is not None:
            raise self.fail_signals_with
        self.disturbed += self.freezer.frozen
        if self.runtime is not None:
            self.runtime.signalled(number)

    def kill_extension(self, name: str) -> None:
        super().kill_extension(name)
        self.programs[name].signalled(signal.SIGKILL)

    async def stop(self) -> None:
        await self.gate.wait()
        self._end_programs()
        await super().stop()

    def _start_extensions(self) -> None:
        for name in self.extensions:
            program = self.programs[name] = Program(self, name)
            self.outsiders.append(Extension(program, name))

    def _end_programs(self) -> None:
        for program in self.programs.values():
            program.end()
        self.programs.clear()
        self.outsiders.clear()
