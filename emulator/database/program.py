"""The server program on this machine: which it is, and how it wants to be spoken to."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from emulator.errors import DatabaseError

__all__ = ["MARIADB", "MYSQL", "Dialect", "Program", "bind_option", "build_key", "find_program", "identify", "run_as"]

_NAMES = ("mariadbd", "mysqld")
# Debian keeps servers in a folder that is not on an ordinary user's PATH, Fedora in yet another.
_MORE_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/usr/libexec", "/usr/local/mysql/bin", "/opt/mysql/bin")
_VERSION = re.compile(r"\bVer\s+(?P<text>(?P<numbers>\d+(?:\.\d+)+)\S*)")
_DEADLINE = 20.0

# What both servers understand. The data is thrown away at the end, so nothing waits for a disk. What a server
# does not know by heart is marked "loose": it then warns instead of refusing to start.
_COMMON = (
    "--skip-name-resolve",
    "--skip-log-bin",
    "--performance-schema=OFF",
    "--innodb-buffer-pool-size=32M",
    "--innodb-buffer-pool-load-at-startup=OFF",
    "--innodb-buffer-pool-dump-at-shutdown=OFF",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-flush-method=nosync",
    "--innodb-doublewrite=OFF",
    "--key-buffer-size=1M",
    "--table-open-cache=400",
    # As on RDS, and not as either program is compiled.
    "--character-set-server=utf8mb4",
    "--default-time-zone=+00:00",
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """What differs between the two servers.

    Attributes:
        name: as people say it.
        options: for every start, beyond those that both take.
        list_since: the first version that listens on several addresses, ``--bind-address=a,b``.
        installer: programs that make a data directory; where there are none the server makes it itself.
        tidy: SQL that is run once in a fresh data directory.
    """

    name: str
    options: Sequence[str]
    list_since: tuple[int, ...]
    installer: Sequence[str] = ()
    tidy: Sequence[str] = ()

    @property
    def all_options(self) -> tuple[str, ...]:
        return (*_COMMON, *self.options)


MARIADB = Dialect(
    name="MariaDB",
    options=(
        "--innodb-log-file-size=4M",
        "--aria-pagecache-buffer-size=1M",
        "--loose-debug-no-sync",
        "--loose-feedback=OFF",
    ),
    list_since=(10, 11),
    installer=("mariadb-install-db", "mysql_install_db"),
    tidy=(
        # The installer lets the administrator in from everywhere on this machine, without a password.
        # Ours is reached only by the socket, which lies in a folder that only we can open.
        "DELETE FROM mysql.global_priv WHERE User = '' OR User = 'root' AND Host <> 'localhost'",
        "DELETE FROM mysql.proxies_priv WHERE Host <> 'localhost'",
        # Half of the 200 files of a data directory, and all that a copy costs is files. They serve the
        # performance schema, which is off, and the command HELP.
        "DROP DATABASE IF EXISTS sys",
        "DROP TABLE IF EXISTS mysql.help_topic, mysql.help_category, mysql.help_relation, mysql.help_keyword",
    ),
)

MYSQL = Dialect(
    name="MySQL",
    options=(
        "--loose-innodb-log-file-size=8M",  # before 8.0.30
        "--loose-innodb-redo-log-capacity=16M",  # since 8.0.30
        "--loose-mysqlx=OFF",
        # Packages compile in a folder that need not exist, and the server refuses to start without it.
        "--secure-file-priv=NULL",
    ),
    list_since=(8, 0, 13),
)


@dataclass(frozen=True, slots=True)
class Program:
    """A server program, its version as it says it itself, and its dialect."""

    path: Path
    version: str
    dialect: Dialect

    @property
    def numbers(self) -> tuple[int, ...]:
        found = _VERSION.search(f"Ver {self.version}")
        return tuple(int(number) for number in found["numbers"].split(".")) if found else ()


def find_program() -> Path | None:
    """The first server program on PATH, or in the folders where systems hide it."""
    folders = os.pathsep.join([os.environ.get("PATH", os.defpath), *_MORE_FOLDERS])
    for name in _NAMES:
        found = shutil.which(name, path=folders)
        if found is not None:
            return Path(found).resolve()
    return None


def build_key(path: Path) -> str:
    """A short name for the file as it is now: another after every upgrade."""
    status = path.stat()
    facts = f"{path}\0{status.st_size}\0{status.st_mtime_ns}"
    return hashlib.sha256(facts.encode()).hexdigest()[:16]


def identify(path: Path, told: str | None = None) -> Program:
    """Which server a program is, by what it says to ``--version`` (``told``, where that is known already).

    Raises:
        DatabaseError: it is neither MySQL nor MariaDB, or does not run.
    """
    text = _ask_version(path) if told is None else told
    found = _VERSION.search(text)
    if found is None:
        raise DatabaseError(
            f"{path} does not look like a MySQL or MariaDB server: it says {text.strip()[:200]!r}",
            cure='Install mariadb-server or mysql-server, or set server = "none".',
        )
    return Program(path, found["text"], MARIADB if "mariadb" in text.lower() else MYSQL)


def _ask_version(path: Path) -> str:
    try:
        return subprocess.run(
            [str(path), "--no-defaults", "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_DEADLINE,
            check=False,
        ).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DatabaseError(
            f"{path} does not run: {error}", cure="Install the server's package anew, or take another server."
        ) from error


def bind_option(program: Program, addresses: Sequence[str]) -> str:
    """The option that has the server listen on these addresses."""
    if len(addresses) == 1 or program.numbers >= program.dialect.list_since:
        return f"--bind-address={','.join(addresses)}"
    # One address or all of them is what an older server can do. All is acceptable: the one account that
    # is let in over TCP has a random password and sees nothing but the functions' throw-away data.
    return "--bind-address=0.0.0.0"


def run_as() -> tuple[str, ...]:
    """Both servers refuse to run as root unless told to; our own files belong to root then."""
    return ("--user=root",) if os.geteuid() == 0 else ()
