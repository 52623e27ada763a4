"""What this build knows of what it may be asked to do."""

from __future__ import annotations

import pydantic

from emulator.config import EmulatorSettings

__all__ = ["NOT_AVAILABLE", "is_known"]

NOT_AVAILABLE = "not available in this build"


def is_known(key: str, value: object) -> bool:
    """Whether ``[emulator]`` takes this key with this value."""
    try:
        EmulatorSettings.model_validate({key: value})
    except pydantic.ValidationError:
        return False
    return True
