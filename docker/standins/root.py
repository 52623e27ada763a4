"""A root file system from distribution packages, with nothing in it that a container does not need."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from standins.machine import Distribution, download_options, package_sources
from standins.steps import run

# Unpacked as dependencies, or as parts of packages, and never used in a container that installs nothing.
UNUSED_FILES = (
    "dev/*",
    "etc/apt",
    "etc/dpkg",
    "usr/bin/*perl*",
    "usr/bin/apt*",
    "usr/bin/deb*",
    "usr/bin/dpkg*",
    "usr/bin/tar",
    "usr/include",
    "usr/lib/*/gconv",
    "usr/lib/*/perl*",
    "usr/lib/dpkg",
    "usr/lib/jvm/java-[1-9][0-9]-*/lib/ct.sym",
    "usr/lib/python3*/ensurepip",
    "usr/lib/python3*/idlelib",
    "usr/lib/python3*/pydoc_data",
    "usr/lib/python3*/test",
    "usr/lib/python3*/tkinter",
    "usr/lib/python3*/turtledemo",
    "usr/sbin/dpkg*",
    "usr/share/bash-completion",
    "usr/share/bug",
    "usr/share/debconf",
    "usr/share/doc",
    "usr/share/dpkg",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
    "usr/share/nodejs/@types",
    "usr/share/perl*",
    "usr/share/pixmaps",
    "usr/share/zoneinfo/right",
    "var/cache/*",
    "var/lib/apt",
    "var/lib/dpkg",
    "var/log/*",
)


def unpack_packages(root: Path, packages: Sequence[str], distribution: Distribution) -> None:
    """Unpack packages and all they depend on; no script of a package is run."""
    options = root.with_suffix(".apt")
    options.write_text(download_options(), encoding="utf-8")
    # Every release supported here has /bin, /lib and so on as links into /usr; packages rely on that.
    merge = 'for d in bin sbin lib lib64; do mkdir -p "$1/usr/$d"; ln -s "usr/$d" "$1/$d"; done'
    command = ["mmdebstrap", "--variant=extract", "--mode=root", "--format=directory"]
    command += [f"--aptopt={options}", f"--setup-hook={merge}", f"--include={','.join(packages)}"]
    run("Unpacking packages", [*command, distribution.codename, root, *package_sources(distribution)])


def finish_root(root: Path) -> None:
    """Drop what is not needed, then do what the packages' scripts would have done, as far as it matters."""
    for pattern in UNUSED_FILES:
        for path in root.glob(pattern):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    (root / "tmp").chmod(0o1777)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n", encoding="utf-8")
    (root / "etc/group").write_text("root:x:0:\n", encoding="utf-8")
    (root / "etc/nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files dns\n", encoding="utf-8")
    collect_certificates(root)
    if (root / "usr/bin/mawk").exists():
        (root / "usr/bin/awk").symlink_to("mawk")
    run("Linking libraries", ["chroot", root, "/sbin/ldconfig"])
    if (root / "usr/bin/python3").exists():
        # Without compiled modules every cold start would compile the standard library anew.
        folders = [f"/{folder.relative_to(root)}" for folder in sorted(root.glob("usr/lib/python3*"))]
        compiler = ["python3", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
        run("Compiling the standard library", ["chroot", root, *compiler, *folders])


def collect_certificates(root: Path) -> None:
    """Join the certificates of package ca-certificates into the one file that OpenSSL reads by default."""
    certificates = sorted((root / "usr/share/ca-certificates").rglob("*.crt"))
    if not certificates:
        return
    bundle = root / "etc/ssl/certs/ca-certificates.crt"
    bundle.parent.mkdir(parents=True, exist_ok=True)
    bundle.write_text("".join(file.read_text(encoding="utf-8") for file in certificates), encoding="utf-8")
    default = root / "usr/lib/ssl/cert.pem"
    default.parent.mkdir(parents=True, exist_ok=True)
    default.unlink(missing_ok=True)
    default.symlink_to("/etc/ssl/certs/ca-certificates.crt")


def import_root(root: Path, tag: str, label: str) -> None:
    """Hand a root file system to the engine as an image of one layer."""
    archive = root.with_suffix(".tar")
    run("Packing the base image", ["tar", "-c", "--numeric-owner", "-f", archive, "-C", root, "."])
    run("Importing the base image", ["docker", "import", "--change", f"LABEL {label}", archive, tag])
