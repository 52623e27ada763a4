"""What a container is made of: its variables, mounts and limits, as a function on Lambda finds them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emulator.model import Function
from emulator.sandbox.engine_records import ImageDetails

__all__ = ["PIPES", "USER", "host_settings", "names_of_itself", "unwanted_variables", "variables"]

PIPES = "/run/lambda-freezer"
"""The folder of the named pipes, inside."""

USER = "993:990"
"""``sbx_user1051`` [X]"""

_MIB = 2**20
_PROCESSES = 1024  # [D] gettingstarted-limits: processes and threads
# [R] Soft and hard, in the units of setrlimit; -1 is unlimited. Lambda limits the number of processes with RLIMIT_NPROC
# as well (742 at 128 MB, where 1,024 are documented). DIFFERS: here that limit is the control group's alone. The kernel
# counts RLIMIT_NPROC for a user over all containers, and all of ours run as the same one, so that some environments
# with many threads would keep the others from starting any.
_LIMITS = {
    "nofile": (1024, 1024),
    "core": (10_737_418_240, 10_737_418_240),
    "memlock": (65_536, 65_536),
    "stack": (8_388_608, -1),
}
# What AWS's base images have as well; an image that was made from another one may lack them.
_DEFAULTS = {
    "LANG": "en_US.UTF-8",
    "LAMBDA_RUNTIME_DIR": "/var/runtime",
    "LAMBDA_TASK_ROOT": "/var/task",
    "TZ": ":UTC",
}
# Engines and shells set these; a function on Lambda finds none of them but SHLVL, which begins anew.
_OF_THE_ENGINE = frozenset({"HOME", "HOSTNAME", "SHLVL"})


def variables(given: Mapping[str, str], image: ImageDetails, runtime_api: str) -> dict[str, str]:
    """What a container is created with; the engine adds what is in the image and is not here.

    Arguments:
        given: the function's, complete but for what only its sandbox knows.
        runtime_api: ``host:port``.
    """
    return {
        **{name: value for name, value in _DEFAULTS.items() if name not in image.variables},
        **given,
        "AWS_LAMBDA_METADATA_API": runtime_api,
        "AWS_LAMBDA_RUNTIME_API": runtime_api,
    }


def unwanted_variables(given: Mapping[str, str], image: ImageDetails) -> frozenset[str]:
    """What the engine or a shell sets by itself, and neither the image nor the user."""
    return _OF_THE_ENGINE - given.keys() - image.variables.keys()


def names_of_itself(address: str) -> dict[str, str]:
    """The names by which an environment knows itself: where extensions have logs and telemetry sent to.

    ``sandbox`` is the older one; both are in ``/etc/hosts`` [D].
    """
    return {"sandbox": address, "sandbox.localdomain": address}


def host_settings(function: Function, *, pipes: Path, opt: Path | None) -> dict[str, Any]:
    """The engine's host configuration: what is mounted, and what is limited or refused."""
    binds = {
        str(function.code): {"bind": "/var/task", "mode": "ro"},
        str(pipes): {"bind": PIPES, "mode": "rw"},
    }
    if opt is not None:
        binds[str(opt)] = {"bind": "/opt", "mode": "ro"}
    return {
        "binds": binds,
        # DIFFERS: on AWS /tmp is a disk; here its content counts as memory of the function.
        "tmpfs": {"/tmp": f"rw,exec,nosuid,nodev,mode=1777,size={function.ephemeral_storage}m"},  # noqa: S108
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "mem_limit": function.memory * _MIB,
        "memswap_limit": function.memory * _MIB,
        "pids_limit": _PROCESSES,
        "ulimits": [{"name": name, "soft": soft, "hard": hard} for name, (soft, hard) in _LIMITS.items()],
        "init": False,
        "log_config": {"Type": "none", "Config": {}},
    }
