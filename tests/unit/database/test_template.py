"""Data directories that are made once. The server program is a script that plays MySQL."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.database.template import cache_folder, copy_folder, prepare_template
from emulator.errors import DatabaseError

PROGRAM = """#!/bin/sh
case "$2" in
--version) echo "mysqld  Ver 8.4.3 for Linux on x86_64 (MySQL Community Server - GPL)" ;;
--initialize-insecure)
    echo "$@" >> "$(dirname "$0")/calls"
    for option; do
        case "$option" in --datadir=*) data="${option#--datadir=}" ;; esac
    done
    mkdir -p "$data/mysql" && echo made > "$data/mysql/table"
    [ ! -e "$(dirname "$0")/fail" ] || { cat "$(dirname "$0")/fail"; exit 1; }
    ;;
esac
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    folder = tmp_path / "program"
    folder.mkdir()
    path = folder / "mysqld"
    path.write_text(PROGRAM)
    path.chmod(0o755)
    return path


def calls(program: Path) -> list[str]:
    path = program.with_name("calls")
    return path.read_text().splitlines() if path.exists() else []


def test_made_once(program: Path, tmp_path: Path) -> None:
    """The second start finds it; the program is not asked for its version again."""
    first = prepare_template(program, cache=tmp_path / "cache", scratch=tmp_path)
    second = prepare_template(program, cache=tmp_path / "cache", scratch=tmp_path)
    assert first.data == second.data
    assert (second.data / "mysql" / "table").read_text() == "made\n"
    assert first.program == second.program
    assert len(calls(program)) == 1
    assert "--no-defaults --initialize-insecure" in calls(program)[0]


def test_upgraded_program_gets_a_template_of_its_own(program: Path, tmp_path: Path) -> None:
    """A data directory of an older version is not what the new one would make."""
    before = prepare_template(program, cache=tmp_path / "cache", scratch=tmp_path)
    program.write_text(PROGRAM.replace("8.4.3", "8.4.10"))
    after = prepare_template(program, cache=tmp_path / "cache", scratch=tmp_path)
    assert before.data != after.data
    assert after.program.version == "8.4.10"


def test_many_at_once_make_one(program: Path, tmp_path: Path) -> None:
    """Emulators that start together wait for the first of them."""
    barrier = threading.Barrier(4)

    def prepare(_: int) -> Path:
        barrier.wait(timeout=10)
        return prepare_template(program, cache=tmp_path / "cache", scratch=tmp_path).data

    with ThreadPoolExecutor(4) as threads:
        assert len(set(threads.map(prepare, range(4)))) == 1
    assert len(calls(program)) == 1


def test_failed_one_leaves_nothing(program: Path, tmp_path: Path) -> None:
    """The program's own words are in the error, and the next start tries anew."""
    program.with_name("fail").write_text("[ERROR] the moon is full\n")
    with pytest.raises(DatabaseError, match="the moon is full"):
        prepare_template(program, cache=tmp_path / "cache", scratch=tmp_path)
    assert [path.name for path in (tmp_path / "cache").iterdir() if path.is_dir()] == []
    program.with_name("fail").unlink()
    assert prepare_template(program, cache=tmp_path / "cache", scratch=tmp_path).data.is_dir()


@pytest.mark.parametrize(
    ("log", "cure"),
    [
        ("[ERROR] [MY-010187] Could not open file: Permission denied (OS errno 13)", "AppArmor"),
        ("write failed: No space left on device", "disk is full"),
        ("[ERROR] the moon is full", "by hand"),
    ],
)
def test_cure_fits_the_log(program: Path, tmp_path: Path, log: str, cure: str) -> None:
    """What usually is the matter, where the log says it."""
    program.with_name("fail").write_text(log)
    with pytest.raises(DatabaseError) as caught:
        prepare_template(program, cache=tmp_path / "cache", scratch=tmp_path)
    assert cure in caught.value.cure


def test_half_made_one_is_not_taken_for_a_template(program: Path, tmp_path: Path) -> None:
    """Somebody was killed over it: it has another name, and is cleared away by the next who makes one."""
    cache = tmp_path / "cache"
    name = prepare_template(program, cache=cache, scratch=tmp_path).data.parent
    left = cache / f"{name.name}.building-dead"
    name.rename(left)
    assert prepare_template(program, cache=cache, scratch=tmp_path).data.parent == name
    assert not left.exists()
    assert len(calls(program)) == 2


def test_nowhere_to_keep_it(program: Path, tmp_path: Path) -> None:
    """A service account without a home makes it anew for every run, in its private folder."""
    no_folder = tmp_path / "file"
    no_folder.write_text("")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    template = prepare_template(program, cache=no_folder / "cache", scratch=scratch)
    assert template.data.is_relative_to(scratch)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"XDG_CACHE_HOME": "/somewhere", "HOME": "/home/me"}, "/somewhere/lambda-freezer/databases"),
        ({"XDG_CACHE_HOME": "", "HOME": "/home/me"}, "/home/me/.cache/lambda-freezer/databases"),
    ],
)
def test_cache_folder(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: str) -> None:
    """Where other programs keep what can be made again."""
    for key, value in variables.items():
        monkeypatch.setenv(key, value)
    assert cache_folder() == Path(expected)


@settings(max_examples=25, deadline=None)
@given(
    files=st.dictionaries(
        st.sampled_from(["a", "b", "folder/c", "folder/d", "folder/deep/e"]), st.binary(max_size=10_000)
    )
)
def test_copy_is_the_same(tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]) -> None:
    """Every byte of every file, empty ones and holes included."""
    base = tmp_path_factory.mktemp("copy")
    source, target = base / "source", base / "target"
    source.mkdir()
    for name, content in files.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(content)
    (source / "hole").touch()
    os.truncate(source / "hole", 100_000)
    copy_folder(source, target)
    expected = files | {"hole": bytes(100_000)}
    assert {str(p.relative_to(target)): p.read_bytes() for p in target.rglob("*") if p.is_file()} == expected
