"""The images: what each of them is made of."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from standins import clients
from standins.machine import Distribution
from standins.steps import run, scratch_folder

HERE = Path(__file__).resolve().parent.parent
REPOSITORY = HERE.parent
KEYS = ("python", "mysql", "nethelper", "provided", "java", "nodejs", "emulator")

EVERY_IMAGE = ("base-files", "dash", "bash", "coreutils", "libc-bin", "grep", "sed")
# libstdc++6 is for runtimes and their clients, which are partly C++.
WITH_LIBRARIES = (*EVERY_IMAGE, "ca-certificates", "libstdc++6", "tzdata")
WITH_PYTHON = (*WITH_LIBRARIES, "python3")
# What scripts of functions, layers and extensions find on AWS, too.
FOR_FUNCTIONS = ("curl", "findutils", "mawk")


@dataclass(frozen=True, slots=True)
class Image:
    """One image to build.

    key: what `--only` calls it; also its folder below docker/.
    tag: the name the engine knows it by.
    standin: value of the label that tells stand-ins from published images.
    packages: distribution packages of its base image, dependencies not counted.
    inputs: files and folders whose content decides whether the image is stale.
    arguments: what its Dockerfile is told, besides its base.
    shared: files that several images have; they go into the build context, too.
    prepare: fills the build context with what is not in its folder.
    needs: distribution packages that are missing on this machine, without which it cannot be prepared.
    by_default: built when `--only` is not given.
    """

    key: str
    tag: str
    standin: str
    packages: tuple[str, ...]
    inputs: tuple[Path, ...]
    arguments: Mapping[str, str] = field(default_factory=dict)
    shared: tuple[Path, ...] = ()
    prepare: Callable[[Path, Distribution], None] | None = None
    needs: Callable[[], Sequence[str]] = list
    by_default: bool = True


def image_table(distribution: Distribution) -> tuple[Image, ...]:
    """All images that can be made of this distribution, in the order in which they are built."""
    images = [python(distribution), mysql(), nethelper(), provided()]
    if distribution.java:
        images.append(java(distribution.java))
    if distribution.node:  # the last, for its client may just be being compiled by somebody else
        images.append(nodejs(distribution.node))
    return (*images, emulator(distribution))


def python(distribution: Distribution) -> Image:
    """Lambda's Python runtime."""
    return Image(
        key="python",
        tag=f"lambda-freezer/python:{distribution.python}",
        standin=f"python{distribution.python}",
        packages=(*WITH_PYTHON, *FOR_FUNCTIONS),
        inputs=(HERE / "python",),
        arguments={"PYTHON": distribution.python},
        shared=(HERE / "lambda" / "lambda-entrypoint.sh",),
        prepare=install_python_client,
    )


def provided() -> Image:
    """Lambda's OS-only runtime."""
    return Image(
        key="provided",
        tag="lambda-freezer/provided:al2023",
        standin="provided.al2023",
        packages=(*WITH_LIBRARIES, *FOR_FUNCTIONS),
        inputs=(HERE / "provided",),
        shared=(HERE / "lambda" / "lambda-entrypoint.sh",),
    )


def nodejs(version: str) -> Image:
    """Lambda's Node.js runtime."""
    client = clients.client("nodejs")
    return Image(
        key="nodejs",
        tag=f"lambda-freezer/nodejs:{version}",
        standin=f"nodejs{version}.x",
        packages=(*WITH_LIBRARIES, *FOR_FUNCTIONS, "nodejs"),
        inputs=(HERE / "nodejs", *client.inputs),
        arguments={"NODE": version},
        shared=(HERE / "lambda" / "lambda-entrypoint.sh",),
        prepare=copy_nodejs_client,
        needs=client.missing_packages,
    )


def java(version: str) -> Image:
    """Lambda's Java runtime."""
    client = clients.client("java")
    return Image(
        key="java",
        tag=f"lambda-freezer/java:{version}",
        standin=f"java{version}",
        packages=(*WITH_LIBRARIES, *FOR_FUNCTIONS, f"openjdk-{version}-jre-headless"),
        inputs=(HERE / "java", *client.inputs),
        arguments={"JAVA": version},
        shared=(HERE / "lambda" / "lambda-entrypoint.sh",),
        prepare=copy_java_client,
        needs=client.missing_packages,
    )


def mysql() -> Image:
    """A database server."""
    return Image(
        key="mysql",
        tag="lambda-freezer/mysql:mariadb",
        standin="mysql",
        packages=(*EVERY_IMAGE, "mariadb-client-core", "mariadb-server-core", "tzdata"),
        inputs=(HERE / "mysql",),
    )


def nethelper() -> Image:
    """What changes the networks of others."""
    return Image(
        key="nethelper",
        tag="lambda-freezer/nethelper:1",
        standin="nethelper",
        packages=(*EVERY_IMAGE, "iproute2"),
        inputs=(HERE / "nethelper",),
    )


def emulator(distribution: Distribution) -> Image:
    """The emulator itself."""
    return Image(
        key="emulator",
        tag="lambda-freezer/emulator:local",
        standin="emulator",
        packages=(*WITH_PYTHON, "iproute2", "util-linux"),
        inputs=(
            HERE / "emulator",
            REPOSITORY / "pyproject.toml",
            REPOSITORY / "requirements.lock",
            REPOSITORY / "emulator",
        ),
        arguments={"PYTHON": distribution.python},
        prepare=install_emulator,
        by_default=False,
    )


def install_wheels(target: Path, distribution: Distribution, arguments: Sequence[str | Path]) -> None:
    """Install wheels for the image's Python into a folder, on this machine, where there is network."""
    command = ["uv", "pip", "install", "--quiet", "--only-binary", ":all:", "--link-mode", "copy"]
    command += ["--python", sys.executable, "--python-version", distribution.python]
    run("Installing wheels", [*command, "--target", target, *arguments])
    (target / ".lock").unlink(missing_ok=True)
    shutil.rmtree(target / "bin", ignore_errors=True)


def install_python_client(context: Path, distribution: Distribution) -> None:
    """Put the Python runtime interface client of the lock file into the build context."""
    lock = HERE / "python" / "requirements.lock"
    install_wheels(context / "site", distribution, ["--require-hashes", "-r", lock])


def copy_nodejs_client(context: Path, distribution: Distribution) -> None:
    """Put the runtime client of Node.js into the build context."""
    place = clients.install(clients.client("nodejs"))
    shutil.copytree(place / "node_modules", context / "node_modules")


def copy_java_client(context: Path, distribution: Distribution) -> None:
    """Put the runtime client of Java into the build context, with its native part for this machine."""
    place = clients.install(clients.client("java"))
    library = context / "lib"
    library.mkdir()
    for file in place.glob("*.jar"):
        shutil.copy(file, library)
    shutil.copy(clients.java_native_part(place), library / "libaws-lambda-jni.so")


def install_emulator(context: Path, distribution: Distribution) -> None:
    """Put the emulator, built from this repository, and what it needs at run time into the build context."""
    with scratch_folder() as dist:
        run(
            "Building the emulator's wheel",
            ["uv", "build", "--quiet", "--wheel", "--out-dir", dist, REPOSITORY],
        )
        (wheel,) = dist.glob("*.whl")
        install_wheels(context / "wheels", distribution, ["--constraint", REPOSITORY / "requirements.lock", wheel])
