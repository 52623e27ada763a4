"""The emulator in a container of its own beside a database server, as docker/compose.yaml starts them."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

import docker
from emulator.client import Client
from emulator.errors import NotRunningError
from emulator.sandbox.cgroup import find_group
from tests.integration.conftest import SAMPLES
from tests.needs import need_compose, need_engine
from tests.support import eventually, require

pytestmark = [pytest.mark.container, pytest.mark.timeout(240)]

REPOSITORY = Path(__file__).parent.parent.parent
EMULATOR_IMAGE, MYSQL_IMAGE = "lambda-freezer/emulator:local", "lambda-freezer/mysql:mariadb"
FUNCTION = "connect_once"


@dataclass
class Composed:
    """What ``compose up`` has started. ``owner`` is how the emulator's containers and networks name it."""

    command: tuple[str, ...]
    variables: dict[str, str]
    project: Path
    name: str
    docker: docker.DockerClient
    endpoint: str
    owner: str = ""

    def compose(self, *arguments: str) -> str:
        """Run Compose in the project; what it printed."""
        done = subprocess.run(
            [*self.command, "-p", self.name, "-f", REPOSITORY / "docker" / "compose.yaml", *arguments],
            cwd=self.project,
            env=self.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def emulator_state(self) -> dict[str, Any]:
        """What the engine knows of the emulator's container."""
        labels = [f"com.docker.compose.project={self.name}", "com.docker.compose.service=emulator"]
        (container,) = self.docker.containers.list(all=True, filters={"label": labels})
        state: dict[str, Any] = container.attrs["State"]
        return state

    def leftovers(self) -> list[str]:
        """Containers and networks of Compose's project, and those that its emulator made."""
        containers = self.docker.containers.list(all=True, ignore_removed=True)
        networks = self.docker.networks.list()
        labels = {str(container.id): container.labels for container in containers}
        labels |= {str(network.id): network.attrs["Labels"] or {} for network in networks}
        return [thing for thing, known in labels.items() if self._is_ours(known)]

    def _is_ours(self, labels: dict[str, str]) -> bool:
        if labels.get("com.docker.compose.project") == self.name:
            return True
        return bool(self.owner) and self.owner in labels.get("lambda-freezer.owner", "")

    def remove_leftovers(self) -> None:
        """Of an emulator that did not get so far; containers come first, networks cannot go before them."""
        for thing in self.leftovers():
            with contextlib.suppress(docker.errors.NotFound):
                self.docker.containers.get(thing).remove(force=True)
            with contextlib.suppress(docker.errors.NotFound):
                self.docker.networks.get(thing).remove()

    @property
    def client(self) -> Client:
        return Client(self.endpoint)

    def answers(self) -> bool:
        """Whether the emulator does; one that has ended never will."""
        try:
            self.client.get("/_emulator/api/status")
        except NotRunningError:
            assert self.emulator_state()["Running"], self.compose("logs", "emulator")
            return False
        return True

    def invoke(self) -> dict[str, Any]:
        """What the function answers."""
        response = self.client.invoke(FUNCTION, b"{}", kind="RequestResponse", tail=False)
        assert (response.status, response.headers.get("x-amz-function-error")) == (200, None), response.body
        answer: dict[str, Any] = response.json()
        return answer

    def environments(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.client.get("/_emulator/api/environments")["environments"]
        return found

    def frozen_environment(self) -> dict[str, Any]:
        """The one there is, once it is frozen."""
        eventually(lambda: [e["state"] for e in self.environments()] == ["frozen"], "the environment is frozen")
        (environment,) = self.environments()
        return environment

    def sessions(self, environment: str) -> list[dict[str, Any]]:
        """Those that the database server holds for an environment, living or gone."""
        found = self.client.get("/_emulator/api/connections")["connections"]
        return [session for session in found if session["environment"] == environment]


@pytest.fixture(scope="module")
def images() -> None:
    """The emulator's image, built anew if it is stale, and the server's."""
    need_engine()
    path = f"{REPOSITORY / '.tools' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    built = subprocess.run(
        [sys.executable, REPOSITORY / "docker" / "build-images", "--only", "emulator"],
        env=os.environ | {"PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=200,
        check=False,
    )
    require(built.returncode != 2, f"The emulator's image cannot be built: {built.stdout}", "Run ./dev setup as root.")
    assert built.returncode == 0, built.stdout
    with contextlib.closing(docker.from_env()) as client:
        require(client.images.list(MYSQL_IMAGE), f"There is no image {MYSQL_IMAGE}.", "Run docker/build-images.")


@pytest.fixture(scope="module")
def command() -> tuple[str, ...]:
    """Compose, asked for before anything is built for it."""
    need_engine()
    return need_compose()


@pytest.fixture(scope="module")
def composed(command: tuple[str, ...], images: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composed]:
    """Both services, up and answering, on a port, a subnet and under a name that nobody else uses."""
    folder = tmp_path_factory.mktemp("compose")
    with contextlib.closing(docker.from_env()) as client:
        port = free_port()
        composed = Composed(
            command,
            variables(folder, port),
            project(folder),
            f"lambda-freezer-test-{secrets.token_hex(4)}",
            client,
            f"http://127.0.0.1:{port}",
        )
        try:
            composed.compose("up", "-d")
            composed.owner = f"/{composed.emulator_state()['Pid']}/"
            eventually(composed.answers, "the emulator answers", deadline=60)
            yield composed
        finally:
            try:
                composed.compose("down", "--volumes")
            finally:
                composed.remove_leftovers()


def project(folder: Path) -> Path:
    """A project with one function, that nobody but its owner may read."""
    project = folder / "project"
    shutil.copytree(SAMPLES / FUNCTION, project / FUNCTION)
    (project / FUNCTION).chmod(0o755)
    (project / "lambda-freezer.toml").write_text(f'[functions.{FUNCTION}]\ncode = "{FUNCTION}"\ntimeout = 10\n')
    project.chmod(0o700)
    if os.geteuid() == 0:
        os.chown(project, 65534, 65534)
    return project


def variables(folder: Path, port: int) -> dict[str, str]:
    """The environment variables that the file asks for; nothing of the tester's own settings."""
    subnet = f"10.62.{secrets.randbelow(256)}.{8 * secrets.randbelow(32)}"
    others = {name: value for name, value in os.environ.items() if not name.startswith(("LAMBDA_FREEZER_", "MYSQL_"))}
    return others | {
        "PWD": str(folder / "project"),
        "EMULATOR_IMAGE": EMULATOR_IMAGE,
        "MYSQL_IMAGE": MYSQL_IMAGE,
        "MYSQL_SUBNET": f"{subnet}/29",
        "MYSQL_ADDRESS": f"{subnet.rpartition('.')[0]}.{int(subnet.rpartition('.')[2]) + 2}",
        "LAMBDA_FREEZER_PORT": str(port),
        "LAMBDA_FREEZER_TMPDIR": str(folder / "run"),
    }


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def stands_still(pid: int) -> bool:
    """Whether the control group of a process is frozen, as this machine sees it."""
    place = find_group(pid).place
    if place.unified is not None and "frozen 1" in (place.unified / "cgroup.events").read_text():
        return True
    return place.freezer is not None and (place.freezer / "freezer.state").read_text() == "FROZEN\n"


def test_nothing_is_lost_in_a_container(composed: Composed) -> None:
    """Control groups freeze, and the network is cut directly, as if the emulator ran outside."""
    status = composed.client.get("/_emulator/api/status")
    assert status["sandbox"] == "container"
    assert status["freezer"]["name"].startswith("cgroup-"), status["freezer"]
    assert (status["network_fidelity"], status["network"]["mechanism"]) == ("full", "netlink"), status["network"]
    assert composed.variables["MYSQL_ADDRESS"] in status["database"]


def test_the_emulator_listens_on_loopback_only(composed: Composed) -> None:
    """It holds the engine's socket, and is nobody's business but this machine's."""
    port = int(composed.endpoint.rpartition(":")[2])
    listening = [c.laddr for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
    assert [address for address in listening if address[1:] == (port,)] == [("127.0.0.1", port)]


def test_an_environment_is_frozen_between_two_invocations(composed: Composed) -> None:
    """The second one finds the same environment and the same session, which stayed open all the while."""
    first = composed.invoke()
    environment = composed.frozen_environment()
    assert stands_still(environment["sandbox"]["pid"])
    (session,) = composed.sessions(environment["id"])
    assert (session["command"], session["environment_state"]) == ("Sleep", "frozen")
    assert session["id"] == first["connection_id"]
    assert composed.invoke() == first
    assert composed.frozen_environment()["id"] == environment["id"]
    assert composed.frozen_environment()["invocations"] == environment["invocations"] + 1


def test_a_recycled_environment_leaves_a_zombie(composed: Composed) -> None:
    """The server goes on holding the session of an environment that vanished; asked to, it ends it."""
    composed.invoke()
    environment = composed.frozen_environment()
    composed.client.post(f"/_emulator/api/functions/{FUNCTION}/recycle")
    eventually(lambda: composed.environments() == [], "the environment goes")
    (session,) = composed.sessions(environment["id"])
    assert session["zombie"]
    assert session["environment_state"] == "gone"
    composed.client.post("/_emulator/api/zombies/kill")
    eventually(lambda: composed.sessions(environment["id"]) == [], "the zombie goes")


def test_an_environment_is_asked_to_end(composed: Composed) -> None:
    """Recycled gracefully it closes its connection itself: its processes are another user's and hear the emulator."""
    composed.invoke()
    environment = composed.frozen_environment()
    composed.client.post(f"/_emulator/api/functions/{FUNCTION}/recycle", {"reclaim": "graceful"})
    eventually(lambda: composed.environments() == [], "the environment goes")
    eventually(lambda: composed.sessions(environment["id"]) == [], "the session is closed")


def test_down_leaves_nothing(composed: Composed) -> None:
    """No container, no network and no file; this comes last, for it ends what the tests above use."""
    composed.invoke()
    assert len(composed.leftovers()) == 6  # two services, one environment; one network and two
    composed.compose("down")
    assert composed.leftovers() == []
    assert list(Path(composed.variables["LAMBDA_FREEZER_TMPDIR"]).iterdir()) == []


def test_control_groups_are_found_from_a_namespace_of_their_own(images: None) -> None:
    """Where only v2 groups exist the engine gives each container one, and Compose's older program cannot say no."""
    options = ("--cgroupns", "private", "--pid", "host", "--volume", "/sys/fs/cgroup:/sys/fs/cgroup:ro")
    name = f"lambda-freezer-test-{secrets.token_hex(4)}"
    script = (
        "import json, sys; from emulator.sandbox.cgroup import find_group;"
        "print(json.dumps([str(folder) for folder in find_group(int(sys.argv[1])).folders()]))"
    )
    with contextlib.closing(docker.from_env()) as client:
        target = client.containers.run(MYSQL_IMAGE, ["sleep", "60"], name=name, detach=True, network_mode="none")
        try:
            target.reload()
            pid = target.attrs["State"]["Pid"]
            seen = subprocess.run(
                ["docker", "run", "--rm", *options, EMULATOR_IMAGE, "python3", "-c", script, str(pid)],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert seen.returncode == 0, seen.stderr
            assert json.loads(seen.stdout) == [str(folder) for folder in find_group(pid).folders()] != []
        finally:
            target.remove(force=True)
