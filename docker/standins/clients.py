"""The public runtime clients of Node.js and Java: fetched by npm and Maven, as locked, and made ready to run.

Process sandboxes run them from a folder, and the images of these runtimes get a copy of it:

    nodejs/index.mjs                                   serves the handler named by _HANDLER
    nodejs/node_modules/aws-lambda-ric/                what of the package is needed at run time
    java/*.jar                                         all of them belong on the class path
    java/jni/libaws-lambda-jni.linux-ARCHITECTURE.so   what the client would unpack to /tmp, over that of others
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from standins.steps import BuildError, run, scratch_folder, step

HERE = Path(__file__).resolve().parent.parent
REPOSITORY = HERE.parent
DEFAULT_FOLDER = REPOSITORY / ".cache" / "runtimes"
STAMP = ".lambda-freezer-inputs"

MAVEN_COPY = "org.apache.maven.plugins:maven-dependency-plugin:2.8:copy-dependencies"
JAVA_CLIENT = "aws-lambda-java-runtime-interface-client-*.jar"


@dataclass(frozen=True, slots=True)
class Client:
    """A runtime client that is fetched from a package registry.

    key: its folder, below docker/ and in the result.
    programs: what fetching and building it needs, and the distribution package of each.
    sources: files of its folder that go into it.
    build: gets that folder, a scratch folder, and the new one to fill.
    """

    key: str
    programs: Mapping[str, str]
    sources: tuple[str, ...]
    build: Callable[[Path, Path, Path], None]

    @property
    def inputs(self) -> tuple[Path, ...]:
        """Every file whose content decides what the client is."""
        return (Path(__file__), *(HERE / self.key / name for name in self.sources))

    def missing_packages(self) -> list[str]:
        """Distribution packages that have to be installed before it can be built."""
        return sorted({package for program, package in self.programs.items() if not shutil.which(program)})


def build_nodejs(source: Path, scratch: Path, result: Path) -> None:
    """Install the locked npm package; its own scripts compile the part of it that is C++."""
    for name in ("package.json", "package-lock.json"):
        shutil.copy(source / name, scratch)
    command = ["npm", "ci", "--prefix", scratch, "--foreground-scripts", "--no-audit", "--no-fund", "--no-progress"]
    # Its makefiles are written for one processor; headers of Node.js that this machine has need not be downloaded.
    settings = {"MAKEFLAGS": f"-j{os.cpu_count() or 1}"} | node_headers()
    run("Installing aws-lambda-ric", ["env", *(f"{name}={value}" for name, value in settings.items()), *command])
    package, kept = scratch / "node_modules" / "aws-lambda-ric", result / "node_modules" / "aws-lambda-ric"
    kept.mkdir(parents=True)
    for name in ("bin", "dist"):
        shutil.copytree(package / name, kept / name)
    for name in ("package.json", "LICENSE", "NOTICE", "THIRD-PARTY-LICENSES"):
        shutil.copy(package / name, kept)
    shutil.copy(source / "index.mjs", result)
    check = ["env", "AWS_LAMBDA_RUNTIME_API=127.0.0.1:9", "node", "--eval", "require(process.argv[1])"]
    run("Loading aws-lambda-ric", [*check, kept / "dist" / "rapid-client.node"])


def node_headers() -> dict[str, str]:
    """The setting by which a build finds the headers of this machine's Node.js; without it they are downloaded."""
    node = shutil.which("node")
    prefix = Path(node).resolve().parent.parent if node else Path("/usr")
    return {"npm_config_nodedir": str(prefix)} if (prefix / "include/node/node_api.h").is_file() else {}


def build_java(source: Path, scratch: Path, result: Path) -> None:
    """Fetch the jar files, compare them with their checksums, and unpack the native part."""
    shutil.copy(source / "pom.xml", scratch)
    command = ["mvn", "--batch-mode", "--quiet", "--strict-checksums", "--file", scratch / "pom.xml", MAVEN_COPY]
    run("Fetching the runtime client", [*command, f"-DoutputDirectory={result}", "-DincludeScope=runtime"])
    lines = (source / "checksums.txt").read_text(encoding="utf-8").splitlines()
    wanted = {name: checksum for checksum, name in (line.split() for line in lines)}
    found = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in result.iterdir()}
    if wanted != found:
        differing = ", ".join(sorted({name for name, _ in wanted.items() ^ found.items()}))
        raise BuildError(f"What Maven fetched is not what docker/java/checksums.txt says: {differing}")
    (jar,) = result.glob(JAVA_CLIENT)
    with zipfile.ZipFile(jar) as archive:
        archive.extractall(
            result, [name for name in archive.namelist() if name.startswith("jni/libaws-lambda-jni.linux-")]
        )


def java_native_part(place: Path) -> Path:
    """The one that fits this machine."""
    architecture = {"aarch64": "aarch_64"}.get(platform.machine(), platform.machine())
    return place / "jni" / f"libaws-lambda-jni.linux-{architecture}.so"


CLIENTS = (
    Client(
        key="nodejs",
        programs={
            "node": "nodejs",
            "npm": "npm",
            "python3": "python3",
            "autoconf": "autoconf",
            "automake": "automake",
            "libtoolize": "libtool",
            "cmake": "cmake",
            "make": "make",
            "g++": "g++",
        },
        sources=("package.json", "package-lock.json", "index.mjs"),
        build=build_nodejs,
    ),
    Client(
        key="java",
        programs={"java": "default-jre-headless", "mvn": "maven"},
        sources=("pom.xml", "checksums.txt"),
        build=build_java,
    ),
)


def client(key: str) -> Client:
    """The client of a runtime."""
    return next(known for known in CLIENTS if known.key == key)


def stamp(wanted: Client) -> str:
    """One hash over all that decides what a client is, on this machine."""
    digest = hashlib.sha256(platform.machine().encode())
    for file in wanted.inputs:
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:20]


def is_current(wanted: Client, into: Path) -> bool:
    """Whether a folder has this client, made from exactly these inputs."""
    file = into / wanted.key / STAMP
    return file.is_file() and file.read_text(encoding="utf-8") == stamp(wanted)


def install(wanted: Client, into: Path = DEFAULT_FOLDER, *, force: bool = False) -> Path:
    """Put a client into its folder below ``into``, unless it is there; an old one serves until the new one is whole."""
    place = into / wanted.key
    with one_at_a_time(into, wanted.key):
        if is_current(wanted, into) and not force:
            return place
        with step(wanted.key, "fetch and build the runtime client"), scratch_folder(into) as scratch:
            new, work = scratch / "new", scratch / "work"
            new.mkdir()
            work.mkdir()
            wanted.build(HERE / wanted.key, work, new)
            (new / STAMP).write_text(stamp(wanted), encoding="utf-8")
            give_to_owner_of(into, new, *new.rglob("*"))
            if place.exists():
                place.rename(scratch / "old")
            new.rename(place)
    return place


@contextmanager
def one_at_a_time(folder: Path, key: str) -> Iterator[None]:
    """Wait until no other run makes this client in this folder."""
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f".{key}.lock"
    with file.open("w") as lock:
        give_to_owner_of(made[-1].parent if made else folder, file, *made)
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def give_to_owner_of(example: Path, *paths: Path) -> None:
    """Where root builds in a folder of somebody else, what is made belongs to that one."""
    if os.geteuid() == 0:
        owner = example.stat()
        for path in paths:
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
