"""Building images: whether the engine has one already, and how it is made."""

from __future__ import annotations

import contextlib
import hashlib
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from standins import machine, root, steps
from standins.machine import Distribution
from standins.steps import BuildError, run, scratch_folder, step
from standins.table import HERE, REPOSITORY, Image

INPUTS_LABEL = "lambda-freezer.inputs"
STANDIN_LABEL = "lambda-freezer.standin"


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
    parts = [base_inputs(image, distribution), *image.arguments.values()]
    programs = [HERE / "standins" / name for name in ("images.py", "table.py")]
    return hash_of(parts, [*programs, *image.inputs, *image.shared])


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
        for file in image.shared:
            shutil.copy(file, context)
        if image.prepare is not None:
            with step(image.key, "gather what goes into it"):
                image.prepare(context, distribution)
        make_readable(context)
        with step(image.key, f"build {image.tag}"):
            run(f"Building {image.tag}", [*build_command(image, distribution), context])
    print(f"{image.key:<10} {image.tag} is ready ({megabytes(image.tag)})", flush=True)


def build_command(image: Image, distribution: Distribution) -> list[str]:
    """The engine's build command, but for the context."""
    arguments = {"BASE": base_tag(image, distribution), **image.arguments}
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
    """Build what is missing or stale, say so in one line where nothing is to do; the worst exit status of them all."""
    return max((build_one(image, distribution, force=force) for image in images), default=0)


def build_one(image: Image, distribution: Distribution, *, force: bool) -> int:
    """Have one image there; its exit status. A failure is told, and does not keep others from being built."""
    if not force and is_current(image, distribution):
        print(f"{image.key:<10} {image.tag} is up to date", flush=True)
        return 0
    machine.demand_build_tools()
    if missing := image.needs():
        cure = f"on Debian and Ubuntu: apt-get install {' '.join(missing)}"
        print(f"{image.key:<10} {image.tag} needs what is not installed here; {cure}", file=sys.stderr, flush=True)
        return 2
    try:
        with steps.only_one_at_a_time():
            if not force and is_current(image, distribution):
                print(f"{image.key:<10} {image.tag} has just been built by another run", flush=True)
            else:
                build_image(image, distribution, force=force)
    except (BuildError, OSError) as error:
        print(f"{image.key:<10} {error}", file=sys.stderr, flush=True)
        return 1
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
