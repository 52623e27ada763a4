"""Archives as clients send them, good and bad."""

from __future__ import annotations

import io
import stat
import zipfile

__all__ = ["archive", "link"]


def archive(*entries: tuple[str | zipfile.ZipInfo, str | bytes]) -> bytes:
    """A zip archive; by default of a handler that answers with its version."""
    given = entries or (("app.py", "def handler(event, context): return context.function_version"),)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in given:
            opened.writestr(name, content)
    return file.getvalue()


def link(name: str) -> zipfile.ZipInfo:
    """An entry that is a link; its content says where to."""
    entry = zipfile.ZipInfo(name)
    entry.create_system = 3
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry
