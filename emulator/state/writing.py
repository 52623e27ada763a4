"""Files that are replaced as a whole: whatever happens meanwhile, there is the old one or the new one."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["replace_file"]


def replace_file(path: Path, data: bytes) -> None:
    """Have this in the file, and on the disk.

    Nobody else may read it: variables of functions and payloads of events may be secrets.

    Raises:
        OSError: it cannot be written; the old one is there as it was.
    """
    new = path.with_name(f"{path.name}.new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)  # or after a power cut the name is that of the old one
    finally:
        os.close(folder)
