"""After a kill -9 of the emulator: processes are gone at once, the rest with the next start."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import tempfile
from pathlib import Path
from typing import Any

import psutil
import pytest

import docker
from tests.integration.conftest import FUNCTIONS
from tests.integration.running import start_up
from tests.needs import need_database, need_engine
from tests.support import eventually


def configuration(folder: Path, sandbox: str) -> None:
    (folder / "lambda-freezer.toml").write_text(
        f"""
        [emulator]
        sandbox = "{sandbox}"
        prewarmed = 1
        [functions.counting]
        code = "{FUNCTIONS / "counting"}"
        memory = 1769
        """
    )


def folders_of(pid: int) -> list[Path]:
    """The folders of one emulator: another one may run on this machine."""
    found = []
    for folder in Path(tempfile.gettempdir()).glob("lambda-freezer-*"):
        with contextlib.suppress(OSError):
            if f"/{pid}/" in (folder / "owner").read_text():
                found.append(folder)
    return found


@pytest.mark.parametrize("freezer", ["auto", "cgroup-v1", "signals"])
def test_processes_die_with_the_emulator(tmp_path: Path, freezer: str) -> None:
    """Runtime, its child, the database server and the warden end at once, frozen as they are."""
    need_database()
    configuration(tmp_path, "process")
    with start_up(tmp_path, "--freezer", freezer) as up:
        assert up.run("invoke", "counting").returncode == 0
        family = psutil.Process(up.process.pid).children(recursive=True)
        names = {Path(process.exe()).name for process in family if process.is_running()}
        assert any("mariadbd" in name or "mysqld" in name for name in names)
        assert folders_of(up.process.pid) != []
        assert len(family) >= 4  # server, warden, runtime, its child
        os.kill(up.process.pid, signal.SIGKILL)
        up.process.wait(timeout=10)
        _, alive = psutil.wait_procs(family, timeout=10)
        assert alive == []
    eventually(lambda: folders_of(up.process.pid) == [], "the warden removes the folder")


@pytest.mark.container
def test_containers_are_removed_by_the_next_start(tmp_path: Path) -> None:
    """Containers and networks of a killed emulator go with the next start; others' stay."""
    need_engine()
    need_database()
    configuration(tmp_path, "container")
    client = docker.from_env()
    with start_up(tmp_path) as living:
        assert living.run("invoke", "counting").returncode == 0
        with start_up(tmp_path) as killed:
            assert killed.run("invoke", "counting").returncode == 0
            owner = f"/{killed.process.pid}/"

            def owned() -> list[Any]:
                found = client.containers.list(all=True, ignore_removed=True)
                return [container for container in found if owner in container.labels.get("lambda-freezer.owner", "")]

            eventually(lambda: len(owned()) == 2, "an environment and a prewarmed sandbox")
            theirs = owned()
            os.kill(killed.process.pid, signal.SIGKILL)
            killed.process.wait(timeout=10)
            eventually(lambda: folders_of(killed.process.pid) == [], "the warden removes the folder")
        with start_up(tmp_path):
            left = {c.id for c in client.containers.list(all=True, ignore_removed=True)}
            assert not left & {c.id for c in theirs}
            networks = [n.attrs["Labels"].get("lambda-freezer.owner", "") for n in client.networks.list()]
            assert not any(owner in label for label in networks)
            (environment,) = json.loads(living.run("ps", "--json").stdout)["environments"]
            assert environment["state"] == "frozen"
            assert living.run("invoke", "counting").returncode == 0
    client.close()


@pytest.mark.container
def test_clean_stop_leaves_nothing(tmp_path: Path) -> None:
    """After Ctrl-C no container, network, folder or process of the emulator is left."""
    need_engine()
    need_database()
    configuration(tmp_path, "container")
    client = docker.from_env()
    with start_up(tmp_path) as up:
        assert up.run("invoke", "counting").returncode == 0
        owner = f"/{up.process.pid}/"
        family = psutil.Process(up.process.pid).children(recursive=True)
        up.process.send_signal(signal.SIGINT)
        assert up.process.wait(timeout=20) == 0
    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []
    assert not any(
        owner in c.labels.get("lambda-freezer.owner", "") for c in client.containers.list(all=True, ignore_removed=True)
    )
    assert not any(owner in n.attrs["Labels"].get("lambda-freezer.owner", "") for n in client.networks.list())
    assert folders_of(up.process.pid) == []
    client.close()
