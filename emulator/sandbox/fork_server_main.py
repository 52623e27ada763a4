"""The fork server: a prepared Python process, every fork of which becomes the runtime of one environment.

It is run as a plain script. It imports what AWS's runtime client imports, says so on its socket, and then waits for
requests there, one packet each. The end of that socket is the end of the emulator, and its own.

A fork is a child of the emulator, not of this process (``CLONE_PARENT``): so whoever started it waits for it, hears of
its end and signals it as if it had executed it, and this process may die without anybody's noticing. It has a session
of its own, says so to the emulator (``b"+"``), and does nothing more until it is let go (``b"+"`` again): it is in its
control groups, and on the warden's list, before anything of the function runs. (``b"-"``: it could not join the groups,
and has to be moved.) If the other end closes instead, it goes.

What it then does is what ``runtime_main.py`` would do, in an interpreter that has started already. Those modules of
AWS's client that read variables are only compiled before: they run in each fork, with the variables of that fork. So
does its C extension, which copies one when it is loaded.

Packets, JSON but for the last one:
    hello    {"path": [...], "modules": [...], "home": bool}  or  {"obstacle": "why it cannot serve"}
    request  {"command": [...], "folder": ..., "variables": {...}, "path": [...], "groups": [...],
              "new_groups": bool}, and two descriptors: for what it prints, and its own socket
    answer   the process id, or minus the number of an error
"""

import _socket
import contextlib
import ctypes
import gc
import json
import os
import sys
import time
import types
from importlib.machinery import ModuleSpec, SourceFileLoader
from typing import Any

__all__ = [
    "Forker",
    "Unsuitable",
    "become",
    "dependent",
    "fork_into",
    "hello",
    "is_v2",
    "join",
    "names_in",
    "preload",
    "read_layout",
    "serve",
    "show",
]

_LARGEST = 1 << 18  # bytes of a request; the socket takes less
_CLIENT, _EXTENSION = "awslambdaric", "runtime_client"
# Whoever connects to anything imports these two, and for names of hosts the second: 1.4 MiB and some milliseconds in
# every fork. They read no variables, and nothing of them is random.
_OF_EVERY_CLIENT = ("socket", "encodings.idna")
# Not one of these is in a C library's header under its own name on every machine: clone, set_ and get_robust_list, and
# whether clone wants the child's thread id last or after the thread's own memory.
_CALLS = {"x86_64": (56, 273, 274, False), "aarch64": (220, 99, 100, True)}
_CLONE3 = 435  # on every machine
_CLONE_PARENT, _CHILD_SETTID, _CHILD_CLEARTID, _INTO_CGROUP = 0x8000, 0x0100_0000, 0x0020_0000, 0x2_0000_0000
_SET_MM, _SET_MM_MAP, _GET_TID_ADDRESS = 35, 14, 40

# Both keep the interpreter's lock: no other thread is there, and none may be seen between fork and its tidying up.
_c = ctypes.PyDLL(None, use_errno=True)
_c.syscall.restype = ctypes.c_long
_c.sbrk.restype = ctypes.c_void_p
_python = ctypes.pythonapi


class Unsuitable(Exception):  # noqa: N818  (not an error: an answer)
    """This machine, or this interpreter, cannot do it; the text says why."""


# -- before any fork -------------------------------------------------------------------------------------


def preload() -> dict[str, tuple[ModuleSpec, types.CodeType]]:
    """Import the client and what connects, forget its modules that depend on variables; answers these, compiled."""
    stand_in = types.ModuleType(_EXTENSION)
    stand_in.initialize_client = lambda _user_agent: None  # type: ignore[attr-defined]
    sys.modules[_EXTENSION] = stand_in
    __import__(f"{_CLIENT}.__main__")
    del sys.modules[_EXTENSION]
    for name in _OF_EVERY_CLIENT:
        __import__(name)
    compiled = {}
    for name in [name for name in sys.modules if name.startswith(f"{_CLIENT}.")]:
        spec = sys.modules[name].__spec__
        assert spec is not None, "a module that was imported has been found somewhere"
        assert isinstance(spec.loader, SourceFileLoader), "the client is made of Python files"
        code = spec.loader.get_code(name)
        assert code is not None, "a module that was imported has code"
        compiled[name] = (spec, code)
    prepared = {name: compiled[name] for name in dependent({name: code for name, (_, code) in compiled.items()})}
    for name in prepared:
        delattr(sys.modules[_CLIENT], name.rpartition(".")[2])
        del sys.modules[name]
    with contextlib.suppress(OSError):
        ctypes.CDLL("libstdc++.so.6")  # of the C extension; to find and relocate it takes longer than all the rest
    return prepared


def dependent(modules: dict[str, types.CodeType]) -> set[str]:
    """Those that speak of variables or of the C extension anywhere, and those that speak of one of these."""
    words, found = {"environ", "environb", "getenv", _EXTENSION}, set[str]()
    while fresh := {name for name, code in modules.items() if name not in found and words & names_in(code)}:
        found |= fresh
        words |= {name.rpartition(".")[2] for name in fresh}
    return found


def names_in(code: types.CodeType) -> set[str]:
    """Every name in a piece of code, and in what is defined in it."""
    inner = (constant for constant in code.co_consts if isinstance(constant, types.CodeType))
    return set(code.co_names).union(*map(names_in, inner))


def hello() -> dict[str, Any]:
    """What the other end has to know to decide which runtimes can be forked."""
    site = sys.modules.get("site")
    found = set()
    for name, module in list(sys.modules.items()):
        # What is built in, or frozen, is found before any file.
        if getattr(getattr(module, "__spec__", None), "origin", None) not in (None, "built-in", "frozen"):
            found.add(name.partition(".")[0])
    return {
        "path": sys.path,
        "modules": sorted(found | {_CLIENT, _EXTENSION}),
        "home": bool(getattr(site, "ENABLE_USER_SITE", False)),
    }


class Forker:
    """Forks this process for its parent.

    Raises:
        Unsuitable: that cannot be done here.
    """

    def __init__(self) -> None:
        calls = _CALLS.get(os.uname().machine)
        if calls is None:
            raise Unsuitable(f"nobody has told it the system calls of {os.uname().machine}")
        if len(os.listdir("/proc/self/task")) > 1:
            raise Unsuitable("something that Python imports at its start has started a thread")
        self._clone, self._set_robust, get_robust, self._own_memory_first = calls
        # The C library keeps the number of each thread where only the kernel knows: a fork has to have its own there.
        self._thread_id = ctypes.c_void_p()
        _c.prctl(_GET_TID_ADDRESS, ctypes.byref(self._thread_id), 0, 0, 0)
        known = self._thread_id.value and ctypes.c_int.from_address(self._thread_id.value).value
        if known != os.getpid():
            raise Unsuitable("this kernel, or this C library, does not tell where the number of a thread is kept")
        self._robust, size = ctypes.c_void_p(), ctypes.c_size_t()
        _c.syscall(get_robust, 0, ctypes.byref(self._robust), ctypes.byref(size))
        self._robust_size = size

    def fork(self, group: int = -1) -> int:
        """As :func:`os.fork`, but that the child is our sibling.

        Arguments:
            group: a descriptor of the folder of a v2 control group, for the child to be born in.

        Raises:
            OSError: as there; or the group cannot be had in this way.
        """
        _python.PyOS_BeforeFork()
        pid = self._call_clone() if group < 0 else self._call_clone3(group)
        if pid == 0:
            _c.syscall(ctypes.c_long(self._set_robust), self._robust, self._robust_size)
            _python.PyOS_AfterFork_Child()
            return 0
        number = ctypes.get_errno()
        _python.PyOS_AfterFork_Parent()
        if pid < 0:
            raise OSError(number, os.strerror(number))
        return pid

    def _call_clone(self) -> int:
        flags, nothing = ctypes.c_ulong(_CLONE_PARENT | _CHILD_SETTID | _CHILD_CLEARTID), ctypes.c_void_p()
        last = (nothing, self._thread_id) if self._own_memory_first else (self._thread_id, nothing)
        return int(_c.syscall(ctypes.c_long(self._clone), flags, nothing, nothing, *last))

    def _call_clone3(self, group: int) -> int:
        # struct clone_args: flags, pidfd, child_tid, parent_tid, exit_signal, stack, its size, tls, set_tid, its size,
        # cgroup. The signal is the one that our own end sends.
        flags = _CLONE_PARENT | _CHILD_SETTID | _CHILD_CLEARTID | _INTO_CGROUP
        arguments = (ctypes.c_uint64 * 11)(flags, 0, self._thread_id.value or 0, *[0] * 7, group)
        return int(_c.syscall(ctypes.c_long(_CLONE3), ctypes.byref(arguments), ctypes.c_size_t(88)))


def serve(door: _socket.socket, forker: Forker) -> dict[str, Any]:
    """Fork for every request; returns in a fork only, once it was let go, with the request."""
    while True:
        packet, ancillary, _, _ = door.recvmsg(_LARGEST, _socket.CMSG_SPACE(8))
        if not packet:
            os._exit(0)
        output, way = memoryview(ancillary[0][2]).cast("i")
        request: dict[str, Any] = json.loads(packet)
        try:
            answer, groups = fork_into(forker, request["groups"], are_new=request["new_groups"])
        except OSError as error:
            answer, groups = -(error.errno or 1), []
        if answer == 0:
            door.close()
            os.setsid()
            os.write(way, b"+" if join(groups) else b"-")
            os.dup2(output, 1)
            os.dup2(output, 2)
            if not os.read(way, 1):
                os._exit(1)
            os.closerange(3, 1024)
            return request
        os.close(output)
        os.close(way)
        door.send(str(answer).encode())


def fork_into(forker: Forker, groups: list[str], *, are_new: bool) -> tuple[int, list[str]]:
    """Fork; the child gets the groups that it is not in yet."""
    # To be born in a v2 group costs nothing; to move there costs a grace period of the kernel's, milliseconds. But of
    # what is born in a group in which all were killed once, Linux 6.18 believes that it was meant, too.
    for folder in groups if are_new else ():
        if is_v2(folder):
            descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY)
            try:
                return forker.fork(descriptor), [other for other in groups if other != folder]
            except OSError:  # refused here, as some engines refuse system calls that they do not know
                break
            finally:
                os.close(descriptor)
    return forker.fork(), groups


def is_v2(group: str) -> bool:
    """Whether it is in the v2 tree; a v1 tree beside it has other files."""
    return os.access(f"{group}/cgroup.freeze", os.F_OK)


# -- in a fork -------------------------------------------------------------------------------------------


def join(groups: list[str]) -> bool:
    """Move this process into control groups; whether it is in all of them."""
    for folder in groups:
        # In a v1 tree a thread that moves itself waits for nobody, a process does; we are one thread.
        name = "cgroup.procs" if is_v2(folder) else "tasks"
        try:
            descriptor = os.open(f"{folder}/{name}", os.O_WRONLY)
            try:
                os.write(descriptor, b"0")
            finally:
                os.close(descriptor)
        except OSError:
            return False
    return True


class _Prepared:
    """Finds the modules that were compiled before."""

    def __init__(self, prepared: dict[str, tuple[ModuleSpec, types.CodeType]]) -> None:
        self._prepared = prepared

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> ModuleSpec | None:
        found = self._prepared.get(name)
        if found is None:
            return None
        spec, code = found
        spec.loader.get_code = lambda _name: code  # type: ignore[union-attr]
        return spec

    def close(self) -> None:
        for spec, _ in self._prepared.values():
            spec.loader.__dict__.pop("get_code", None)


def become(
    request: dict[str, Any], prepared: dict[str, tuple[ModuleSpec, types.CodeType]]
) -> tuple[types.CodeType, dict[str, Any]]:
    """Be the process that the request describes; answers the code of its script, and where that is to run."""
    os.environ.clear()
    os.environ.update(request["variables"])
    time.tzset()
    os.chdir(request["folder"])
    sys.path[:] = request["path"]
    script = request["command"][-1]
    sys.orig_argv[:] = request["command"]
    sys.argv[:] = [script]
    show(request["command"], request["variables"])
    finder = _Prepared(prepared)
    sys.meta_path.insert(0, finder)
    __import__(f"{_CLIENT}.__main__")
    sys.meta_path.remove(finder)
    finder.close()
    loader = SourceFileLoader("__main__", script)
    code = loader.get_code("__main__")
    assert code is not None, "a script has code"
    module = types.ModuleType("__main__")
    names = {"__builtins__": sys.modules["builtins"], "__file__": script, "__cached__": None, "__loader__": loader}
    module.__dict__.update(names, __annotations__={})
    sys.modules["__main__"] = module
    return code, module.__dict__


def show(command: list[str], variables: dict[str, str]) -> None:
    """Have ``/proc``, and so ``ps``, tell the command line and the variables; nothing else depends on it."""
    words = b"".join(os.fsencode(word) + b"\0" for word in command)
    pairs = b"".join(os.fsencode(f"{name}={value}") + b"\0" for name, value in variables.items())
    _kept.append(ctypes.create_string_buffer(words + pairs))
    begin = ctypes.addressof(_kept[-1])
    middle, end = begin + len(words), begin + len(words) + len(pairs)
    # struct prctl_mm_map: addresses, no auxiliary vector, and no other program (-1) in place of this one.
    layout = (ctypes.c_uint64 * 13)(*_layout[:5], 0, _layout[5], begin, middle, middle, end, 0, 0xFFFF_FFFF << 32)
    reference, size = ctypes.byref(layout), ctypes.c_ulong(ctypes.sizeof(layout))
    layout[5] = _c.sbrk(0)  # at the last moment: the heap may have grown by the lines above
    _c.prctl(_SET_MM, _SET_MM_MAP, reference, size, 0)


def read_layout() -> tuple[int, ...]:
    """Where code, data, heap and stack of this process begin and end, as ``struct prctl_mm_map`` has them."""
    descriptor = os.open("/proc/self/stat", os.O_RDONLY)
    fields = os.read(descriptor, 4096).rpartition(b")")[2].split()
    os.close(descriptor)
    begin = 3  # the number, in the manual, of the first field after the name
    return tuple(int(fields[number - begin]) for number in (26, 27, 45, 46, 47, 28))


_kept: list[ctypes.Array[ctypes.c_char]] = []
_layout: tuple[int, ...] = ()

if __name__ == "__main__":
    _door = _socket.socket(fileno=int(sys.argv[1]))
    try:
        _forker = Forker()
        _prepared = preload()
    except Unsuitable as _reason:
        _door.send(json.dumps({"obstacle": str(_reason)}).encode())
        sys.exit(1)
    _layout = read_layout()
    _door.send(json.dumps(hello()).encode())
    # A collection in a fork would write to every page that it shares.
    gc.disable()
    gc.collect()
    gc.freeze()
    _request = serve(_door, _forker)
    gc.enable()
    _code, _names = become(_request, _prepared)
    try:
        exec(_code, _names)  # noqa: S102  (the runtime's script, as its interpreter would)
    except (SystemExit, KeyboardInterrupt):
        raise
    except BaseException as _error:  # noqa: BLE001  (whatever it is, it is shown and ends the process)
        # As if its script were the first frame.
        _error.__traceback__ = _error.__traceback__ and _error.__traceback__.tb_next
        sys.excepthook(type(_error), _error, _error.__traceback__)
        sys.exit(1)
