"""What containers are made of: variables, mounts, limits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from emulator.model import Function
from emulator.sandbox.container_settings import (
    PIPES,
    destiny_of,
    host_settings,
    names_of_itself,
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


def test_a_function_that_is_an_image_has_nothing_mounted_over_its_code() -> None:
    """What is called is the image's, but for what the function's settings say otherwise [D]."""
    image = ImageDetails("id", ("/entry.sh",), ("app.handler",), {})
    inside = replace(FUNCTION, code_in_image=True)
    destiny = destiny_of(inside, {}, image, "10.0.0.1:9001", opt=None)
    assert (destiny.folders, destiny.command) == ({}, ("/entry.sh", "app.handler"))
    other = replace(inside, command=("other.handler",), entrypoint=("/mine", "-x"))
    assert destiny_of(other, {}, image, "10.0.0.1:9001", opt=None).command == ("/mine", "-x", "other.handler")
    assert destiny_of(FUNCTION, {}, image, "10.0.0.1:9001", opt=None).command == ("/entry.sh", "app.handler")
