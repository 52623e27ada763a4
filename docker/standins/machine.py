"""What this machine offers: its distribution, its package sources, the programs that building needs."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


class MachineError(Exception):
    """This machine lacks something. The message names it and the cure."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """What is known about the distribution that runs here: `bookworm`, `Debian GNU/Linux 12`, `3.11`.

    node, java: versions as `18` and `17`, or nothing where they are not offered.
    """

    identifier: str
    codename: str
    name: str
    python: str
    node: str
    java: str


def read_distribution() -> Distribution:
    """The distribution of this machine.

    Raises MachineError where it is not Debian, Ubuntu or one of their children.
    """
    release = platform.freedesktop_os_release()
    family = f"{release.get('ID', '')} {release.get('ID_LIKE', '')}".split()
    name = release.get("PRETTY_NAME", "this system")
    if not {"debian", "ubuntu"} & set(family) or "VERSION_CODENAME" not in release:
        raise MachineError(
            f"Stand-in images are made from Debian or Ubuntu packages, not from {name}; use published images."
        )
    # Another vendor's `nodejs` may hide the distribution's own, which comes with this library.
    node, java = offered("libnode-dev", r"(\d+)\."), offered("default-jre-headless", r"1\.(\d+)")
    return Distribution(release["ID"], release["VERSION_CODENAME"], name, distribution_python(), node, java)


def distribution_python() -> str:
    """Version `3.X` of the distribution's `python3` package, which need not be installed."""
    with contextlib.suppress(OSError):
        found = re.fullmatch(r"python(3\.\d+)", Path("/usr/bin/python3").readlink().name)
        if found:
            return found[1]
    if found := offered("python3", r"(3\.\d+)"):
        return found
    raise MachineError("The package sources of this machine offer no python3; run `apt-get update` and try again.")


def offered(package: str, version: str) -> str:
    """The version of a package that this machine's sources offer, as far as a pattern's group has it; or nothing."""
    policy = subprocess.run(["apt-cache", "policy", package], capture_output=True, text=True, check=False)
    found = re.search(rf"Candidate: (?:\d+:)?{version}", policy.stdout)
    return found[1] if found else ""


def demand_engine() -> None:
    """Raises MachineError where no container engine answers."""
    if not shutil.which("docker"):
        raise MachineError("The command `docker` is missing; install Docker's client and engine (package docker.io).")
    try:
        answer = subprocess.run(
            ["docker", "version", "--format", "{{.Server.Version}}"],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise MachineError("The Docker engine did not answer within 20 s; restart it and try again.") from None
    if "permission denied" in answer.stderr:
        raise MachineError("The Docker engine refuses this user; run this with sudo.")
    if answer.returncode:
        raise MachineError("The Docker engine does not answer; start it (`systemctl start docker`, or `dockerd`).")


def demand_build_tools() -> None:
    """Raises MachineError where something is missing that only building needs."""
    if os.geteuid() != 0:
        raise MachineError("Unpacking packages with their owners needs root; run this with sudo.")
    if not shutil.which("mmdebstrap"):
        raise MachineError("The command `mmdebstrap` is missing; run `apt-get install mmdebstrap`.")
    if not shutil.which("uv"):
        raise MachineError("The command `uv` is missing; install it (for example `pip install uv`) and put it on PATH.")


def package_sources(distribution: Distribution) -> list[str]:
    """This machine's own package sources of its own distribution, as one-line `deb` entries.

    Further sources a machine may have (other vendors, backports) are left out: an image needs none of them.

    Raises MachineError where none is found.
    """
    entries = [entry for file in source_files() for entry in source_entries(file)]
    ours = [entry for entry in entries if is_own_source(entry, distribution)]
    if not ours:
        raise MachineError(
            f"No package source of {distribution.codename} is named below /etc/apt; add one, or use published images."
        )
    return ours


def source_files() -> list[Path]:
    """The files in which apt looks for package sources."""
    folder = Path("/etc/apt/sources.list.d")
    found = [Path("/etc/apt/sources.list"), *sorted(folder.glob("*.list")), *sorted(folder.glob("*.sources"))]
    return [file for file in found if file.is_file()]


def source_entries(file: Path) -> Iterator[str]:
    """All `deb` entries of one file of either format, each as one line."""
    text = re.sub(r"^#.*\n?", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    if file.suffix != ".sources":
        yield from (line.partition(" #")[0].strip() for line in text.splitlines() if line.startswith("deb "))
        return
    for paragraph in re.split(r"\n\s*\n", text):
        pairs = re.findall(r"^([\w-]+):((?:.*)(?:\n[ \t].*)*)", paragraph, flags=re.MULTILINE)
        fields = {name.lower(): " ".join(value.split()) for name, value in pairs}
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes") == "no":
            continue
        kept = ("signed-by", "trusted", "check-valid-until")
        options = " ".join(f"{name}={fields[name]}" for name in kept if name in fields)
        prefix = f"deb [{options}]" if options else "deb"
        for uri in fields["uris"].split():
            for suite in fields["suites"].split():
                yield f"{prefix} {first_mirror(uri)} {suite} {fields.get('components', '')}".strip()


def first_mirror(uri: str) -> str:
    """The uri itself, or the first line of the list of mirrors it names on this machine."""
    if not uri.startswith("mirror+file:"):
        return uri
    lines = Path(uri.removeprefix("mirror+file:")).read_text(encoding="utf-8").split("\n")
    return next((line.split()[0] for line in lines if line.strip() and not line.startswith("#")), uri)


def is_own_source(entry: str, distribution: Distribution) -> bool:
    """Whether an entry is a main source of this very release; if it names a signer, the distribution."""
    found = re.fullmatch(r"deb (?:\[(?P<options>.*)\] )?(?P<uri>\S+) (?P<suite>\S+) (?P<components>.+)", entry)
    if not found or "main" not in found["components"].split():
        return False
    signer = re.search(r"signed-by=(\S+)", found["options"] or "")
    if signer and "archive-keyring" not in signer[1]:
        return False
    return found["suite"] in {distribution.codename + tail for tail in ("", "-updates", "-security")}


def download_options() -> str:
    """This machine's apt settings that decide how packages are fetched: proxies, retries, checks of dates."""
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True).stdout
    wanted = re.compile(r'Acquire::(https?::.+|Retries|Check-Valid-Until|Check-Date) "[^"]+";')
    ours = [line for line in dump.splitlines() if wanted.fullmatch(line)]
    return "\n".join(['Acquire::Retries "3";', *ours, ""])
