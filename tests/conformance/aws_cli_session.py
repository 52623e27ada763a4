"""Many commands of the AWS CLI, one after the other, in one process: its start takes longer than all that they do.

A program: reads a list of command lines as JSON from standard input, and writes a list of what came of each.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from typing import Any


def run(driver: Any, arguments: list[str]) -> dict[str, Any]:
    """One command, as the program ``aws`` runs it."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = driver.main(arguments)
        except SystemExit as end:
            status = end.code
    texts = [stream.buffer.getvalue().decode() for stream in (out, err)]
    return {"status": status, "out": texts[0], "err": texts[1]}


def main() -> None:
    """Run what standard input says."""
    from awscli.clidriver import create_clidriver

    commands: list[list[str]] = json.load(sys.stdin)
    answers = [run(create_clidriver(), command) for command in commands]
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
