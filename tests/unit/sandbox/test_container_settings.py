"""What containers are made of: variables, mounts, limits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from emulator.model import Function
from emulator.sandbox.container_settings import (
    PIPES,
    destiny_of,
    host_settings,
    names_of_itself,
    runtime_command,
    unwanted_variables,
    variables,
)
from emulator.sandbox.engine_records import ImageDetails

BARE = ImageDetails("id", (), (), {})
FULL = ImageDetails("id", (), (), {}, {"TZ": "Europe/Berlin", "LANG": "C", "HOME": "/srv", "PATH": "/bin"})
FUNCTION = Function(name="orders", code=Path("/srv/orders"), memory=256, ephemeral_storage=600)


def test_the_image_and_the_user_win_over_defaults() -> None:
    """What an image sets is left to it; what the user sets is the user's; what AWS sets is AWS's."""
    found = variables({"TZ": "UTC", "COLOUR": "blue"}, FULL, "10.0.0.1:9001")
    assert found == {
        "LAMBDA_RUNTIME_DIR": "/var/runtime",
        "LAMBDA_TASK_ROOT": "/var/task",
        "TZ": "UTC",
        "COLOUR": "blue",
        "AWS_LAMBDA_METADATA_API": "10.0.0.1:9001",
        "AWS_LAMBDA_RUNTIME_API": "10.0.0.1:9001",
    }


def test_an_image_without_variables_gets_those_of_aws() -> None:
    """As if it had been made from one of AWS's base images."""
    found = variables({}, BARE, "10.0.0.1:9001")
    assert (found["TZ"], found["LANG"], found["LAMBDA_TASK_ROOT"]) == (":UTC", "en_US.UTF-8", "/var/task")


def test_what_the_engine_adds_is_taken_away() -> None:
    """Unless the image or the user has asked for it."""
    assert unwanted_variables({}, BARE) == {"HOME", "HOSTNAME", "SHLVL"}
    assert unwanted_variables({"HOSTNAME": "mine"}, FULL) == {"SHLVL"}


def test_both_names_of_an_environment_are_its_address() -> None:
    """The one of the Logs API and the one of the Telemetry API."""
    assert names_of_itself("10.1.2.3") == {"sandbox": "10.1.2.3", "sandbox.localdomain": "10.1.2.3"}


def test_limits_are_those_that_were_recorded() -> None:
    """All but RLIMIT_NPROC, which the kernel counts over all containers: the control group's limit stands for it."""
    found = host_settings(destiny_of(FUNCTION, {}, BARE, "10.0.0.1:9001", opt=None), pipes=Path("/run/pipes"))
    limits = {limit["name"]: (limit["soft"], limit["hard"]) for limit in found["ulimits"]}
    assert limits == {
        "nofile": (1024, 1024),
        "core": (10_737_418_240, 10_737_418_240),
        "memlock": (65_536, 65_536),
        "stack": (8_388_608, -1),
    }
    assert found["pids_limit"] == 1024
    assert found["mem_limit"] == found["memswap_limit"] == 256 * 2**20
    assert found["read_only"]
    assert "mode=1777,size=600m" in found["tmpfs"]["/tmp"]


def test_an_anonymous_container_lacks_what_is_a_functions_own() -> None:
    """Everything else is as in any other."""
    anonymous = host_settings(None, pipes=Path("/run/pipes"))
    of_a_function = host_settings(destiny_of(FUNCTION, {}, BARE, "10.0.0.1:9001", opt=None), pipes=Path("/run/pipes"))
    assert of_a_function.keys() - anonymous.keys() == {"mem_limit", "memswap_limit"}
    assert {key for key in anonymous if anonymous[key] != of_a_function[key]} == {"binds", "tmpfs"}
    assert anonymous["binds"] == {"/run/pipes": {"bind": PIPES, "mode": "rw"}}
    assert "mode=1777,size=512m" in anonymous["tmpfs"]["/tmp"]


def test_layers_are_mounted_where_there_are_some() -> None:
    """Read-only, like the code; without layers the image's own folder is seen."""
    destiny = destiny_of(FUNCTION, {}, BARE, "10.0.0.1:9001", opt=None)
    without = host_settings(destiny, pipes=Path("/run/pipes"))["binds"]
    assert without == {
        "/srv/orders": {"bind": "/var/task", "mode": "ro"},
        "/run/pipes": {"bind": PIPES, "mode": "rw"},
    }
    destiny = destiny_of(FUNCTION, {}, BARE, "10.0.0.1:9001", opt=Path("/run/layers-1"))
    with_layers = host_settings(destiny, pipes=Path("/run/pipes"))["binds"]
    assert with_layers == {**without, "/run/layers-1": {"bind": "/opt", "mode": "ro"}}


def test_the_runtime_is_the_images_entrypoint_with_the_handler() -> None:
    """In the hands of our shell."""
    image = ImageDetails("id", ("/lambda-entrypoint.sh", "python"), (), {}, {"HOME": "/srv"})
    destiny = destiny_of(FUNCTION, {"COLOUR": "blue"}, image, "10.0.0.1:9001", opt=None)
    assert destiny.entrypoint[:2] == ["/bin/sh", "-c"]
    assert destiny.entrypoint[3:] == ["lambda", "/lambda-entrypoint.sh", "python", "app.handler"]
    assert destiny.variables["COLOUR"] == "blue"
    assert "unset HOSTNAME SHLVL; exec" in destiny.script


IMAGE = ImageDetails("id", ("/entry", "-x"), ("one", "app.two"), {}, {}, "/srv")


@pytest.mark.parametrize(
    ("settings", "command", "handler"),
    [
        ({}, ("/entry", "-x", "one", "app.two"), "app.two"),
        ({"command": ["app.three"]}, ("/entry", "-x", "app.three"), "app.three"),
        ({"entry_point": ["/other"]}, ("/other", "one", "app.two"), "app.two"),
        ({"entry_point": ["/other"], "command": ["a", "b"]}, ("/other", "a", "b"), "b"),
    ],
)
def test_an_image_runs_what_it_says_or_what_is_said_instead(
    settings: dict[str, Any], command: tuple[str, ...], handler: str
) -> None:
    """Each for itself; nothing is mounted over what the image has, and it works where it says."""
    function = Function(name="orders", image="mine:1", **settings)
    given = {"_HANDLER": function.handler} if function.handler else {}
    destiny = destiny_of(function, given, IMAGE, "10.0.0.1:9001", opt=None)
    assert destiny.command == command
    assert destiny.variables["_HANDLER"] == handler
    assert (destiny.folders, destiny.folder) == ({}, "/srv")


def test_an_image_that_says_nothing_works_in_the_root() -> None:
    """And has no handler."""
    destiny = destiny_of(Function(name="orders", image="mine:1"), {}, BARE, "10.0.0.1:9001", opt=None)
    assert (destiny.folder, destiny.command) == ("/", ())
    assert "_HANDLER" not in destiny.variables


def test_code_in_an_image_of_ones_own_runs_as_in_any_other() -> None:
    """What is said instead of the image's own is run instead."""
    function = replace(FUNCTION, image="mine:1", working_directory="/tmp")
    destiny = destiny_of(function, {}, IMAGE, "10.0.0.1:9001", opt=None)
    assert destiny.command == ("/entry", "-x", "app.handler")
    assert (destiny.folder, destiny.folders) == ("/var/task", {"/var/task": Path("/srv/orders")})
    assert "cd /tmp && unset OLDPWD || _why=1" in destiny.script
    assert runtime_command(replace(function, command=["x"]), IMAGE) == ("/entry", "-x", "x")


def test_a_program_that_the_function_brings_is_run_itself() -> None:
    """Not by the entry point of the image."""
    destiny = destiny_of(FUNCTION, {}, IMAGE, "10.0.0.1:9001", opt=None, bootstrap="/opt/bootstrap")
    assert destiny.command == ("/opt/bootstrap",)
