"""What a process sandbox is made of: command line and variables, and what it cannot have. Pure."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from string import Template

from emulator.model import Function
from emulator.runtimes import KNOWN, Runtime, RuntimeKind
from emulator.sandbox.equipment import Equipment
from emulator.sandbox.runtime_main import AWAITS_DEBUGGER, DEBUGGER, ORIGINS, search_path
from emulator.variables import hidden_from_extensions

__all__ = [
    "LACKS",
    "LOCALE",
    "PROGRAMS",
    "PYTHON",
    "TIME_ZONE",
    "extension_variables",
    "plain_runtime_command",
    "runtime_command",
    "runtime_variables",
]

LACKS = (
    "/tmp, /var/task and /opt of their own (TMPDIR, LAMBDA_TASK_ROOT and LAMBDA_FREEZER_OPT name them)",  # noqa: S108 (a word of the sentence)
    "read-only code",
    "Lambda's user",
    "the name sandbox.localdomain",
    "a CPU share",
    "limits on the number of processes and the size of /tmp",
)
"""What an environment has on AWS and as a container, and does not have as a process."""

LOCALE, TIME_ZONE = "C.UTF-8", ":UTC"
_SYSTEM = "/usr/local/bin:/usr/bin:/bin"
PROGRAMS = f"{Path(sys.executable).parent}:{_SYSTEM}"
PYTHON = Equipment(next(runtime for runtime in KNOWN.values() if runtime.kind is RuntimeKind.PYTHON))
"""What a process of Python is made of: the emulator's own interpreter and client."""

_RUNTIME = Path(__file__).with_name("runtime_main.py")
_NODE_MAIN = Path(__file__).with_name("nodejs_main.mjs")
_NODE_CLIENT = "LAMBDA_FREEZER_CLIENT"
_WRAPPER = "AWS_LAMBDA_EXEC_WRAPPER"
_JAVA_MAIN = "com.amazonaws.services.lambda.runtime.api.client.AWSLambda"
_JAVA_NATIVE = "com.amazonaws.services.lambda.runtime.api.client.runtimeapi.NativeClient.JNI"
_LAMBDA_RUNTIME = "/var/runtime"


def runtime_command(
    function: Function,
    opt: Path | None,
    equipment: Equipment = PYTHON,
    *,
    bootstrap: Path | None = None,
    variables: Mapping[str, str] | None = None,
) -> list[str | Path]:
    """The command line of the runtime; that of its wrapper in front, where the function has one.

    Arguments:
        opt: the merged layers.
        equipment: what the runtime is made of here.
        bootstrap: the program that the function brings, where its runtime has none.
        variables: the runtime's: some stand in a command line.
    """
    runtime = equipment.runtime
    if runtime.command:
        command = _own(equipment, variables or {})
    elif runtime.kind is RuntimeKind.PROVIDED:
        assert bootstrap is not None, "who has none is told so instead"
        return [bootstrap]  # [D] a wrapper is a matter of the managed runtimes
    else:
        command = _COMMANDS[runtime.kind](function, opt, equipment, variables or {})
    wrapper = function.environment.get(_WRAPPER)
    if not wrapper:
        return command
    # By a shell: what it says, and its status, where a wrapper is missing are those that AWS's has.
    return ["/bin/sh", "-c", 'exec "$@"', "bootstrap", _translated(Path(wrapper), function, opt), *command]


def plain_runtime_command() -> list[str | Path]:
    """The command line of a Python runtime that has no wrapper."""
    # Without -P the folder of the script would come before everything else that can be imported.
    return [sys.executable, "-P", _RUNTIME]


def runtime_variables(
    function: Function,
    given: Mapping[str, str],
    *,
    opt: Path | None,
    temporary: Path,
    runtime_api: str,
    origins: Path | None = None,
    equipment: Equipment = PYTHON,
) -> dict[str, str]:
    """The variables of the runtime.

    Arguments:
        given: the function's, complete but for what only its sandbox knows.
        opt: the merged layers. DIFFERS: they have no fixed place; ``LAMBDA_FREEZER_OPT`` tells where they are.
        temporary: what stands for ``/tmp``.
        runtime_api: ``host:port``.
        origins: a pipe for the lines that open connections; the runtime takes it out again, so nobody else sees it.
        equipment: what the runtime is made of here.
    """
    asked = {ORIGINS: str(origins)} if origins is not None else {}
    return {
        **_of_language(function, opt, equipment),
        **_variables(function, given, opt, temporary, runtime_api, equipment),
        **asked,
    }


def extension_variables(
    function: Function,
    given: Mapping[str, str],
    *,
    opt: Path | None,
    temporary: Path,
    runtime_api: str,
    equipment: Equipment = PYTHON,
) -> dict[str, str]:
    """The variables of an extension; arguments as for the runtime."""
    found = _variables(function, given, opt, temporary, runtime_api, equipment)
    hidden = hidden_from_extensions(found)
    return {name: value for name, value in found.items() if name not in hidden}


# -- command lines -----------------------------------------------------------------------------------------------


def _python(
    _function: Function, _opt: Path | None, _equipment: Equipment, _variables: Mapping[str, str]
) -> list[str | Path]:
    return plain_runtime_command()


def _nodejs(
    function: Function, _opt: Path | None, equipment: Equipment, variables: Mapping[str, str]
) -> list[str | Path]:
    assert equipment.program is not None, "Node.js was looked for"
    memory = function.memory  # [C] a tenth for what is young, in two halves, the rest for what has lived longer
    limits = [f"--max-semi-space-size={memory // 20}", f"--max-old-space-size={memory - memory // 10}"]
    return [
        equipment.program,
        *_inspected(variables),
        "--expose-gc",
        "--max-http-header-size",
        "81920",
        *limits,
        _NODE_MAIN,
    ]


def _inspected(variables: Mapping[str, str]) -> list[str]:
    """What lets a debugger attach to Node.js; for one that is coming it stops at the first line."""
    end = variables.get(DEBUGGER)
    return [] if end is None else [f"--inspect{'-brk' if AWAITS_DEBUGGER in variables else ''}={end}"]


def _java(function: Function, opt: Path | None, equipment: Equipment, variables: Mapping[str, str]) -> list[str | Path]:
    assert equipment.program is not None, "Java was looked for"
    return [
        equipment.program,
        *(f"-XX:MaxHeapSize={function.memory * 85 // 100}m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),  # [X]
        *("-Djava.net.preferIPv4Stack=true", "--add-opens=java.base/java.io=ALL-UNNAMED", "-XX:+ErrorFileToStderr"),
        # Java asks no variable where /tmp is, and would leave its performance data there when it is killed.
        *(f"-Djava.io.tmpdir={variables.get('TMPDIR', '/tmp')}", "-XX:-UsePerfData"),  # noqa: S108 (as Java has it by itself)
        *([f"-D{_JAVA_NATIVE}={equipment.native}"] if equipment.native is not None else []),
        *("-cp", _class_path(function.folder, opt, equipment)),
        _JAVA_MAIN,
        function.handler,
    ]


def _class_path(code: Path, opt: Path | None, equipment: Equipment) -> str:
    """The client first, as on AWS; then the code and its archives, then those of layers [D]."""
    layers = [f"{opt}/java/lib/*"] if opt is not None else []
    return os.pathsep.join([*map(str, equipment.client), str(code), f"{code}/lib/*", *layers])


_Command = Callable[[Function, Path | None, Equipment, Mapping[str, str]], list[str | Path]]
_COMMANDS: Mapping[RuntimeKind, _Command] = {
    RuntimeKind.PYTHON: _python,
    RuntimeKind.NODEJS: _nodejs,
    RuntimeKind.JAVA: _java,
}


def _own(equipment: Equipment, variables: Mapping[str, str]) -> list[str | Path]:
    """A configuration's, with the variables that stand in it."""
    words: list[str | Path] = [Template(word).safe_substitute(variables) for word in equipment.runtime.command]
    if equipment.program is not None:
        words[0] = equipment.program
    return words


# -- variables ---------------------------------------------------------------------------------------------------


def _of_language(function: Function, opt: Path | None, equipment: Equipment) -> dict[str, str]:
    """Where a language finds what layers bring, besides."""
    code = str(function.folder)
    match equipment.runtime:
        case Runtime(kind=RuntimeKind.PYTHON, command=()):
            # For what the runtime starts: it has its own search path from its script.
            return {"PYTHONPATH": os.pathsep.join(search_path(code, str(opt) if opt is not None else "", []))}
        case Runtime(kind=RuntimeKind.NODEJS, version=version, command=()):  # [R] the order
            layers = [f"{opt}/nodejs/node{version}/node_modules", f"{opt}/nodejs/node_modules"] if opt else []
            (client,) = equipment.client
            modules = [str(folder) for folder in client.parents if folder.name == "node_modules"][:1]
            return {"NODE_PATH": os.pathsep.join([*layers, *modules, code]), _NODE_CLIENT: str(client)}
        case _:
            return {}


def _variables(
    function: Function,
    given: Mapping[str, str],
    opt: Path | None,
    temporary: Path,
    runtime_api: str,
    equipment: Equipment,
) -> dict[str, str]:
    code = str(function.folder)
    return {
        "PATH": os.pathsep.join([*_programs(equipment), *([f"{opt}/bin"] if opt is not None else [])]),
        "LANG": LOCALE,
        "TZ": TIME_ZONE,
        "TMPDIR": str(temporary),
        "LAMBDA_TASK_ROOT": code,
        "LAMBDA_RUNTIME_DIR": _runtime_folder(equipment),
        "PWD": code,
        "SHLVL": "0",
        "_HANDLER": function.handler,
        **_libraries(code, opt, equipment),
        **({"LAMBDA_FREEZER_OPT": str(opt)} if opt is not None else {}),
        **given,
        "AWS_LAMBDA_METADATA_API": runtime_api,
        "AWS_LAMBDA_RUNTIME_API": runtime_api,
    }


def _programs(equipment: Equipment) -> Sequence[str]:
    """The interpreter comes first, as on AWS; the emulator's own Python only where it is that."""
    if _is_python(equipment):
        return [PROGRAMS]
    if equipment.program is None or str(equipment.program.parent) in _SYSTEM.split(":"):
        return [_SYSTEM]
    return [str(equipment.program.parent), _SYSTEM]


def _libraries(code: str, opt: Path | None, equipment: Equipment) -> dict[str, str]:
    """[R] Code, its ``lib``, layers; a Python is left without the first two, which nobody there is known to need."""
    own = [] if _is_python(equipment) else [code, f"{code}/lib"]
    folders = [*own, *([f"{opt}/lib"] if opt is not None else [])]
    return {"LD_LIBRARY_PATH": os.pathsep.join(folders)} if folders else {}


def _runtime_folder(equipment: Equipment) -> str:
    if _is_python(equipment):
        return str(Path(sys.prefix))
    match equipment.runtime.kind, equipment.client:
        case ((RuntimeKind.NODEJS | RuntimeKind.JAVA), (client, *_)):
            return str(client.parent)
        case _:
            return _LAMBDA_RUNTIME


def _is_python(equipment: Equipment) -> bool:
    return equipment.runtime.kind is RuntimeKind.PYTHON and not equipment.runtime.command


def _translated(path: Path, function: Function, opt: Path | None) -> Path:
    """Where a file is that a function knows by its place on Lambda."""
    for place, folder in (("/var/task", function.code), ("/opt", opt)):
        if folder is not None and path.is_relative_to(place):
            return folder / path.relative_to(place)
    return path
