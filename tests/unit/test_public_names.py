"""Every module says truly and completely what is public in it, and every public thing says what it is for."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

import emulator

PACKAGE = Path(next(iter(emulator.__path__)))
PROGRAMS = {"emulator.__main__", "emulator.cli", "emulator.sandbox.warden_main"}  # run, and not imported from


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FUNCTIONS = PACKAGE / "lessons" / "code"  # what lessons deploy: read by people, imported by nobody
SOURCES = {
    module_name(path): ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted(PACKAGE.rglob("*.py"))
    if not path.is_relative_to(FUNCTIONS)
}
MODULES = sorted(SOURCES.keys() - PROGRAMS - {"emulator"})


def top_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a module, those behind a ``try`` or an ``if`` included."""
    for node in body:
        yield node
        if isinstance(node, ast.Try | ast.If):
            yield from top_level(node.body)


def definitions(tree: ast.Module) -> list[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    """Public classes and functions, but those that a decorator has registered somewhere (``@app.command()``)."""
    return [
        node
        for node in top_level(tree.body)
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and not node.name.startswith("_")
        and not any(
            isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Attribute)
            for decorator in node.decorator_list
        )
    ]


def values(tree: ast.Module) -> set[str]:
    """Public constants and type aliases; not type variables, whose one letter is nobody's interface."""
    names: set[str] = set()
    for node in top_level(tree.body):
        match node:
            case ast.Assign(targets=targets):
                names |= {target.id for target in targets if isinstance(target, ast.Name)}
            case ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
    return {name for name in names if not name.startswith("_") and len(name) > 1}


def listed(name: str) -> list[str]:
    return list(getattr(importlib.import_module(name), "__all__", []))


@pytest.mark.parametrize("name", MODULES)
def test_all_is_true(name: str) -> None:
    """Each name in ``__all__`` is there, once, and in order."""
    module = importlib.import_module(name)
    names = listed(name)
    assert [entry for entry in names if not hasattr(module, entry)] == []
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", MODULES)
def test_all_is_complete(name: str) -> None:
    """No public name of a module is missing from ``__all__``: it would be public without anybody's having said so."""
    tree = SOURCES[name]
    defined = {node.name for node in definitions(tree)} | values(tree)
    assert sorted(defined - set(listed(name))) == []


@pytest.mark.parametrize("name", MODULES)
def test_what_other_modules_import_is_public(name: str) -> None:
    """Nobody in the package takes a name that its module does not list."""
    taken = {
        (node.module, alias.name)
        for node in ast.walk(SOURCES[name])
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("emulator")
        for alias in node.names
        if node.module in SOURCES and f"{node.module}.{alias.name}" not in SOURCES
    }
    assert sorted(f"{module}:{entry}" for module, entry in taken if entry not in listed(str(module))) == []


def test_the_public_api_is_imported_when_it_is_used() -> None:
    """Every name of the package leads to the thing of that name; another one is an attribute error."""
    for name in emulator.__all__:
        assert getattr(emulator, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = emulator.nothing


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_every_module_says_what_it_is_for(name: str) -> None:
    """A docstring stands at its top."""
    assert ast.get_docstring(SOURCES[name])


@pytest.mark.parametrize("name", MODULES)
def test_every_public_class_and_function_says_what_it_is_for(name: str) -> None:
    """With a docstring of its own and not one that it inherits."""
    assert [node.name for node in definitions(SOURCES[name]) if ast.get_docstring(node) is None] == []
