"""``lambda-freezer.toml`` itself: read, checked, and everything tried that can be made of it."""

from __future__ import annotations

from pathlib import Path

from emulator.config.checking import checked
from emulator.config.settings import Settings
from emulator.errors import ConfigurationError

__all__ = ["CONFIG_FILE", "load_settings"]

CONFIG_FILE = "lambda-freezer.toml"


def load_settings(path: Path | None) -> tuple[Settings, Path]:
    """The settings of a file and the folder that its paths are relative to.

    Without a path, ``lambda-freezer.toml`` of the working directory is read if it is there.

    Raises:
        ConfigurationError: with the file, the key, what was found and what is allowed.
    """
    if path is None:
        path = Path(CONFIG_FILE)
        if not path.exists():
            return Settings(), Path.cwd()
    import tomllib  # not for those who have no file

    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read: {error.strerror}", cure="Name another file with --config."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not TOML: {error}", cure="https://toml.io shows the format.") from error
    settings, base = checked(Settings, values, str(path)), path.resolve().parent
    try:
        settings.make_functions(base)
        settings.make_routes()
        settings.make_schedules()
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error.message}", cure=error.cure) from error
    return settings, base
