"""The container engine: every call to Docker that the emulator makes, each with a deadline.

The Docker package blocks, so calls run in a few threads of their own; the stream of engine events has its own
connection and thread, so that no waiting there can hold up a call.

The room is long because it is one list: what is asked of an engine, each question a few lines.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import functools
import io
import ipaddress
import itertools
import os
import re
import socket
import tarfile
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath
from types import TracebackType
from typing import Any, Self, TypeVar, cast

import docker.errors
import docker.types
import docker.utils
import requests.exceptions

import docker
from emulator.errors import EngineError
from emulator.sandbox.engine_records import ContainerDetails, ImageDetails, Network, ServerContainer, free_subnets
from emulator.sandbox.instance import LABEL, Instance, is_abandoned

__all__ = ["Engine", "engine_answers"]

T = TypeVar("T")

_HEARD_WITHIN = 2.0  # seconds
_CALL_DEADLINE = 30  # seconds; a busy engine starts a container in under one
_THREADS = 8
_NO_DEADLINE: Any = None  # the stream of events may be silent for hours
_Untyped = cast(Callable[[docker.APIClient], Any], lambda client: client)  # where the package's stubs are wrong
_SUBNET_TRIES = 20
_MEMBERSHIP = 'Join the docker group (sudo usermod -aG docker $USER, then log in again), or use sandbox = "process".'
_CURE = 'Start the engine (on Debian: apt-get install docker.io, then dockerd), or use sandbox = "process".'


def _new_client(timeout: int, **options: Any) -> docker.APIClient:
    """A client of the engine that the usual variables name: ``DOCKER_HOST``, ``DOCKER_TLS_VERIFY``, ..."""
    return docker.APIClient(**docker.utils.kwargs_from_env(), timeout=timeout, **options)


def engine_answers(timeout: int = 3) -> str | None:
    """``None`` when a container engine answers, else why none does, in one line."""
    try:
        client = _new_client(timeout)
    except docker.errors.DockerException as error:
        return _innermost(error)
    with contextlib.closing(client):
        try:
            client.ping()
        except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
            return _innermost(error)
    return None


class Engine:
    """The engine that the environment's usual variables (``DOCKER_HOST``) name.

    Everything it makes carries the labels of ``instance``; leaving it removes what is still there.
    """

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="engine")
        self._client: docker.APIClient | None = None
        self._numbers = itertools.count(1)
        self._exits: dict[str, Callable[[int], None]] = {}
        self._events: Any = None
        self._listener: threading.Thread | None = None
        self.version = self.architecture = ""
        self.network: Network | None = None
        """The network of this emulator's containers, once there is one."""

    async def __aenter__(self) -> Self:
        self._client = await self._in_thread(self._connect)
        await self._listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with contextlib.suppress(EngineError):
            await self._remove_labelled({f"{LABEL}.instance": self._instance.id})
        if self._events is not None:
            await self._in_thread(self._events.close)
        if self._listener is not None:
            await self._in_thread(lambda: self._listener.join(timeout=5) if self._listener else None)
        if self._client is not None:
            self._client.close()
        self._threads.shutdown(wait=False)

    # -- images ------------------------------------------------------------------------------------------

    async def image(self, name: str) -> ImageDetails | None:
        """Details of a local image, or ``None``."""
        try:
            found = await self._call("look at an image", lambda client: _Untyped(client).inspect_image(name))
        except _NotFoundError:
            return None
        config = found["Config"]
        return ImageDetails(
            found["Id"],
            tuple(config.get("Entrypoint") or ()),
            tuple(config.get("Cmd") or ()),
            config.get("Labels") or {},
            dict(entry.partition("=")[::2] for entry in config.get("Env") or ()),
            config.get("WorkingDir") or "",
            found.get("Architecture") or "",
        )

    async def files_in_image(self, image: str, folder: str) -> tuple[str, ...]:
        """The names of what is directly in a folder of an image and no folder itself; sorted. None is run for that."""

        def look(client: docker.APIClient) -> tuple[str, ...]:
            pieces, _ = client.get_archive(container, folder)
            # Members are named after the folder itself: "extensions/", "extensions/one", "extensions/data/...".
            with tarfile.open(fileobj=io.BufferedReader(_Pieces(pieces)), mode="r|") as archive:
                names = [PurePosixPath(member.name) for member in archive if not member.isdir()]
            return tuple(sorted(name.name for name in names if len(name.parts) == 2))

        container = await self.create(image, entrypoint=["/"], network_mode="none")  # never started
        try:
            return await self._call("look into an image", look)
        except _NotFoundError:
            return ()
        finally:
            await self.remove(container)

    async def has_file(self, image: str, path: str) -> bool:
        """Whether there is something in an image under this path. Nothing is run for that."""

        def look(client: docker.APIClient) -> bool:
            pieces, _ = client.get_archive(container, path)
            return any(pieces)

        container = await self.create(image, entrypoint=["/"], network_mode="none")  # never started
        try:
            return await self._call("look into an image", look)
        except _NotFoundError:
            return False
        finally:
            await self.remove(container)

    async def has_image(self, name: str) -> bool:
        return await self.image(name) is not None

    async def image_names(self, repository: str) -> list[str]:
        """All local tags of one repository."""
        found = await self._call("list images", lambda client: client.images(name=repository))
        return sorted(tag for image in found for tag in image.get("RepoTags") or ())

    async def pull(self, name: str) -> None:
        """Fetch an image from its registry.

        Raises:
            EngineError: the registry cannot be reached, or has no such image.
        """
        await self._call(f"pull {name}", lambda client: client.pull(name), deadline=600)

    # -- networks ----------------------------------------------------------------------------------------

    async def create_network(self, name: str, *, internal: bool = False) -> Network:
        """A bridge network with a large subnet that nobody else here uses, so that addresses can be ours to give.

        An ``internal`` one leads to this machine and no further, and never carries the default route.

        Raises:
            EngineError: no free subnet was found, or the engine refuses for another reason.
        """
        subnets = free_subnets()
        for subnet in itertools.islice(subnets, _SUBNET_TRIES):
            gateway = str(subnet[1])
            try:
                made = await self._call(
                    "create a network", functools.partial(self._make_network, name, subnet, internal)
                )
            except EngineError as error:
                if "overlap" not in error.message:
                    raise
            else:
                return Network(made["Id"], name, gateway, subnet)
        raise EngineError(
            f"no free subnet for a network after {_SUBNET_TRIES} tries",
            cure="Remove networks that nobody uses: docker network prune.",
        )

    def _make_network(
        self, name: str, subnet: ipaddress.IPv4Network, internal: bool, client: docker.APIClient
    ) -> dict[str, Any]:
        pool = docker.types.IPAMPool(subnet=str(subnet), gateway=str(subnet[1]))
        return client.create_network(
            name,
            driver="bridge",
            ipam=docker.types.IPAMConfig(pool_configs=[pool]),
            labels=self._instance.labels,
            check_duplicate=True,
            internal=internal,
        )

    async def remove_network(self, network: Network) -> None:
        await self._remove_network(network.id)

    async def _remove_network(self, network_id: str) -> None:
        with contextlib.suppress(_NotFoundError):
            await self._call("remove a network", lambda client: client.remove_network(network_id))

    async def connect(self, network: Network, container: str, address: str) -> None:
        """Plug a container in, under this address."""
        await self._call(
            "connect a container",
            lambda client: client.connect_container_to_network(container, network.id, ipv4_address=address),
        )

    async def disconnect(self, network: Network, container: str) -> None:
        """Pull the plug, at once and whatever the container does."""
        await self._call(
            "disconnect a container",
            lambda client: client.disconnect_container_from_network(container, network.id, force=True),
        )

    # -- containers --------------------------------------------------------------------------------------

    async def create(
        self,
        image: str,
        *,
        name: str | None = None,
        command: Sequence[str] = (),
        entrypoint: Sequence[str] | None = None,
        environment: Mapping[str, str] | None = None,
        user: str | None = None,
        working_dir: str | None = None,
        network: Network | None = None,
        network_mode: str = "bridge",
        keep_input: bool = False,
        address: str | None = None,
        aliases: Sequence[str] = (),
        ports: Sequence[int] = (),
        hostname: str | None = None,
        hosts: Sequence[tuple[str, str]] = (),
        host: Mapping[str, Any] | None = None,
    ) -> str:
        """Make a container; its id.

        Arguments:
            hosts: names that it is to know, with their addresses; one may have several.
            host: passed on as the engine's host configuration.
        """

        def make(client: docker.APIClient) -> dict[str, Any]:
            endpoint: Any = None
            if network is not None:
                endpoint = _Untyped(client).create_networking_config(
                    {network.name: client.create_endpoint_config(ipv4_address=address, aliases=list(aliases) or None)}
                )
            made: dict[str, Any] = client.create_container(
                image,
                command=list(command),
                entrypoint=list(entrypoint) if entrypoint is not None else None,
                environment=dict(environment or {}),
                user=user,
                working_dir=working_dir,
                hostname=hostname,
                labels=self._instance.labels,
                ports=list(ports) or None,
                stdin_open=keep_input,
                networking_config=endpoint,
                host_config=client.create_host_config(
                    extra_hosts=[f"{known}:{place}" for known, place in hosts] or None,
                    network_mode=network.name if network is not None else network_mode,
                    **dict(host or {}),
                ),
                name=name or self.new_name(),
            )
            return made

        made = await self._call("create a container", make)
        return str(made["Id"])

    def new_name(self) -> str:
        """A name that no other container has; calls take names as well as ids."""
        return f"{LABEL}-{self._instance.id}-{next(self._numbers)}"

    async def start(self, container: str) -> None:
        await self._call("start a container", lambda client: client.start(container))

    async def details(self, container: str) -> ContainerDetails:
        found = await self.inspect(container)
        state = found["State"]
        networks = found["NetworkSettings"]["Networks"]
        return ContainerDetails(
            str(found["Id"]),
            int(state["Pid"]),
            _moment(state["StartedAt"]),
            bool(state["Running"]),
            int(state["ExitCode"]),
            bool(state["OOMKilled"]),
            {name: str(endpoint.get("MacAddress", "")) for name, endpoint in networks.items()},
        )

    async def inspect(self, container: str) -> dict[str, Any]:
        return await self._call("look at a container", lambda client: client.inspect_container(container))

    async def pause(self, container: str) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _HEARD_WITHIN
        while True:
            try:
                await self._call("pause a container", lambda client: client.pause(container))
            except EngineError as error:
                # The engine hears of its own last pause after it has ended it, and holds it for a moment to last.
                if "is already paused" not in error.message or loop.time() > deadline:
                    raise
                await asyncio.sleep(0.01)
            else:
                return

    async def unpause(self, container: str) -> None:
        await self._call("unpause a container", lambda client: client.unpause(container))

    async def limit_cpu(self, container: str, share: float) -> None:
        quota = max(1_000, int(share * 100_000))
        await self._call(
            "limit a container",
            lambda client: client.update_container(container, cpu_quota=quota, cpu_period=100_000),
        )

    async def run_inside(self, container: str, command: Sequence[str], *, user: str = "root") -> str:
        """Run a command in a running container; what it printed."""

        def run(client: docker.APIClient) -> str:
            made = client.exec_create(container, list(command), user=user)
            return bytes(client.exec_start(made["Id"])).decode("utf-8", "replace")

        return await self._call("run a command in a container", run)

    async def attach_input(self, container: str) -> socket.socket:
        """A raw stream to a container's input and from its output, as the engine frames it."""

        def attach(client: docker.APIClient) -> socket.socket:
            stream = _Untyped(client).attach_socket(container, {"stdin": 1, "stdout": 1, "stream": 1})
            # The package wraps the connection, and closes it with the wrapper: take a duplicate, and let both go.
            connection = cast(socket.socket, stream._sock)
            duplicate = connection.dup()
            stream.close()
            connection.close()
            return duplicate

        return await self._call("attach to a container", attach)

    async def remove(self, container: str) -> None:
        """Kill and remove; a container that is gone already is fine."""
        with contextlib.suppress(_NotFoundError):
            await self._call(
                "remove a container", lambda client: client.remove_container(container, force=True, v=True)
            )

    async def run_server(
        self,
        image: str,
        *,
        command: Sequence[str],
        environment: Mapping[str, str],
        alias: str,
        port: int,
    ) -> ServerContainer:
        """Start a server that other containers reach by ``alias`` and we by a port on 127.0.0.1."""
        container = await self.create(
            image,
            command=command,
            environment=environment,
            network=self.network,
            aliases=[alias] if self.network is not None else (),
            ports=[port],
            host={"port_bindings": {port: ("127.0.0.1", None)}, "tmpfs": {"/tmp": ""}},  # noqa: S108 (inside)
        )
        await self.start(container)
        settings = (await self.inspect(container))["NetworkSettings"]
        addresses = [entry["IPAddress"] for entry in settings["Networks"].values() if entry["IPAddress"]]
        host_port = int(settings["Ports"][f"{port}/tcp"][0]["HostPort"])
        return ServerContainer(container, addresses[0] if addresses else "", host_port)

    def on_exit(self, container: str, callback: Callable[[int], None]) -> None:
        """Call back, in the loop, with the exit code when the named container's first process has ended."""
        self._exits[container] = callback

    def forget(self, container: str) -> None:
        self._exits.pop(container, None)

    # -- what others left --------------------------------------------------------------------------------

    async def sweep(self) -> int:
        """Remove containers and networks of emulators that were killed; answers how many."""
        abandoned: set[str] = set()
        for labels in await self._labels_in_use():
            if is_abandoned(labels.get(f"{LABEL}.owner", "")):
                abandoned.add(labels[f"{LABEL}.instance"])
        count = 0
        for instance in abandoned:
            count += await self._remove_labelled({f"{LABEL}.instance": instance})
        return count

    async def _labels_in_use(self) -> list[Mapping[str, str]]:
        def look(client: docker.APIClient) -> list[Mapping[str, str]]:
            only = {"label": f"{LABEL}.owner"}
            found = [*client.containers(all=True, filters=only), *client.networks(filters=only)]
            return [entry.get("Labels") or {} for entry in found]

        return await self._call("look for what was left behind", look)

    async def _remove_labelled(self, labels: Mapping[str, str]) -> int:
        only = {"label": [f"{key}={value}" for key, value in labels.items()]}
        containers = await self._call("list containers", lambda c: c.containers(all=True, filters=only))
        async with asyncio.TaskGroup() as group:
            for container in containers:
                group.create_task(self.remove(container["Id"]))
        networks = await self._call("list networks", lambda c: c.networks(filters=only))
        for network in networks:
            await self._remove_network(network["Id"])
        return len(containers) + len(networks)

    # -- the wire ----------------------------------------------------------------------------------------

    def _connect(self) -> docker.APIClient:
        try:
            client = _new_client(_CALL_DEADLINE, num_pools=_THREADS)
            about = client.version()
            self.version, self.architecture = str(about["Version"]), str(about.get("Arch", ""))
        except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
            reason = _innermost(error)
            where = os.environ.get("DOCKER_HOST") or "its usual address"
            cure = _MEMBERSHIP if "Permission denied" in reason else _CURE
            raise EngineError(f"no container engine answers at {where}: {reason}", cure=cure) from error
        return client

    async def _call(self, what: str, call: Callable[[docker.APIClient], T], *, deadline: float = _CALL_DEADLINE) -> T:
        client = self._client
        assert client is not None, "the engine is used before it was entered"

        def guarded() -> T:
            try:
                return call(client)
            except docker.errors.NotFound as error:
                raise _NotFoundError(f"the engine could not {what}: {error.explanation}") from error
            except docker.errors.APIError as error:
                raise EngineError(f"the engine could not {what}: {error.explanation}") from error
            except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
                raise EngineError(f"the engine could not {what}: {_innermost(error)}", cure=_CURE) from error

        running = asyncio.get_running_loop().run_in_executor(self._threads, guarded)
        try:
            async with asyncio.timeout(deadline + 5):
                return await asyncio.shield(running)
        except asyncio.CancelledError:
            # A call cannot be taken back. Whoever is cancelled cleans up, and must not do so before it is done.
            await asyncio.wait([running], timeout=deadline)
            raise
        except TimeoutError as error:
            raise EngineError(f"the engine did not {what} within {deadline:.0f} s", cure=_CURE) from error

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    async def _listen(self) -> None:
        """Follow the engine's events for the exits of our containers."""
        loop = asyncio.get_running_loop()
        client = _new_client(_NO_DEADLINE)
        only = {"type": "container", "event": "die", "label": f"{LABEL}.instance={self._instance.id}"}
        self._events = await self._in_thread(lambda: client.events(filters=only, decode=True))

        def follow() -> None:
            # The stream ends by being closed from another thread, which the package reports in several ways.
            with contextlib.suppress(
                docker.errors.DockerException,
                requests.exceptions.RequestException,
                OSError,
                ValueError,
                AttributeError,
            ):
                for event in self._events:
                    actor = event["Actor"]
                    code = int(actor["Attributes"].get("exitCode", 0))
                    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to tell
                        loop.call_soon_threadsafe(self._exited, actor["Attributes"].get("name", ""), code)
            client.close()

        self._listener = threading.Thread(target=follow, name="engine-events", daemon=True)
        self._listener.start()

    def _exited(self, container: str, code: int) -> None:
        callback = self._exits.pop(container, None)
        if callback is not None:
            callback(code)


class _Pieces(io.RawIOBase):
    """A stream of bytes in pieces, as a file that can be read once."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size


def _moment(text: str) -> float:
    """Seconds since the epoch; the engine writes nine decimals, Python reads six."""
    return datetime.datetime.fromisoformat(re.sub(r"(\.\d{6})\d*", r"\1", text)).timestamp()


class _NotFoundError(EngineError):
    """The engine has no such container, image or network."""


def _innermost(error: BaseException) -> str:
    """Docker's package wraps the reason three deep; only the reason helps."""
    while error.__cause__ is not None or error.__context__ is not None:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return str(error)
