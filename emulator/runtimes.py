"""Which runtimes there are: AWS's identifiers, the image of each, and of what kind it is. Pure.

A configuration adds its own to them, or has another image or command for one of AWS's (``[runtimes.NAME]``).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType

from emulator.errors import ConfigurationError

__all__ = ["KNOWN", "Runtime", "RuntimeKind", "Runtimes", "is_python", "own_runtime"]

_AWS = "public.ecr.aws/lambda"
_STAND_IN = "lambda-freezer"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")


class RuntimeKind(StrEnum):
    """What has to be known of a runtime to run it."""

    PYTHON = "python"
    NODEJS = "nodejs"
    JAVA = "java"
    PROVIDED = "provided"
    """Only an operating system: the function brings the program, ``bootstrap``."""
    OTHER = "other"
    """One of AWS's of which its image is known, and nothing else."""
    OWN = "own"
    """One of the configuration's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """A runtime.

    Attributes:
        name: AWS's identifier, or the name that a configuration has given it.
        version: of the language, or of the operating system, as the tags of AWS's images have it.
        image: what serves it in containers; empty where nothing is known.
        stand_in: the repository of the images that serve where AWS's cannot be had; empty where there are none.
        command: the command line of its process, where a configuration says it.
    """

    name: str
    kind: RuntimeKind
    version: str = ""
    image: str = ""
    stand_in: str = ""
    command: tuple[str, ...] = ()

    @property
    def tag(self) -> str:
        """How AWS calls it in its log: ``nodejs:20`` [R]."""
        return self.image.rpartition("/")[2] or self.name

    def on(self, version: str) -> str:
        """What it runs on, in a sentence: ``Node.js 20``."""
        return f"{_LANGUAGES.get(self.kind, 'version')} {version}"


_LANGUAGES: Mapping[RuntimeKind, str] = {
    RuntimeKind.PYTHON: "Python",
    RuntimeKind.NODEJS: "Node.js",
    RuntimeKind.JAVA: "Java",
}

_HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
_PYTHONS = ("3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15")
# [D] lambda-runtimes; kind, repository of the image, identifier with the version in braces, versions, stand-ins.
_FAMILIES: tuple[tuple[RuntimeKind, str, str, tuple[str, ...], bool], ...] = (
    (RuntimeKind.PYTHON, "python", "python{}", tuple(dict.fromkeys((*_PYTHONS, _HERE))), True),
    (RuntimeKind.NODEJS, "nodejs", "nodejs{}.x", ("18", "20", "22", "24", "26"), True),
    (RuntimeKind.JAVA, "java", "java{}", ("8.al2", "11", "17", "21", "25"), True),
    (RuntimeKind.PROVIDED, "provided", "provided.{}", ("al2", "al2023"), True),
    (RuntimeKind.OTHER, "ruby", "ruby{}", ("3.2", "3.3", "3.4", "4.0"), False),
    (RuntimeKind.OTHER, "dotnet", "dotnet{}", ("8", "10"), False),
)
# What many still have in their templates, and what became of it [D].
_ENDED = {
    "go1.x": 'Build the program as "bootstrap" and take provided.al2023.',
    "provided": "Take provided.al2023.",
    "java8": "Take java8.al2.",
}

KNOWN: Mapping[str, Runtime] = MappingProxyType(
    {
        identifier.format(version): Runtime(
            name=identifier.format(version),
            kind=kind,
            version=version,
            image=f"{_AWS}/{repository}:{version}",
            stand_in=f"{_STAND_IN}/{repository}" if has_stand_ins else "",
        )
        for kind, repository, identifier, versions, has_stand_ins in _FAMILIES
        for version in versions
    }
)
"""AWS's, by their identifiers."""


def is_python(name: str) -> bool:
    """Whether a runtime is one of AWS's for Python."""
    return name in KNOWN and KNOWN[name].kind is RuntimeKind.PYTHON


def own_runtime(name: str, *, image: str | None = None, command: tuple[str, ...] = ()) -> Runtime:
    """A runtime that a configuration describes, or one of AWS's with another image or command.

    Arguments:
        image: for containers; its entry point gets the handler as its only argument, as that of AWS's images.
        command: for processes; the environment's variables may stand in it, as ``$_HANDLER`` or ``${_HANDLER}``.

    Raises:
        ConfigurationError: the name is none, or there is neither image nor command.
    """
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} is not a name for a runtime",
            cure="A name starts with a letter and has letters, digits, dots, hyphens and underscores, 64 at the most.",
        )
    if not image and not command:
        raise ConfigurationError(
            f"runtime {name} has neither an image nor a command",
            cure='Say image = "..." for containers, command = ["...", "$_HANDLER"] for processes, or both.',
        )
    if command and not command[0].strip():
        raise ConfigurationError(
            f"the command of runtime {name} does not begin with a program",
            cure='The first word is the program, as in command = ["deno", "run", "$_HANDLER"].',
        )
    known = KNOWN.get(name, Runtime(name=name, kind=RuntimeKind.OWN))
    if image:
        known = replace(known, image=image, stand_in="")
    return replace(known, command=command)


class Runtimes:
    """All runtimes that functions may name: AWS's, and those of a configuration, which come first.

    Arguments:
        own: by name.
    """

    def __init__(self, own: Mapping[str, Runtime] = MappingProxyType({})) -> None:
        self._all = {**KNOWN, **own}
        self.own = dict(own)

    def __iter__(self) -> Iterator[Runtime]:
        return iter(self._all.values())

    def find(self, name: str) -> Runtime:
        """The runtime of this name.

        Raises:
            ConfigurationError: there is none, with those there are.
        """
        if (found := self._all.get(name)) is not None:
            return found
        if name in _ENDED:
            raise ConfigurationError(f"AWS has ended the runtime {name}", cure=_ENDED[name])
        raise ConfigurationError(
            f"there is no runtime {name!r}",
            cure=f"There are {', '.join(self._all)}; and your own, as [runtimes.NAME] says what they are.",
        )
