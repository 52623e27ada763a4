"""A data directory that is made once and copied for every start: making takes seconds, copying milliseconds."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from emulator.database.program import Program, build_key, identify, run_as
from emulator.errors import DatabaseError

__all__ = ["Template", "cache_folder", "copy_folder", "cure_for", "last_lines", "prepare_template"]

# Part of every template's name: change it with the way templates are made.
_FORMAT = 1
_LOCK_DEADLINE = 180.0
_BUILD_DEADLINE = 120.0
_LOG_LINES = 15


class Template:
    """A finished template: the program it was made with, and the data directory to copy."""

    def __init__(self, program: Program, folder: Path) -> None:
        self.program = program
        self.data = folder / "data"


def cache_folder() -> Path:
    """Where templates are kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111 (never raises)
    return Path(base) / "lambda-freezer" / "databases"


def prepare_template(path: Path, *, cache: Path, scratch: Path) -> Template:
    """The template for a server program, made first where it is missing.

    Arguments:
        path: the server program.
        cache: where templates are kept; where nothing can be written there, ``scratch`` is taken.
        scratch: a private folder of this run.

    Raises:
        DatabaseError: the program could not make a data directory; its last words are in the message.
    """
    name = f"{build_key(path)}-{_FORMAT}"
    if (found := _finished(path, cache / name)) is not None:
        return found
    try:
        cache.mkdir(parents=True, exist_ok=True)
        lock = (cache / f"{name}.lock").open("w")
    except OSError:
        # No home to keep it in (a service account, a read-only system): made anew for every run, then.
        return _build(path, scratch, name)
    with lock, _locked(lock.fileno(), path):
        # Whoever held the lock before us may have made it. If they were killed over it, what they left
        # has a name that nobody takes for a template.
        found = _finished(path, cache / name)
        if found is None:
            for left in cache.glob(f"{name}.building-*"):
                shutil.rmtree(left, ignore_errors=True)
            found = _build(path, cache, name)
        return found


def copy_folder(source: Path, target: Path) -> None:
    """Copy a data directory; where the file system can share blocks between files, it does."""
    target.mkdir(mode=0o700)
    with os.scandir(source) as entries:
        for entry in entries:
            if entry.is_dir():
                copy_folder(Path(entry.path), target / entry.name)
            else:
                _copy_file(entry.path, str(target / entry.name))


def _finished(path: Path, folder: Path) -> Template | None:
    # The answer to --version is kept with the template, because asking takes a third of what a start takes.
    try:
        told = (folder / "version").read_text()
    except OSError:
        return None
    return Template(identify(path, told), folder)


def _build(path: Path, parent: Path, name: str) -> Template:
    program = identify(path)
    folder = parent / f"{name}.building-{secrets.token_hex(4)}"
    folder.mkdir(mode=0o700)
    try:
        _make_data(program, folder)
        (folder / "version").write_text(f"{program.dialect.name} Ver {program.version}\n")
        _write_through(folder)
        # In one step: there is a whole template by this name, or there is none.
        folder.rename(parent / name)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Template(program, parent / name)


def _make_data(program: Program, folder: Path) -> None:
    options = [*run_as(), f"--datadir={folder / 'data'}", *program.dialect.all_options]
    if program.dialect.installer:
        installer = _find_installer(program)
        _run(
            [
                installer,
                "--no-defaults",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                *options,
            ],
            folder,
        )
    else:
        _run([str(program.path), "--no-defaults", "--initialize-insecure", *options], folder)
    if program.dialect.tidy:
        sql = "".join(f"{statement};\n" for statement in program.dialect.tidy)
        _run([str(program.path), "--no-defaults", "--bootstrap", *options], folder, sql)


def _find_installer(program: Program) -> str:
    near = [program.path.parent, program.path.parent.parent / "bin", program.path.parent.parent / "scripts"]
    folders = os.pathsep.join([os.environ.get("PATH", os.defpath), *map(str, near)])
    for name in program.dialect.installer:
        found = shutil.which(name, path=folders)
        if found is not None:
            return found
    raise DatabaseError(
        f"{program.path} is here but not {program.dialect.installer[0]}, which makes its data directory",
        cure="Install the whole of the server's package (on Debian: apt-get install mariadb-server-core).",
    )


def _run(command: Sequence[str], folder: Path, text: str = "") -> None:
    try:
        done = subprocess.run(
            command,
            input=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            cwd=folder,
            timeout=_BUILD_DEADLINE,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise DatabaseError(f"{command[0]} did not make a data directory in {_BUILD_DEADLINE:.0f} s") from error
    except OSError as error:
        raise DatabaseError(f"{command[0]} does not run: {error}") from error
    if done.returncode != 0:
        raise DatabaseError(
            f"{command[0]} could not make a data directory (status {done.returncode}):\n" + last_lines(done.stdout),
            cure=cure_for(done.stdout),
        )


def last_lines(log: str) -> str:
    """The end of a log, as it goes into a message."""
    return "\n".join(f"  {line}" for line in log.strip().splitlines()[-_LOG_LINES:])


def cure_for(log: str) -> str:
    """What usually helps when a server ended with such a log."""
    if "Permission denied" in log or "errno: 13" in log or "OS errno 13" in log:
        # Ubuntu's MySQL package comes with a profile that lets the server write to its own folders only.
        return (
            "The server may not write there. Where AppArmor confines it (Ubuntu's mysql-server), take "
            'mariadb-server, switch that profile off, or set server = "docker".'
        )
    if "No space left" in log or "errno: 28" in log:
        return "The disk is full; TMPDIR and XDG_CACHE_HOME say where the emulator writes."
    return 'Start the program by hand to see more, or set server = "docker", a mysql:// address or "none".'


def _write_through(folder: Path) -> None:
    """Have everything on the disk before it gets its name: a power cut must not leave empty files behind it."""
    for path in sorted(folder.rglob("*")):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def _locked(descriptor: int, path: Path) -> Iterator[None]:
    """Hold the lock; the kernel lets go of it when its holder dies."""
    give_up = time.monotonic() + _LOCK_DEADLINE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() > give_up:
                raise DatabaseError(
                    f"another emulator has been making the template for {path} for {_LOCK_DEADLINE:.0f} s",
                    cure=f"End it; the lock is in {cache_folder()}.",
                ) from None
            time.sleep(0.02)
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def _copy_file(source: str, target: str) -> None:
    with open(source, "rb", buffering=0) as reader, open(target, "xb", buffering=0) as writer:  # noqa: PTH123 (200 files)
        left = os.fstat(reader.fileno()).st_size
        try:
            while left > 0:
                # The system call that shares blocks where it can and copies inside the kernel where not.
                done = os.copy_file_range(reader.fileno(), writer.fileno(), left)
                if done == 0:
                    break
                left -= done
        except OSError:
            # Not on this kernel, or not between these two file systems.
            reader.seek(0)
            writer.seek(0)
            shutil.copyfileobj(reader, writer)
