"""The warden: a small process that outlives the emulator by a moment and ends what it left running.

It is told line by line on its standard input what exists. When that pipe ends, because the emulator stopped
or was killed in whatever way, it kills every process still on its list and removes groups and folders.
It is run as a plain script, without the package and without site-packages, to be small and to start fast.

Lines, with JSON behind the first word:
    keep {"key": ..., "pid": ..., "groups": [...], "folders": [...]}
    drop {"key": ...}
"""

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from typing import Any


def main() -> None:
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    kept: dict[str, dict[str, Any]] = {}
    for line in sys.stdin:
        word, _, rest = line.partition(" ")
        entry = json.loads(rest)
        if word == "keep":
            kept[entry["key"]] = entry
        else:
            kept.pop(entry["key"], None)
    for entry in kept.values():
        end(entry)
    for entry in kept.values():
        clean(entry)


def end(entry: dict[str, Any]) -> None:
    for group in entry["groups"]:
        thaw_and_kill(group)
    if entry["pid"]:
        attempt(os.killpg, entry["pid"], signal.SIGKILL)


def thaw_and_kill(group: str) -> None:
    # A v1 freezer holds even SIGKILL back, a v2 one does not; each file exists in its own tree only.
    attempt(write, f"{group}/freezer.state", "THAWED")
    attempt(write, f"{group}/cgroup.kill", "1")
    for pid in process_ids(group):
        attempt(os.kill, pid, signal.SIGKILL)


def clean(entry: dict[str, Any]) -> None:
    for group in entry["groups"]:
        deadline = time.monotonic() + 2
        while os.path.isdir(group) and time.monotonic() < deadline:
            thaw_and_kill(group)
            attempt(os.rmdir, group)
            time.sleep(0.005)
    for folder in entry["folders"]:
        shutil.rmtree(folder, ignore_errors=True)


def process_ids(group: str) -> list[int]:
    try:
        with open(f"{group}/cgroup.procs") as lines:
            return [int(line) for line in lines]
    except OSError:
        return []


def write(path: str, text: str) -> None:
    with open(path, "r+") as file:
        file.write(text)


def attempt(call: Callable[..., object], *arguments: object) -> None:
    try:
        call(*arguments)
    except OSError:
        pass


if __name__ == "__main__":
    main()
