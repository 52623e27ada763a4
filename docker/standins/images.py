"""The images: what each is made of, whether the engine has it already, and how it is built."""

from __future__ import annotations

import contextlib
import hashlib
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from standins import machine, root, steps
from standins.machine import Distribution
from standins.steps import run, scratch_folder, step

HERE = Path(__file__).resolve().parent.parent
REPOSITORY = HERE.parent
INPUTS_LABEL = "lambda-freezer.inputs"
STANDIN_LABEL = "lambda-freezer.standin"

EVERY_IMAGE = ("base-files", "dash", "bash", "coreutils", "libc-bin", "grep", "sed")
# libstdc++6 is for the runtime client, which is partly C++.
WITH_PYTHON = (*EVERY_IMAGE, "ca-certificates", "libstdc++6", "python3", "tzdata")


@dataclass(frozen=True, slots=True)
class Image:
    """One image to build.

    key: what `--only` calls it; also its folder below docker/.
    tag: the name the engine knows it by.
    standin: value of the label that tells stand-ins from published images.
    packages: distribution packages of its base image, dependencies not counted.
    inputs: files and folders whose content decides whether the image is stale.
    prepare: fills the build context with what is not in its folder.
    by_default: built when `--only` is not given.
    """

    key: str
    tag: str
    standin: str
    packages: tuple[str, ...]
    inputs: tuple[Path, ...]
    prepare: Callable[[Path, Distribution], None] | None = None
    by_default: bool = True


def image_table(distribution: Distribution) -> tuple[Image, ...]:
    """All images, in the order in which they are built."""
    return (
        Image(
            key="python",
            tag=f"lambda-freezer/python:{distribution.python}",
            standin=f"python{distribution.python}",
            packages=(*WITH_PYTHON, "curl", "findutils", "mawk"),
            inputs=(HERE / "python",),
            prepare=install_runtime_client,
        ),
        Image(
            key="mysql",
            tag="lambda-freezer/mysql:mariadb",
            standin="mysql",
            packages=(*EVERY_IMAGE, "mariadb-client-core", "mariadb-server-core", "tzdata"),
            inputs=(HERE / "mysql",),
        ),
        Image(
            key="nethelper",
            tag="lambda-freezer/nethelper:1",
            standin="nethelper",
            packages=(*EVERY_IMAGE, "iproute2"),
            inputs=(HERE / "nethelper",),
        ),
        Image(
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
            prepare=install_emulator,
            by_default=False,
        ),
    )


def install_wheels(target: Path, distribution: Distribution, arguments: Sequence[str | Path]) -> None:
    """Install wheels for the image's Python into a folder, on this machine, where there is network."""
    command = ["uv", "pip", "install", "--quiet", "--only-binary", ":all:", "--link-mode", "copy"]
    command += ["--python", sys.executable, "--python-version", distribution.python]
    run("Installing wheels", [*command, "--target", target, *arguments])
    (target / ".lock").unlink(missing_ok=True)
    shutil.rmtree(target / "bin", ignore_errors=True)


def install_runtime_client(context: Path, distribution: Distribution) -> None:
    """Put the Python runtime interface client of the lock file into the build context."""
    lock = HERE / "python" / "requirements.lock"
    install_wheels(context / "site", distribution, ["--require-hashes", "-r", lock])


def install_emulator(context: Path, distribution: Distribution) -> None:
    """Put the emulator, built from this repository, and what it needs at run time into the build context."""
    with scratch_folder() as dist:
        run(
            "Building the emulator's wheel",
            ["uv", "build", "--quiet", "--wheel", "--out-dir", dist, REPOSITORY],
        )
        (wheel,) = dist.glob("*.whl")
        install_wheels(context / "wheels", distribution, ["--constraint", REPOSITORY / "requirements.lock", wheel])


def base_tag(image: Image, distribution: Distribution) -> str:
    """Name of an image's base image."""
    return f"lambda-freezer/base:{distribution.codename}-{image.standin}"


def hash_of(parts: Sequence[str], paths: Sequence[Path]) -> str:
    """One short hash over strings and over the names, modes and bytes of files."""
    digest = hashlib.sha256("\0".join(parts).encode())
    files = [file for path in paths for file in (sorted(path.rglob("*")) if path.is_dir() else [path])]
    for file in files:
        if file.is_file() and "__pycache__" not in file.parts:
            digest.update(f"\0{file.relative_to(REPOSITORY)}\0{file.stat().st_mode & 0o111:o}\0".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:20]


def base_inputs(image: Image, distribution: Distribution) -> str:
    """Hash over everything that decides what is in an image's base image."""
    parts = [platform.machine(), distribution.identifier, distribution.codename, *image.packages]
    return hash_of(parts, [HERE / "standins" / "machine.py", HERE / "standins" / "root.py"])


def image_inputs(image: Image, distribution: Distribution) -> str:
    """Hash over everything that decides what is in an image."""
    parts = [base_inputs(image, distribution), distribution.python]
    return hash_of(parts, [HERE / "standins" / "images.py", *image.inputs])


def inspect(tag: str, what: str) -> str:
    """One property of an image the engine has, or nothing."""
    answer = subprocess.run(
        ["docker", "image", "inspect", "--format", what, tag], capture_output=True, text=True, check=False
    )
    return answer.stdout.strip()


def known_inputs(tag: str) -> str:
    """The hash an existing image carries, or nothing."""
    return inspect(tag, f'{{{{index .Config.Labels "{INPUTS_LABEL}"}}}}')


def megabytes(tag: str) -> str:
    """Size of an image the engine has, for people."""
    return f"{int(inspect(tag, '{{.Size}}') or 0) / 1e6:.0f} MB"


@contextlib.contextmanager
def replaced(tag: str) -> Iterator[None]:
    """Remove the image a tag named before, unless something still uses it."""
    before = inspect(tag, "{{.Id}}")
    yield
    if before and before != inspect(tag, "{{.Id}}"):
        subprocess.run(["docker", "image", "rm", before], capture_output=True, check=False)


def build_base(image: Image, distribution: Distribution) -> None:
    """Make an image's base image from distribution packages."""
    tag = base_tag(image, distribution)
    with scratch_folder() as scratch:
        folder = scratch / "root"
        with step(image.key, f"unpack packages of {distribution.name}"):
            root.unpack_packages(folder, image.packages, distribution)
        with step(image.key, "drop what no container needs, compile, link"):
            root.finish_root(folder)
        with step(image.key, f"import {tag}"):
            label = f"{INPUTS_LABEL}={base_inputs(image, distribution)}"
            root.import_root(folder, tag, label)


def build_image(image: Image, distribution: Distribution, *, force: bool) -> None:
    """Make an image, and its base image first where that is stale."""
    base = base_tag(image, distribution)
    with replaced(base), replaced(image.tag), scratch_folder() as scratch:
        if force or known_inputs(base) != base_inputs(image, distribution):
            build_base(image, distribution)
        context = scratch / "context"
        shutil.copytree(HERE / image.key, context)
        if image.prepare is not None:
            with step(image.key, "install wheels"):
                image.prepare(context, distribution)
        make_readable(context)
        with step(image.key, f"build {image.tag}"):
            run(f"Building {image.tag}", [*build_command(image, distribution), context])
    print(f"{image.key:<10} {image.tag} is ready ({megabytes(image.tag)})", flush=True)


def build_command(image: Image, distribution: Distribution) -> list[str]:
    """The engine's build command, but for the context."""
    arguments = {"BASE": base_tag(image, distribution), "PYTHON": distribution.python}
    labels = {INPUTS_LABEL: image_inputs(image, distribution), STANDIN_LABEL: image.standin}
    command = ["docker", "build", "--force-rm", "--network", "none", "--tag", image.tag]
    command += [part for name, value in arguments.items() for part in ("--build-arg", f"{name}={value}")]
    command += [part for name, value in labels.items() for part in ("--label", f"{name}={value}")]
    return command


def make_readable(context: Path) -> None:
    """Let any user read what goes into an image, whatever umask this repository was checked out with."""
    for path in context.rglob("*"):
        runnable = path.is_dir() or path.stat().st_mode & 0o100
        path.chmod(0o755 if runnable else 0o644)


def build(images: Sequence[Image], distribution: Distribution, *, force: bool) -> int:
    """Build what is missing or stale; say so in one line where nothing is to do."""
    for image in images:
        if not force and is_current(image, distribution):
            print(f"{image.key:<10} {image.tag} is up to date", flush=True)
            continue
        machine.demand_build_tools()
        with steps.only_one_at_a_time():
            if not force and is_current(image, distribution):
                print(f"{image.key:<10} {image.tag} has just been built by another run", flush=True)
                continue
            build_image(image, distribution, force=force)
    return 0


def is_current(image: Image, distribution: Distribution) -> bool:
    """Whether the engine has this image, made from exactly these inputs."""
    return known_inputs(image.tag) == image_inputs(image, distribution)


def check(images: Sequence[Image], distribution: Distribution) -> int:
    """Say which images are there; 1 where one is missing or stale."""
    status = 0
    for image in images:
        if is_current(image, distribution):
            state = "up to date"
        else:
            status = 1
            present = inspect(image.tag, "{{.Id}}")
            state = "stale: an input has changed since it was built" if present else "missing"
        print(f"{image.key:<10} {image.tag} is {state}")
    return status
