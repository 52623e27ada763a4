"""Which server program it is, and what it is started with."""

from __future__ import annotations

from pathlib import Path

import pytest

from emulator.database.program import MARIADB, MYSQL, Dialect, Program, bind_option, find_program, identify
from emulator.errors import DatabaseError


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A file that stands for a program."""
    path = tmp_path / "mysqld"
    path.write_text("#!/bin/sh\nexit 3\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("told", "dialect", "version", "numbers"),
    [
        (
            "mariadbd  Ver 10.11.19-MariaDB-0+deb12u1 for debian-linux-gnu on x86_64 (Debian 12)",
            MARIADB,
            "10.11.19-MariaDB-0+deb12u1",
            (10, 11, 19),
        ),
        (
            "/usr/sbin/mysqld  Ver 8.0.36-0ubuntu0.22.04.1 for Linux on x86_64 ((Ubuntu))",
            MYSQL,
            "8.0.36-0ubuntu0.22.04.1",
            (8, 0, 36),
        ),
        ("mysqld  Ver 9.1.0 for macos14 on arm64 (MySQL Community Server - GPL)", MYSQL, "9.1.0", (9, 1, 0)),
        ("mysqld  Ver 11.4.2-MariaDB for Linux on x86_64", MARIADB, "11.4.2-MariaDB", (11, 4, 2)),
    ],
)
def test_identify(program: Path, told: str, dialect: Dialect, version: str, numbers: tuple[int, ...]) -> None:
    """By what it says, not by its name: MariaDB still answers to mysqld."""
    found = identify(program, told)
    assert (found.dialect, found.version, found.numbers) == (dialect, version, numbers)


def test_stranger_is_not_started(program: Path) -> None:
    """Some other program of that name."""
    with pytest.raises(DatabaseError, match="does not look like"):
        identify(program, "mysqld: a poem in three parts")


def test_program_that_does_not_run(program: Path) -> None:
    """Its own words, or the system's, and what to do."""
    with pytest.raises(DatabaseError, match="does not look like") as caught:
        identify(program)
    assert "Install" in caught.value.cure
    program.write_text("no program at all")
    with pytest.raises(DatabaseError, match="does not run"):
        identify(program)


@pytest.mark.parametrize(
    ("version", "dialect", "several"),
    [
        ("10.11.2-MariaDB", MARIADB, "--bind-address=127.0.0.1,10.80.0.1"),
        ("11.4.2-MariaDB", MARIADB, "--bind-address=127.0.0.1,10.80.0.1"),
        ("10.6.18-MariaDB", MARIADB, "--bind-address=0.0.0.0"),
        ("8.0.13", MYSQL, "--bind-address=127.0.0.1,10.80.0.1"),
        ("8.4.3", MYSQL, "--bind-address=127.0.0.1,10.80.0.1"),
        ("8.0.12", MYSQL, "--bind-address=0.0.0.0"),
        ("5.7.44", MYSQL, "--bind-address=0.0.0.0"),
    ],
)
def test_several_addresses_where_the_version_takes_them(version: str, dialect: Dialect, several: str) -> None:
    """One address is one address everywhere."""
    program = Program(Path("mysqld"), version, dialect)
    assert bind_option(program, ["127.0.0.1"]) == "--bind-address=127.0.0.1"
    assert bind_option(program, ["127.0.0.1", "10.80.0.1"]) == several


@pytest.mark.parametrize("dialect", [MARIADB, MYSQL], ids=lambda one: one.name)
def test_options_of_every_start(dialect: Dialect) -> None:
    """What the emulator relies on, whichever server it is."""
    assert {
        "--skip-name-resolve",  # clients are told apart by address
        "--performance-schema=OFF",
        "--character-set-server=utf8mb4",
        "--default-time-zone=+00:00",
    } <= set(dialect.all_options)
    names = [option.removeprefix("--loose-").removeprefix("--").partition("=")[0] for option in dialect.all_options]
    assert len(names) == len(set(names))


def test_what_only_one_server_knows_is_not_forced_on_the_other() -> None:
    """An unknown option ends a server; behind "loose" it only makes it grumble."""
    assert not any("aria" in option or "feedback" in option for option in MYSQL.all_options)
    assert not any("mysqlx" in option or "redo-log" in option for option in MARIADB.all_options)
    for option in MYSQL.options:
        if "mysqlx" in option or "innodb" in option:
            assert option.startswith("--loose-")


def test_found_on_path_first(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that the user put on PATH goes before the system's, under its newer name first."""
    monkeypatch.setenv("PATH", str(program.parent))
    newer = program.with_name("mariadbd")
    newer.write_bytes(program.read_bytes())
    newer.chmod(0o755)
    assert find_program() == newer.resolve()
