"""The version of this package, as it was installed."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

__all__ = ["VERSION"]

try:
    VERSION = version("lambda-freezer")
except PackageNotFoundError:  # run from a folder that was never installed
    VERSION = "0+unknown"
