"""The program that builds samples: what it builds, what it leaves alone, and what it says of what it cannot build."""

from __future__ import annotations

import os
import sys
import tomllib
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any

import pytest

SAMPLES = Path(__file__).parents[2] / "sample_functions"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The program as a module."""
    loader = SourceFileLoader("build_samples", str(SAMPLES / "build-samples"))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, loader.name, module)  # where dataclasses look for it
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loader.exec_module(module)
    return module


@pytest.fixture
def program(module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The program, for one sample in a folder of the test's."""
    monkeypatch.setattr(module, "FOLDER", tmp_path)
    monkeypatch.setattr(module, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(module, "SAMPLES", (module.Sample("one"),))
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "source").write_text("first")
    write_script(tmp_path, 'cp source "$1/bootstrap"; echo built >>"$SAMPLE_CACHE/log"')
    return module


def write_script(folder: Path, line: str) -> None:
    """Give the sample a build script of this line."""
    script = folder / "one" / "build.sh"
    script.write_text(f"#!/bin/sh\nset -eu\n{line}\n")
    script.chmod(0o755)


def test_each_sample_has_a_row_a_script_and_functions(module: Any) -> None:
    """The table, the folders with a script and the configuration name the same samples."""
    rows = {sample.name for sample in module.SAMPLES}
    assert rows == {script.parent.name for script in SAMPLES.glob("*/build.sh") if os.access(script, os.X_OK)}
    functions = tomllib.loads((SAMPLES / "drivers.toml").read_text())["functions"]
    built = [parts for function in functions.values() if (parts := Path(function["code"]).parts)[1:] == ("build",)]
    assert rows == {parts[0] for parts in built}


def test_second_run_builds_what_has_changed(program: Any, tmp_path: Path) -> None:
    """A sample is built once, again when an input is another, and not because its build is there."""
    for source, builds in (("first", 1), ("first", 1), ("second", 2)):
        (tmp_path / "one" / "source").write_text(source)
        assert program.main([]) == 0
        assert (tmp_path / "one" / "build" / "bootstrap").read_text() == source
        assert (tmp_path / "cache" / "one" / "log").read_text() == "built\n" * builds
    assert program.main(["--check"]) == 0
    (tmp_path / "one" / "source").write_text("third")
    assert program.main(["--check"]) == 1


def test_failed_build_leaves_the_old_one(program: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a script says when it fails is shown, nothing half-built stays, and the build before does."""
    assert program.main([]) == 0
    write_script(tmp_path, 'echo half >"$1/bootstrap"; echo the reason; exit 3')
    assert program.main([]) == 1
    assert "one/build.sh ended with status 3:\n    the reason" in capsys.readouterr().err
    assert (tmp_path / "one" / "build" / "bootstrap").read_text() == "first"
    assert not list((tmp_path / "one").glob(".build-*"))
    assert program.main(["--check"]) == 1


@pytest.mark.parametrize(
    ("version", "says"),
    [
        (None, "the program no-such-program is not on PATH: install no-such-program 2.10 or later"),
        ("echo no-such-program 2.9.1", "is of version 2.9.1: install"),
        ("echo nothing", "does not tell its version"),
        ("echo no-such-program 2.10", None),
    ],
)
def test_missing_toolchain_is_told(
    program: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    version: str | None,
    says: str | None,
) -> None:
    """A program that is not there, or too old, is no failure: the sample is skipped with the package to install."""
    if version is not None:
        tool = tmp_path / "no-such-program"
        tool.write_text(f"#!/bin/sh\n{version}\n")
        tool.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    toolchain = program.Toolchain("no-such-program", ("no-such-program",), (2, 10), ("its-package", "or-this"))
    monkeypatch.setattr(program, "SAMPLES", (program.Sample("one", (toolchain,)),))
    assert program.main(["--lacks"]) == 0
    assert capsys.readouterr().out == ("no-such-program its-package or-this\n" if says else "")
    assert program.main([]) == 0
    assert (tmp_path / "one" / "build").exists() == (says is None)
    assert (says or "took") in capsys.readouterr().out


def test_the_first_program_that_will_do_builds(program: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that does not start, and one that is too old, stand before it on PATH."""
    folders = []
    for name, line in (("broken", "exit 1"), ("old", "echo made 1.0"), ("good", "echo made 2.1")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "maker").write_text(f"#!/bin/sh\n{line}\n")
        (folder / "maker").chmod(0o755)
        folders.append(str(folder))
    maker = program.Toolchain("maker", ("maker", "--version"), (2, 0), ("maker",))
    monkeypatch.setattr(program, "SAMPLES", (program.Sample("one", (maker,)),))
    write_script(tmp_path, 'maker >"$1/bootstrap"')
    monkeypatch.setenv("PATH", os.pathsep.join([*folders[:2], os.environ["PATH"]]))
    assert "does not tell its version" in program.complaint(maker)
    monkeypatch.setenv("PATH", os.pathsep.join([*folders, os.environ["PATH"]]))
    assert program.main([]) == 0
    assert (tmp_path / "one" / "build" / "bootstrap").read_text() == "made 2.1\n"
