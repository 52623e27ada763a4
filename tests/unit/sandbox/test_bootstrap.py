"""The program that a function brings: where it is looked for, and why it cannot be executed."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from emulator.model import Function
from emulator.sandbox import bootstrap
from emulator.sandbox.base import ExitStatus

PROGRAM = "/var/task/bootstrap"


@pytest.fixture
def code(tmp_path: Path) -> Path:
    folder = tmp_path / "code"
    folder.mkdir()
    return folder


@pytest.fixture
def opt(tmp_path: Path) -> Path:
    folder = tmp_path / "opt"
    folder.mkdir()
    return folder


def function(code: Path) -> Function:
    return Function(name="orders", code=code, runtime="provided.al2023")


def program(folder: Path, content: bytes = b"#!/bin/sh\n", mode: int = 0o755) -> Path:
    path = folder / "bootstrap"
    path.write_bytes(content)
    path.chmod(mode)
    return path


def elf(machine: int, *, big: bool = False) -> bytes:
    """The beginning of a program for a machine, by the number that the format has for it."""
    order = b"\x02" if big else b"\x01"
    return b"\x7fELF\x02" + order + bytes(12) + machine.to_bytes(2, "big" if big else "little")


def test_the_functions_own_comes_before_that_of_a_layer(code: Path, opt: Path) -> None:
    """[D] /var/task, then /opt; what is nowhere is nothing."""
    assert bootstrap.find_bootstrap(function(code), opt) is None
    layered = program(opt)
    assert bootstrap.find_bootstrap(function(code), opt) == ("/opt/bootstrap", layered)
    assert bootstrap.find_bootstrap(function(code), None) is None
    own = program(code)
    assert bootstrap.find_bootstrap(function(code), opt) == (PROGRAM, own)


def test_a_missing_one_is_told_with_both_places() -> None:
    """As recorded."""
    status = bootstrap.missing_bootstrap()
    assert status.launch_error == "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"
    assert status.code == ExitStatus.NOT_FOUND


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        (b"#!/bin/sh\n", 0o750, "permission denied"),
        (b"#!/bin/sh\n", 0o644, "permission denied"),
        (b"echo hello\n", 0o755, "exec format error"),
        (b"", 0o755, "exec format error"),
        (elf(0x1234), 0o755, "exec format error"),
        (elf(0x1234, big=True), 0o755, "exec format error"),
    ],
)
def test_what_lambdas_user_cannot_execute(
    code: Path, content: bytes, mode: int, words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By its mode for others, and by its first bytes."""
    monkeypatch.setattr(bootstrap, "_EMULATORS", tmp_path / "none")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    status = bootstrap.obstacle(PROGRAM, program(code, content, mode))
    assert status == ExitStatus(code=ExitStatus.CANNOT_EXECUTE, launch_error=f"fork/exec {PROGRAM}: {words}")


def test_what_it_can_execute(code: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A script, a program for this machine, and one for another that is emulated here."""
    monkeypatch.setattr(bootstrap, "_EMULATORS", tmp_path)
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    for content in (b"#!/bin/sh\n", elf(183)):
        assert bootstrap.obstacle(PROGRAM, program(code, content)) is None
    assert bootstrap.obstacle(PROGRAM, program(code, elf(62))) is not None
    (tmp_path / "qemu-x86_64").touch()
    assert bootstrap.obstacle(PROGRAM, program(code, elf(62))) is None


def test_a_folder_or_nothing_is_no_program(code: Path) -> None:
    """In the kernel's words for either."""
    status = bootstrap.obstacle(PROGRAM, code)
    assert status is not None
    assert status.launch_error == f"fork/exec {PROGRAM}: permission denied"
    status = bootstrap.obstacle(PROGRAM, code / "none")
    assert status == ExitStatus(code=127, launch_error=f"fork/exec {PROGRAM}: no such file or directory")


@pytest.mark.parametrize(
    ("error", "words", "code"),
    [
        (FileNotFoundError(2, "No such file or directory"), "no such file or directory", 127),
        (PermissionError(13, "Permission denied"), "permission denied", 126),
        (OSError(8, "Exec format error"), "exec format error", 126),
        (OSError(40, "Too many levels of symbolic links"), "too many levels of symbolic links", 126),
    ],
)
def test_the_kernels_refusal_in_words(error: OSError, words: str, code: int) -> None:
    """Those of Go, in which AWS's agent is written."""
    assert bootstrap.launch_error("/app", error) == ExitStatus(code=code, launch_error=f"fork/exec /app: {words}")


def test_an_images_refusal_in_words() -> None:
    """A name without a path has been looked for in PATH."""
    assert bootstrap.refused("app", forbidden=False).launch_error == 'exec: "app": executable file not found in $PATH'
    assert bootstrap.refused("/app", forbidden=False).launch_error == "fork/exec /app: no such file or directory"
    assert bootstrap.refused("/app", forbidden=True).launch_error == "fork/exec /app: permission denied"
    assert bootstrap.wrong_machine("/app").launch_error == "fork/exec /app: exec format error"


@pytest.mark.parametrize(
    ("folder", "words"),
    [
        ("/srv", "the working directory doesn't exist: /srv"),
        ("srv", "the working directory 'srv' is invalid, it needs to be an absolute path"),
    ],
)
def test_a_wrong_folder_in_words(folder: str, words: str) -> None:
    """[C] It is of another type than a wrong program."""
    status = bootstrap.wrong_folder(folder)
    assert (status.launch_error, status.wrong_folder) == (words, True)


def test_a_file_is_called_as_the_function_knows_it(code: Path, opt: Path) -> None:
    """By its place on Lambda, if it is the function's."""
    assert bootstrap.name_on_lambda(code / "bin/app", function(code), opt) == "/var/task/bin/app"
    assert bootstrap.name_on_lambda(opt / "bin/app", function(code), opt) == "/opt/bin/app"
    assert bootstrap.name_on_lambda(Path("/usr/bin/app"), function(code), None) == "/usr/bin/app"
