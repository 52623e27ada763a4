"""A shell of this machine's for images that have none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from emulator.errors import SandboxError
from emulator.sandbox.lent_shell import PLACE, interpreter_of, lend_shell, libraries_in


def test_the_copy_runs_by_what_was_copied_alone(tmp_path: Path) -> None:
    """Loader, libraries and program are all in the folder, which everybody may read."""
    lent = lend_shell(tmp_path / "shell")
    here = [word.replace(PLACE, str(lent.folder)) for word in lent.command]
    maps = "while read -r line; do echo $line; done </proc/self/maps"
    said = subprocess.run([*here, "-c", maps], capture_output=True, text=True, timeout=10, check=True, env={}).stdout
    files = {line.split()[5] for line in said.splitlines() if len(line.split()) > 5 and line.split()[5].startswith("/")}
    assert files
    assert all(file.startswith(f"{lent.folder}/") for file in files)
    assert lent.folder.stat().st_mode & 0o777 == 0o755
    assert all(file.stat().st_mode & 0o777 == 0o755 for file in lent.folder.iterdir())


def test_what_is_no_program_of_linux_cannot_be_lent(tmp_path: Path) -> None:
    """A script, for one; it may be tried again."""
    script = tmp_path / "sh"
    script.write_text("#!/bin/bash\n")
    for _ in range(2):
        with pytest.raises(SandboxError, match=r"cannot be lent to a container: .*sh is no program of Linux"):
            lend_shell(tmp_path / "shell", script)


def test_what_does_not_run_is_not_lent(tmp_path: Path) -> None:
    """As from a file system without programs: it is tried before a container is made."""
    with pytest.raises(SandboxError, match="cannot be lent to a container"):
        lend_shell(tmp_path / "shell", Path("/bin/false"))


def test_a_program_names_its_loader() -> None:
    """In its own table."""
    found = interpreter_of(Path(sys.executable).resolve())
    assert found is None or found.is_file()


def test_libraries_are_read_of_a_loaders_list() -> None:
    """Those that have a place; not the kernel's, and not the loader itself."""
    listing = """
\tlinux-vdso.so.1 (0x00007ffd4e9f6000)
\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f3c1a000000)
\tlibnone.so => not found
\t/lib64/ld-linux-x86-64.so.2 => /lib/ld.so (0x00007f3c1a3f0000)
"""
    assert libraries_in(listing) == {"libc.so.6": Path("/lib/x86_64-linux-gnu/libc.so.6")}
