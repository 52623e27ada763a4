"""What a container is made of: its variables, mounts and limits, as a function on Lambda finds them. Pure.

A container that is made before it is known for whom, an anonymous one, lacks what is a function's own: that is its
*destiny*, which it gets later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulator.model import Function
from emulator.sandbox.debugger import CONTAINER_PLACE, MEMORY, NODE_OPTIONS, container_debugger, container_inspector
from emulator.sandbox.engine_records import ImageDetails
from emulator.sandbox.lent_shell import IMAGES_OWN, PLACE, LentShell
from emulator.sandbox.origins import container_search_path
from emulator.sandbox.shell import script
from emulator.variables import hidden_from_extensions

__all__ = [
    "CODE",
    "EXTENSIONS",
    "PIPES",
    "SMALLEST_TMP",
    "USER",
    "Destiny",
    "destiny_of",
    "host_settings",
    "names_of_itself",
    "runtime_command",
    "unwanted_variables",
    "variables",
]

CODE = "/var/task"
_OPT = "/opt"
EXTENSIONS = f"{_OPT}/extensions"

PIPES = "/run/lambda-freezer"
"""The folder of the named pipes, inside."""

USER = "993:990"
"""``sbx_user1051`` [X]"""

SMALLEST_TMP = 512
"""MiB that an anonymous container has in ``/tmp``."""

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


@dataclass(frozen=True, slots=True)
class Destiny:
    """What makes a container a function's.

    Attributes:
        folders: what it has of this machine, read-only, by the place inside.
        folder: where it works.
        variables: all that differ from the image's.
        script: what the first process runs, and ``command`` that one's arguments: the runtime's command line.
        shell: the command of that first process.
        memory, tmp: limits, in MiB.
    """

    folders: Mapping[str, Path]
    folder: str
    variables: Mapping[str, str]
    script: str
    command: Sequence[str]
    memory: int
    tmp: int
    shell: Sequence[str] = IMAGES_OWN

    @property
    def entrypoint(self) -> list[str]:
        """The first process of a container that is made for it."""
        return [*self.shell, "-c", self.script, "lambda", *self.command]


def destiny_of(
    function: Function,
    given: Mapping[str, str],
    image: ImageDetails,
    runtime_api: str,
    *,
    opt: Path | None,
    origins: bool = False,
    debugpy: Path | None = None,
    inspected: bool = False,
    bootstrap: str | None = None,
    lent: LentShell | None = None,
) -> Destiny:
    """Everything that a container has for this function's sake.

    Arguments:
        given: the variables, complete but for what only its sandbox knows.
        runtime_api: ``host:port``.
        opt: its merged layers.
        origins: whether its runtime tells which lines of code open connections.
        debugpy: what listens for a debugger in its Python, where it is to be debugged.
        inspected: whether its Node.js listens for one.
        bootstrap: the program that the function brings, by its place inside, where its runtime has none.
        lent: the shell, where the image has none.
    """
    command = runtime_command(function, image, bootstrap)
    if function.is_image and not function.handler and len(command) > len(_entry_point(function, image)):
        given = {**given, "_HANDLER": command[-1]}
    environment = variables(given, image, runtime_api)
    if origins:
        environment["PYTHONPATH"] = container_search_path(PIPES, {**image.variables, **environment})
    if debugpy is not None:
        environment |= container_debugger(PIPES, {**image.variables, **environment})
    if inspected:
        environment |= container_inspector({**image.variables, **environment})
    return Destiny(
        ({CODE: function.code} if function.code is not None else {})
        | ({_OPT: opt} if opt is not None else {})
        | ({f"{CONTAINER_PLACE}/debugpy": debugpy} if debugpy is not None else {})
        | ({PLACE: lent.folder} if lent is not None else {}),
        CODE if not function.is_image else image.folder or "/",
        environment,
        script(
            PIPES,
            EXTENSIONS,
            unset=unwanted_variables(environment, image),
            hidden=hidden_from_extensions([*environment, *image.variables]) | ({NODE_OPTIONS} if inspected else set()),
            folder=function.working_directory or "",
        ),
        command,
        function.memory + (MEMORY if debugpy is not None or inspected else 0),
        function.ephemeral_storage,
        lent.command if lent is not None else IMAGES_OWN,
    )


def runtime_command(function: Function, image: ImageDetails, bootstrap: str | None = None) -> tuple[str, ...]:
    """What is run in the image; arguments as for :func:`destiny_of`. Each setting is overridden for itself [I]."""
    if bootstrap is not None:
        return (bootstrap,)
    if function.command:
        arguments = tuple(function.command)
    elif function.is_image:
        arguments = image.command
    else:
        arguments = (function.handler,)
    return (*_entry_point(function, image), *arguments)


def _entry_point(function: Function, image: ImageDetails) -> tuple[str, ...]:
    return tuple(function.entry_point) or image.entrypoint


def names_of_itself(address: str) -> dict[str, str]:
    """The names by which an environment knows itself: where extensions have logs and telemetry sent to.

    ``sandbox`` is the older one; both are in ``/etc/hosts`` [D].
    """
    return {"sandbox": address, "sandbox.localdomain": address}


def host_settings(destiny: Destiny | None, *, pipes: Path) -> dict[str, Any]:
    """The engine's host configuration: what is mounted, and what is limited or refused.

    Arguments:
        destiny: ``None`` for an anonymous container, which gets folders and limits later.
        pipes: the folder of the named pipes.
    """
    binds = {str(pipes): {"bind": PIPES, "mode": "rw"}}
    limits = {}
    if destiny is not None:
        binds |= {str(folder): {"bind": place, "mode": "ro"} for place, folder in destiny.folders.items()}
        limits = dict.fromkeys(("mem_limit", "memswap_limit"), destiny.memory * _MIB)
    tmp = destiny.tmp if destiny is not None else SMALLEST_TMP
    return {
        "binds": binds,
        # DIFFERS: on AWS /tmp is a disk; here its content counts as memory of the function.
        "tmpfs": {"/tmp": f"rw,exec,nosuid,nodev,mode=1777,size={tmp}m"},  # noqa: S108 (inside)
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        **limits,
        "pids_limit": _PROCESSES,
        "ulimits": [{"name": name, "soft": soft, "hard": hard} for name, (soft, hard) in _LIMITS.items()],
        "init": False,
        "log_config": {"Type": "none", "Config": {}},
    }
