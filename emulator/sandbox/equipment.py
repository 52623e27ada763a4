"""What a process of a runtime is made of on this machine: the interpreter, and AWS's public client for it.

AWS's clients for Node.js and Java are looked for in the function's own package, then in the folders of
:func:`client_folders`. What is missing is told in one sentence, with the command that installs it.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from emulator.errors import RuntimeNotFoundError
from emulator.model import Function
from emulator.runtimes import Runtime, RuntimeKind

__all__ = [
    "JAVA_CLIENT",
    "NODE_CLIENT",
    "RUNTIMES",
    "Equipment",
    "client_folders",
    "equip",
    "unpack_native",
    "version_of",
]

RUNTIMES = "LAMBDA_FREEZER_RUNTIMES"
"""The variable that names a folder with ``nodejs`` and ``java``."""
NODE_CLIENT = "aws-lambda-ric"
JAVA_CLIENT = "aws-lambda-java-runtime-interface-client"

_CACHE = "~/.cache/lambda-freezer/runtimes"
_CHECKOUT = Path(__file__).resolve().parents[2]
_PROGRAMS = f"{os.defpath}:/usr/local/bin"
_NATIVE, _NATIVE_FOLDERS = "rapid-client.node", ("dist", ".", "build/Release")
_NUMBER = re.compile(r"\d+")
_PATIENCE = 20.0  # seconds; a Java starts slowly on a busy machine


@dataclass(frozen=True, slots=True)
class Equipment:
    """What was found.

    Attributes:
        program: the interpreter; ``None`` where it is the emulator's own Python, or the function brings the program.
        client: AWS's client: the module of Node.js; the archives of Java, none where the package has them.
        archive: the one of Java's archives that has a native part.
        native: where that was unpacked.
    """

    runtime: Runtime
    program: Path | None = None
    client: tuple[Path, ...] = ()
    archive: Path | None = None
    native: Path | None = None

    @property
    def brings_bootstrap(self) -> bool:
        """The function does."""
        return self.runtime.kind is RuntimeKind.PROVIDED and not self.runtime.command


def client_folders(variables: Mapping[str, str] | None = None, checkout: Path = _CHECKOUT) -> list[Path]:
    """Where AWS's clients may be, in this order: what the variable names, the user's cache, that of a checkout.

    Arguments:
        variables: the emulator's own; by default those of this process.
        checkout: the folder of the project, if it is one.
    """
    variables = os.environ if variables is None else variables
    cache = Path(variables["XDG_CACHE_HOME"]) if variables.get("XDG_CACHE_HOME") else None
    folders = [Path(variables[RUNTIMES])] if variables.get(RUNTIMES) else []
    folders.append(cache / "lambda-freezer/runtimes" if cache is not None else Path(os.path.expanduser(_CACHE)))  # noqa: PTH111 (never raises)
    if (checkout / "dev").is_file():
        folders.append(checkout / ".cache/runtimes")
    return folders


def equip(runtime: Runtime, function: Function | None = None, folders: Sequence[Path] | None = None) -> Equipment:
    """Find what a process of this runtime needs.

    Arguments:
        function: whose own package may have AWS's client.
        folders: where it is looked for else; by default those of this machine.

    Raises:
        RuntimeNotFoundError: something is missing, with the command that installs it; or it runs in containers only.
    """
    where = f"function {function.name}: " if function is not None else ""
    if runtime.command:
        return _own(runtime, where)
    search = _SEARCHES.get(runtime.kind)
    if search is None:
        raise RuntimeNotFoundError(
            f"{where}there is no command for a process of the runtime {runtime.name}",
            cure=f'Use containers: sandbox = "container"; or say its command in [runtimes.{_quoted(runtime.name)}].',
        )
    package = function.code if function is not None else None
    return search(runtime, where, package, client_folders() if folders is None else folders)


def unpack_native(archive: Path, place: Path) -> Path | None:
    """Unpack the native part of Java's client for this machine into a file; ``None`` where it has none.

    The client would unpack it into ``/tmp`` itself, under a name that is the same for all, at every start.
    """
    system = "linux" if platform.libc_ver()[0] == "glibc" else "linux_musl"
    machine = platform.machine().replace("aarch64", "aarch_64")
    try:
        with zipfile.ZipFile(archive) as opened:
            place.write_bytes(opened.read(f"jni/libaws-lambda-jni.{system}-{machine}.so"))
    except (OSError, KeyError, zipfile.BadZipFile):
        return None
    return place


def version_of(program: Path) -> str:
    """The main number of an interpreter's version, as ``20``; empty where it does not say."""
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=_PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = _NUMBER.search(said.stdout or said.stderr)
    return found[0] if found is not None else ""


def _own(runtime: Runtime, where: str) -> Equipment:
    """One with a path is the function's own, perhaps, and looked for when it is to be started."""
    program = runtime.command[0]
    if "/" in program or "$" in program:
        return Equipment(runtime)
    found = _which(program)
    if found is None:
        raise RuntimeNotFoundError(
            f"{where}the runtime {runtime.name} needs the program {program}, which is not in PATH",
            cure=f"Install it, or say where it is: command in [runtimes.{_quoted(runtime.name)}].",
        )
    return Equipment(runtime, found)


def _none(runtime: Runtime, _where: str, _package: Path | None, _folders: Sequence[Path]) -> Equipment:
    return Equipment(runtime)


def _nodejs(runtime: Runtime, where: str, package: Path | None, folders: Sequence[Path]) -> Equipment:
    node = _which("node")
    if node is None:
        raise RuntimeNotFoundError(
            f"{where}{runtime.name} needs Node.js, and there is no node in PATH",
            cure="Install it: sudo apt-get install nodejs",
        )
    places = [folder / "nodejs" for folder in folders]
    for place in [package, *places] if package is not None else places:
        client = place / "node_modules" / NODE_CLIENT
        main = _main_of(client)
        if main is None:
            continue
        if not any((client / folder / _NATIVE).is_file() for folder in _NATIVE_FOLDERS):
            raise RuntimeNotFoundError(
                f"{where}{client} was installed without its native part",
                cure=f"Have it built: npm rebuild --prefix {place} --foreground-scripts {NODE_CLIENT}",
            )
        return Equipment(runtime, node, (main,))
    raise RuntimeNotFoundError(
        f"{where}{runtime.name} needs AWS's runtime client for Node.js, {NODE_CLIENT}",
        cure=f"Install it: {_or_setup(f'npm install --prefix {_users_cache()}/nodejs {NODE_CLIENT}')}",
    )


def _java(runtime: Runtime, where: str, package: Path | None, folders: Sequence[Path]) -> Equipment:
    java = _which("java")
    if java is None:
        raise RuntimeNotFoundError(
            f"{where}{runtime.name} needs Java, and there is no java in PATH",
            cure="Install it: sudo apt-get install default-jre-headless",
        )
    if package is not None and (archive := _java_client(package / "lib")) is not None:
        return Equipment(runtime, java, archive=archive)
    for folder in folders:
        if (archive := _java_client(folder / "java")) is not None:
            return Equipment(runtime, java, tuple(sorted((folder / "java").glob("*.jar"))), archive)
    raise RuntimeNotFoundError(
        f"{where}{runtime.name} needs AWS's runtime client for Java, {JAVA_CLIENT}",
        cure=f"Install it: {_or_setup(_maven())}",
    )


def _java_client(folder: Path) -> Path | None:
    return next(iter(sorted(folder.glob(f"{JAVA_CLIENT}-*.jar"), reverse=True)), None)


_SEARCHES: Mapping[RuntimeKind, Callable[[Runtime, str, Path | None, Sequence[Path]], Equipment]] = {
    RuntimeKind.PYTHON: _none,  # the emulator's own, and its client came with the emulator
    RuntimeKind.PROVIDED: _none,
    RuntimeKind.NODEJS: _nodejs,
    RuntimeKind.JAVA: _java,
}
_JARS = (
    f"com.amazonaws:{JAVA_CLIENT}:2.9.0 com.amazonaws:aws-lambda-java-core:1.4.0 "
    "com.amazonaws:aws-lambda-java-serialization:1.2.0 software.amazon.awssdk:utils-lite:2.34.0"
)


def _maven() -> str:
    place = _users_cache().replace("~", "$HOME")
    return f"for jar in {_JARS}; do mvn -q dependency:copy -Dartifact=$jar -DoutputDirectory={place}/java; done"


def _users_cache() -> str:
    """As a command says it: that is where :func:`client_folders` looks."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return f"{cache}/lambda-freezer/runtimes" if cache else _CACHE


def _or_setup(command: str) -> str:
    return f"./dev setup, or {command}" if (_CHECKOUT / "dev").is_file() else command


def _quoted(name: str) -> str:
    return f'"{name}"' if "." in name else name


def _which(program: str) -> Path | None:
    found = shutil.which(program) or shutil.which(program, path=_PROGRAMS)
    return Path(found) if found is not None else None


def _main_of(client: Path) -> Path | None:
    """The main module of an npm package: its place is another in each main version."""
    try:
        main = json.loads((client / "package.json").read_bytes()).get("main")
    except (OSError, ValueError, AttributeError):
        return None
    found = client / main if isinstance(main, str) else None
    return found if found is not None and found.is_file() else None
