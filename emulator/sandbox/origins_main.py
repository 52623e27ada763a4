"""Inside a Python runtime: tells which line of the function's code has opened a connection.

It stands alone, for it runs without this package: loaded by the runtime of a process sandbox, and as the
``sitecustomize`` of a container's Python. Whatever goes wrong in here is passed over; the function goes on as without
it. DIFFERS: the traceback of a connect that failed has one more line, for ``socket.socket.connect`` is Python then.

A line is written for each connect, of at most 600 bytes, so that the pipe takes it whole: the local port, the port at
the other end, and the place: ``41022 3306 app.py:12 in handler``.
"""

from __future__ import annotations

import os
import sys

__all__ = ["install", "place_of", "vendored"]

_LONGEST = 500  # characters of a place
# They may lie beside the code without a record of their installation.
_DRIVERS = frozenset(
    {
        "MySQLdb",
        "aiomysql",
        "asyncmy",
        "django",
        "mariadb",
        "mysql",
        "peewee",
        "pony",
        "pymysql",
        "sqlalchemy",
        "tortoise",
    }
)
_FOLDERS_OF_OTHERS = frozenset({"site-packages", "dist-packages", "node_modules", "vendor", "vendored", "_vendor"})


def install(pipe: str, root: str) -> None:
    """Have every connect of this process told of.

    Arguments:
        pipe: a named pipe, opened for each line: the function may close what it finds open.
        root: the folder of the function's code.
    """
    import socket

    packages: list[frozenset[str]] = []  # looked for when they are asked for: most processes connect to nothing

    def tell(connected: socket.socket, address: tuple[str, int]) -> None:
        try:
            if connected.family not in (socket.AF_INET, socket.AF_INET6):
                return
            if not packages:
                packages.append(vendored(root))
            place = place_of(_frames(), root, packages[0])
            if place is None:
                return
            line = f"{connected.getsockname()[1]} {address[1]} {place[:_LONGEST]}\n"
            end = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                os.write(end, line.encode(errors="replace"))
            finally:
                os.close(end)
        except Exception:  # noqa: BLE001 (nothing in here is the function's business)
            return

    plain, plain_ex = socket.socket.connect, socket.socket.connect_ex

    def connect(self: socket.socket, address: tuple[str, int]) -> None:
        try:
            return plain(self, address)
        finally:
            tell(self, address)

    def connect_ex(self: socket.socket, address: tuple[str, int]) -> int:
        try:
            return plain_ex(self, address)
        finally:
            tell(self, address)

    connect.__doc__, connect_ex.__doc__ = plain.__doc__, plain_ex.__doc__
    socket.socket.connect = connect  # type: ignore[method-assign,assignment]
    socket.socket.connect_ex = connect_ex  # type: ignore[method-assign,assignment]


def place_of(frames: list[tuple[str, int, str]], root: str, packages: frozenset[str]) -> str | None:
    """The innermost place in the function's own code; one of a package beside it where there is no other.

    Arguments:
        frames: file, line and name of each call, innermost first.
        packages: names below ``root`` that are others' code.
    """
    vendored_place = None
    for file, line, name in frames:
        if not file.startswith(root + os.sep):
            continue
        path = file[len(root) + 1 :]
        first, *folders = path.split(os.sep)
        place = f"{path}:{line} in {name}"
        if first.removesuffix(".py") not in packages | _DRIVERS and _FOLDERS_OF_OTHERS.isdisjoint((first, *folders)):
            return place
        vendored_place = vendored_place or place
    return vendored_place


def vendored(root: str) -> frozenset[str]:
    """The names of modules and packages below ``root`` that came with an installer, as its records say."""
    found = set()
    for folder in os.listdir(root):
        if not folder.endswith(".dist-info"):
            continue
        found.add(folder.partition("-")[0].lower())
        try:
            with open(os.path.join(root, folder, "RECORD"), encoding="utf-8", errors="replace") as record:
                for line in record:
                    first = line.partition(",")[0].partition("/")[0]
                    found.add(first.removesuffix(".py"))
        except OSError:  # some who make packages smaller take the records away
            continue
    return frozenset(found)


def _frames() -> list[tuple[str, int, str]]:
    """Everybody who waits for the connect: behind this function, the one that asks and the one in its place."""
    found, frame = [], sys._getframe(2).f_back
    while frame is not None:
        found.append((frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name))
        frame = frame.f_back
    return found


def _install_in_container() -> None:
    """As ``sitecustomize``: nothing of this is to be seen afterwards, and the one of the user is still run."""
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != here]
    rest = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry != here]
    os.environ["PYTHONPATH"] = os.pathsep.join(rest)
    try:
        install(os.path.join(os.path.dirname(here), "origins"), os.environ["LAMBDA_TASK_ROOT"])
    except Exception:  # noqa: BLE001 (extensions have no such folder; and nothing of ours is for their logs)
        pass
    del sys.modules[__name__]
    try:
        import sitecustomize  # type: ignore[import-not-found]  # noqa: F401
    except ImportError as error:
        sys.modules[__name__] = type(sys)(__name__)  # whoever has imported us looks for a module of that name
        if error.name != "sitecustomize":
            raise


if __name__ == "sitecustomize":
    _install_in_container()
