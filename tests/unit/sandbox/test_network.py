"""Cutting a network: real bridges and cables of this kernel, the helper's conversation, the engine's way."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import secrets
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from emulator.errors import EngineError, SandboxError
from emulator.sandbox.network import (
    BridgePort,
    Cut,
    DisconnectCut,
    FakeCut,
    Helper,
    HelperCut,
    Netlink,
    NetlinkCut,
    NoCut,
    find_bridge_port,
)
from tests.support import eventually, in_loop, require, run, skip_time

DEADLINE = 30.0
SILENCE = 0.05  # seconds in which a cable between two living kernels would have brought whatever there is

# -- a real bridge ---------------------------------------------------------------------------------------

# Stands for a container: when it has its cable it connects to us, says what it is told to, and tells what it hears.
_PROGRAM = """
import socket, sys, threading
connection = socket.create_connection((sys.stdin.readline().strip(), int(sys.stdin.readline())))

def hear():
    while heard := connection.recv(100):
        print("heard " + heard.decode(), flush=True)

threading.Thread(target=hear, daemon=True).start()
print("connected", flush=True)
for line in sys.stdin:
    connection.sendall(line.strip().encode())
    print("said " + line.strip(), flush=True)
"""
_ROOM = "mount -t sysfs sysfs /sys && ip link set lo up && echo ready && exec {} -I -S -u -c '{}'"
_subnets = itertools.count(os.getpid() % 200)


class Cable:
    """A bridge of this machine, and a process with a network of its own at the end of a cable to it."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        mark = secrets.token_hex(3)
        self.bridge, self.port_name, self.far = f"lfb{mark}", f"lfp{mark}", f"lff{mark}"
        subnet = f"198.18.{next(_subnets) % 256}"  # [RFC 2544] for tests, and for nothing else
        _ip("link", "add", self.bridge, "type", "bridge")
        stack.callback(_ip, "link", "del", self.bridge)
        _ip("address", "add", f"{subnet}.1/24", "dev", self.bridge)
        _ip("link", "set", self.bridge, "up")
        self._process = subprocess.Popen(
            ["unshare", "--net", "--mount", "sh", "-c", _ROOM.format(sys.executable, _PROGRAM)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        stack.callback(self._end)
        self.pid = self._process.pid
        assert self.hears() == "ready"
        _ip("link", "add", self.port_name, "master", self.bridge, "type", "veth", "peer", "name", self.far)
        stack.callback(_ip, "link", "del", self.port_name)
        _ip("link", "set", self.far, "netns", str(self.pid))
        _ip("link", "set", self.port_name, "up")
        self.inside("ip", "address", "add", f"{subnet}.2/24", "dev", self.far)
        self.inside("ip", "link", "set", self.far, "up")
        with socket.create_server((f"{subnet}.1", 0)) as listener:
            listener.settimeout(DEADLINE)
            self.tell(f"{subnet}.1\n{listener.getsockname()[1]}")
            self.connection, _ = listener.accept()
        stack.enter_context(self.connection)
        assert self.hears() == "connected"

    @property
    def port(self) -> BridgePort:
        return BridgePort(socket.if_nametoindex(self.port_name), self.port_name)

    @property
    def mac(self) -> str:
        return self.inside("cat", f"/sys/class/net/{self.far}/address").strip()

    def inside(self, *command: str) -> str:
        """Run something with the process's view of the network."""
        place = ["nsenter", "--target", str(self.pid), "--net", "--mount"]
        return subprocess.run([*place, *command], check=True, capture_output=True, text=True, timeout=20).stdout

    def tell(self, line: str) -> None:
        """By a way that no network carries."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def hears(self) -> str:
        """The next thing that the process tells, by the same way."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def unacknowledged(self) -> int:
        """How many segments of ours the other kernel has not acknowledged."""
        return int(struct.unpack_from("I", self.connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104), 24)[0])

    def is_silent(self) -> bool:
        self.connection.settimeout(SILENCE)
        try:
            self.connection.recv(1)
        except TimeoutError:
            return True
        return False

    def _end(self) -> None:
        self._process.kill()
        self._process.wait(10)
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, timeout=20)


def _need_bridges() -> None:
    tools = all(map(shutil.which, ("ip", "unshare", "nsenter")))
    require(tools, "There is no ip, unshare or nsenter.", "Install iproute2 and util-linux.")
    require(os.geteuid() == 0, "Only root can make a bridge.", "Run as root.")
    name = f"lft{secrets.token_hex(3)}"
    refused = subprocess.run(["ip", "link", "add", name, "type", "bridge"], capture_output=True, check=False).returncode
    require(not refused, "This machine lets nobody make a bridge.", "Give it CAP_NET_ADMIN, and the kernel's bridges.")
    _ip("link", "del", name)


@pytest.fixture(scope="module")
def cable() -> Iterator[Cable]:
    """One bridge, cable and process for the tests of this room; each leaves the port as it found it."""
    _need_bridges()
    with contextlib.ExitStack() as stack:
        yield Cable(stack)


@pytest.fixture
def netlink() -> Iterator[Netlink]:
    conversation = Netlink()
    yield conversation
    conversation.close()


class Heard(list[SandboxError | None]):
    """The answers of a cut, in order."""

    def __call__(self, error: SandboxError | None) -> None:
        self.append(error)

    @property
    def messages(self) -> list[str | None]:
        return [error.message if error is not None else None for error in self]


def test_while_a_port_is_off_nothing_passes_either_way_and_nothing_is_lost(cable: Cable, netlink: Netlink) -> None:
    """No byte, no acknowledgement; then both arrive on the connection that was there before."""
    cut, answers = NetlinkCut(netlink, cable.port), Heard()
    cable.connection.sendall(b"before")
    assert cable.hears() == "heard before"
    cable.tell("answer")
    assert cable.hears() == "said answer"
    assert cable.connection.recv(6) == b"answer"
    cut.off(answers)
    try:
        cable.connection.sendall(b"down")
        cable.tell("up")
        assert cable.hears() == "said up"
        assert cable.is_silent()
        assert cable.unacknowledged() > 0
        assert cable.inside("cat", f"/sys/class/net/{cable.far}/carrier") == "1\n"
    finally:
        cut.on(answers)
    assert answers == [None, None]
    assert cable.hears() == "heard down"
    cable.connection.settimeout(DEADLINE)
    assert cable.connection.recv(2) == b"up"
    eventually(lambda: not cable.unacknowledged(), "the acknowledgement of what was sent while it was off")


def test_the_answer_of_netlink_is_there_when_the_call_returns(cable: Cable, netlink: Netlink) -> None:
    """As is its effect, however often a port is switched, and twice the same way."""
    cut, answers = NetlinkCut(netlink, cable.port), Heard()
    for count in range(1, 4):
        cut.off(answers)
        assert _port_state(cable) == "disabled"
        cut.off(answers)
        cut.on(answers)
        assert _port_state(cable) == "forwarding"
        assert len(answers) == 3 * count
    assert set(answers) == {None}


def _port_state(cable: Cable) -> str:
    number = int(Path(f"/sys/class/net/{cable.port_name}/brport/state").read_text())
    return {0: "disabled", 3: "forwarding"}[number]


@pytest.mark.parametrize(
    ("interface", "complaint"),
    [(2**30, "No such device"), (socket.if_nametoindex("lo"), "")],
    ids=["no such interface", "not a port of a bridge"],
)
def test_the_kernel_s_refusal_is_told(cable: Cable, netlink: Netlink, interface: int, complaint: str) -> None:
    """In its words, through the callback, and the next request is answered with its own answer."""
    answers = Heard()
    NetlinkCut(netlink, BridgePort(interface, "none")).off(answers)
    (message,) = answers.messages
    assert message is not None
    assert message.startswith(f"the network cannot be switched: {complaint}")
    NetlinkCut(netlink, cable.port).on(answers)
    assert answers[1:] == [None]


# Gives its rights away, then tries to switch what it is told to.
_UNPRIVILEGED = """
import os, sys
from emulator.sandbox.network import BridgePort, Netlink, NetlinkCut
os.setgid(65534)
os.setuid(65534)
NetlinkCut(Netlink(), BridgePort(int(sys.argv[1]), "")).off(lambda error: print(error.message))
"""


def test_without_rights_the_kernel_refuses(cable: Cable) -> None:
    """As it does where the emulator does not run as root; nothing is switched."""
    index = str(socket.if_nametoindex(cable.port_name))
    done = subprocess.run([sys.executable, "-c", _UNPRIVILEGED, index], capture_output=True, text=True, check=False)
    assert done.stdout == "the network cannot be switched: Operation not permitted\n", done.stderr
    assert _port_state(cable) == "forwarding"


def test_a_conversation_that_is_over_is_an_error_and_no_crash() -> None:
    """Whoever switches after the end of the emulator's network is told so."""
    conversation, answers = Netlink(), Heard()
    conversation.close()
    NetlinkCut(conversation, BridgePort(1, "lo")).off(answers)
    (message,) = answers.messages
    assert message is not None
    assert "the network cannot be switched" in message


def test_a_port_is_found_by_the_hardware_address_that_its_process_sees(cable: Cable) -> None:
    """However the engine writes it, and whatever the interface is called inside."""
    for spelling in (cable.mac, cable.mac.upper()):
        port = find_bridge_port(cable.pid, spelling)
        assert port is not None
        assert port.name == cable.port_name
        assert port.disable == cable.port.disable


def test_a_port_that_is_not_there_is_not_found(cable: Cable) -> None:
    """Neither of another address, nor of a process that has ended, nor of one without the address."""
    assert find_bridge_port(cable.pid, "02:00:00:00:00:01") is None
    assert find_bridge_port(2**22 - 3, cable.mac) is None
    assert find_bridge_port(os.getpid(), cable.mac) is None


def test_an_unknown_hardware_address_is_no_interface_s(cable: Cable) -> None:
    """An engine that tells none must not lead to a tunnel, which has none."""
    if not Path("/dev/net/tun").exists():
        pytest.skip("This machine has no tunnels.")
    cable.inside("ip", "tuntap", "add", "mode", "tun", "name", "lftunnel")
    try:
        assert find_bridge_port(cable.pid, "") is None
    finally:
        cable.inside("ip", "tuntap", "del", "mode", "tun", "name", "lftunnel")


# -- the helper ------------------------------------------------------------------------------------------


class Tasks:
    """Starts coroutines in tasks; what fails in one fails the test."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    def __call__(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.get_running_loop().create_task(coroutine))

    async def end(self) -> None:
        async with asyncio.timeout(DEADLINE):
            await asyncio.gather(*self._tasks)


@dataclass
class Attached:
    """A helper, and the engine's end of the stream to it."""

    helper: Helper
    engine: socket.socket
    heard: Heard = field(default_factory=Heard)

    async def commands(self, count: int) -> list[str]:
        """The next commands as the shell would read them."""
        text = b""
        async with asyncio.timeout(DEADLINE):
            while text.count(b"\n") < count:
                text += await asyncio.get_running_loop().sock_recv(self.engine, 4096)
        return text.decode().splitlines()

    async def answers(self, count: int) -> None:
        """Until so many answers were heard."""
        async with asyncio.timeout(DEADLINE):
            while len(self.heard) < count:
                await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def attached() -> AsyncIterator[Attached]:
    ours, engine = socket.socketpair()
    engine.setblocking(False)
    tasks = Tasks()
    helper = Helper(ours, tasks)
    with engine:
        try:
            yield Attached(helper, engine)
        finally:
            helper.close()
            await tasks.end()


def frame(text: bytes) -> bytes:
    """As the engine hands on what a container writes to its standard output."""
    return b"\x01\0\0\0" + len(text).to_bytes(4, "big") + text


def in_pieces(data: bytes, places: Sequence[int]) -> list[bytes]:
    """Cut at these places, as far as they lie within."""
    ends = [0, *sorted({place % len(data) for place in places} - {0}), len(data)] if data else [0]
    return [data[start:end] for start, end in itertools.pairwise(ends)]


@given(
    statuses=st.lists(st.integers(0, 255), min_size=1, max_size=6),
    frames=st.lists(st.integers(0, 1000), max_size=6),
    pieces=st.lists(st.integers(0, 1000), max_size=12),
)
def test_answers_are_understood_wherever_the_stream_is_split(
    statuses: list[int], frames: list[int], pieces: list[int]
) -> None:
    """Into frames by the engine, into pieces by the kernel: each command gets its own status, in order."""
    text = "".join(f"{status}\n" for status in statuses).encode()
    stream = b"".join(map(frame, in_pieces(text, frames)))

    async def play() -> None:
        async with attached() as scene:
            for number in range(len(statuses)):
                scene.helper.run(f"command {number}", scene.heard)
            for piece in in_pieces(stream, pieces):
                scene.engine.send(piece)
                await asyncio.sleep(0)  # the loop looks at its sockets, and finds this piece alone
                await asyncio.sleep(0)
            await scene.answers(len(statuses))
            assert scene.heard.messages == [
                f"the network helper failed with {status}: command {number}" if status else None
                for number, status in enumerate(statuses)
            ]

    run(play())


@in_loop
async def test_no_answer_is_given_before_its_line_is_complete() -> None:
    """Half a status is none: 1 may still become 127."""
    async with attached() as scene:
        scene.helper.run("sleep", scene.heard)
        scene.engine.send(frame(b"1") + frame(b"27\n")[:-1])
        for _ in range(5):
            await asyncio.sleep(0)
        assert not scene.heard
        scene.engine.send(b"\n")
        await scene.answers(1)
        assert scene.heard.messages == ["the network helper failed with 127: sleep"]


@in_loop
async def test_commands_arrive_in_the_order_in_which_they_were_given() -> None:
    """A line each, and none waits for the answer to another."""
    async with attached() as scene:
        cut = HelperCut(scene.helper, "veth1")
        for _ in range(20):
            cut.off(scene.heard)
            cut.on(scene.heard)
        off, on = "bridge link set dev veth1 state 0", "bridge link set dev veth1 state 3"
        assert await scene.commands(40) == [off, on] * 20
        assert not scene.heard


@in_loop
async def test_each_answer_goes_to_the_command_that_was_first() -> None:
    """Of several that wait, to the oldest."""
    async with attached() as scene:
        order: list[str] = []
        for name in ("first", "second", "third"):
            scene.helper.run(name, lambda _error, name=name: order.append(name))  # type: ignore[misc]
        scene.engine.send(frame(b"0\n0\n"))
        async with asyncio.timeout(DEADLINE):
            while len(order) < 2:
                await asyncio.sleep(0)
        assert order == ["first", "second"]


@pytest.mark.parametrize("loop", [asyncio.SelectorEventLoop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("how", ["closed", "half closed"])
def test_a_helper_that_is_gone_fails_whatever_waits_and_whatever_comes(
    how: str, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """Nobody waits for ever for somebody who is not there: neither those of before, nor those of afterwards."""

    async def play() -> None:
        async with attached() as scene:
            scene.helper.run("one", scene.heard)
            scene.helper.run("two", scene.heard)
            await scene.commands(2)
            if how == "closed":
                scene.engine.close()
            else:
                scene.engine.shutdown(socket.SHUT_WR)
            await scene.answers(2)
            scene.helper.run("three", scene.heard)
            await scene.answers(3)
            assert all(message and "the network helper is gone" in message for message in scene.heard.messages)

    run(play(), loop)


@in_loop
async def test_a_helper_that_does_not_answer_is_given_up_and_not_listened_to_any_more() -> None:
    """Nobody can tell which command a late answer is for; it is nobody's."""
    async with attached() as scene:
        for command in ("one", "two"):
            scene.helper.run(command, scene.heard)
        await scene.commands(2)
        skip_time(60)
        await scene.answers(2)
        scene.helper.run("three", scene.heard)
        await scene.answers(3)
        assert all(message and "did not answer" in message for message in scene.heard.messages)
        scene.engine.send(frame(b"0\n1\n"))
        for _ in range(5):
            await asyncio.sleep(0)
        assert len(scene.heard) == 3


@in_loop
async def test_a_helper_that_answers_in_time_has_all_its_time_for_the_next_command() -> None:
    """The deadline of one is not the deadline of another."""
    async with attached() as scene:
        for number in range(1, 4):
            scene.helper.run("true", scene.heard)
            skip_time(7)
            scene.engine.send(frame(b"0\n"))
            await scene.answers(number)
        skip_time(60)
        await asyncio.sleep(0)
        assert scene.heard == [None] * 3


@pytest.mark.parametrize("loop", [asyncio.SelectorEventLoop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_closing_fails_whatever_waits(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """The emulator ends while a switch is on its way, or was only just asked for; closing twice is closing once."""

    async def play() -> None:
        async with attached() as scene:
            scene.helper.run("sent", scene.heard)
            await scene.commands(1)
            scene.helper.run("not sent yet", scene.heard)
            scene.helper.close()
            assert scene.heard.messages == ["the network helper was closed"] * 2
            scene.helper.run("late", scene.heard)
            await scene.answers(3)
            scene.helper.close()
            assert len(scene.heard) == 3

    run(play(), loop)


@in_loop
async def test_a_real_shell_understands_the_helper_s_script() -> None:
    """Each command is answered with its status alone, whatever it prints, and failures end nothing."""
    shell = await asyncio.create_subprocess_exec(
        "sh", "-c", Helper.SCRIPT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert shell.stdin is not None
    assert shell.stdout is not None
    async with attached() as scene:
        given = ["true", "false", "echo noise; echo more noise >&2", "(exit 42)", "no-such-command-at-all", "true"]
        for command in given:
            scene.helper.run(command, scene.heard)
        shell.stdin.write("".join(f"{line}\n" for line in await scene.commands(len(given))).encode())
        for _ in given:
            scene.engine.send(frame(await shell.stdout.readline()))
        await scene.answers(len(given))
        failed = "the network helper failed with"
        assert scene.heard.messages == [
            None,
            f"{failed} 1: false",
            None,
            f"{failed} 42: (exit 42)",
            f"{failed} 127: no-such-command-at-all",
            None,
        ]
        shell.stdin.close()
        async with asyncio.timeout(DEADLINE):
            assert await shell.wait() == 0


# -- the engine's own way --------------------------------------------------------------------------------


class SlowEngine:
    """Does what it is asked only when the test lets it, and notes the order."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.may_go_on = asyncio.Event()
        self.fail_next: EngineError | None = None
        self.tasks = Tasks()
        self.cut: Cut = DisconnectCut(lambda: self._do("disconnect"), lambda: self._do("connect"), self.tasks)

    async def _do(self, what: str) -> None:
        self.notes.append(f"{what} begins")
        await self.may_go_on.wait()
        failure, self.fail_next = self.fail_next, None
        if failure is not None:
            raise failure
        self.notes.append(f"{what} ends")

    def note(self, what: str) -> Callable[[SandboxError | None], None]:
        return lambda error: self.notes.append(f"{what} answered" + (f": {error.message}" if error else ""))


async def rounds() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@in_loop
async def test_the_engine_connects_only_when_it_has_disconnected() -> None:
    """A thaw that comes while the cut is in flight waits for it, and nothing is answered early."""
    engine = SlowEngine()
    engine.cut.off(engine.note("off"))
    engine.cut.on(engine.note("on"))
    engine.cut.off(engine.note("off again"))
    await rounds()
    assert engine.notes == ["disconnect begins"]
    engine.may_go_on.set()
    await engine.tasks.end()
    assert engine.notes == [
        *("disconnect begins", "disconnect ends", "off answered"),
        *("connect begins", "connect ends", "on answered"),
        *("disconnect begins", "disconnect ends", "off again answered"),
    ]


@in_loop
async def test_the_engine_s_failure_is_the_answer_and_the_next_request_has_its_turn() -> None:
    """An error of one is not an error of the others."""
    engine = SlowEngine()
    engine.fail_next = EngineError("no such container")
    engine.cut.off(engine.note("off"))
    engine.cut.on(engine.note("on"))
    engine.may_go_on.set()
    await engine.tasks.end()
    assert engine.notes == [
        *("disconnect begins", "off answered: no such container"),
        *("connect begins", "connect ends", "on answered"),
    ]


# -- nothing, and the fake -------------------------------------------------------------------------------


def test_where_nothing_can_be_cut_everything_is_fine_at_once() -> None:
    """What relies on a cut goes on: only the relay is silent then."""
    answers = Heard()
    NoCut().off(answers)
    NoCut().on(answers)
    assert answers == [None, None]


def test_the_fake_answers_at_once_or_when_it_is_told_to() -> None:
    """With the failure that it was given, oldest first, and each once."""
    fake, answers = FakeCut(), Heard()
    fake.off(answers)
    fake.slow = True
    fake.on(answers)
    fake.off(answers)
    assert (fake.calls, answers) == (["off", "on", "off"], [None])
    failure = fake.fail_with = SandboxError("no")
    fake.confirm()
    fake.confirm()
    assert answers == [None, failure, failure]
