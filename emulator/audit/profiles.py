"""How many connections a database of a class takes, by default. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from emulator.errors import ConfigurationError

__all__ = ["PROFILES", "connections_of"]

# [X] RDS for MySQL: {DBInstanceClassMemory/12582880}, where that memory is less than the class is sold with. Figures
# seen in the field for classes of that memory; a parameter group may say otherwise.
_BY_MEMORY = {1: 66, 2: 150, 4: 307, 8: 648, 16: 1320, 32: 2650}  # GiB
_CLASSES = {
    1: ("t2.micro", "t3.micro", "t4g.micro"),
    2: ("t2.small", "t3.small", "t4g.small"),
    4: ("t2.medium", "t3.medium", "t4g.medium"),
    8: ("t2.large", "t3.large", "t4g.large", "m5.large", "m6g.large"),
    16: ("m5.xlarge", "m6g.xlarge", "r5.large", "r6g.large"),
    32: ("r5.xlarge", "r6g.xlarge"),
}
# [D] GREATEST(log2(memory/805306368)*45, log2(memory/8187281408)*1000)
_AURORA = {
    "t3.small": 45,
    "t3.medium": 90,
    "t4g.medium": 90,
    "t3.large": 135,
    "t4g.large": 135,
    "r5.large": 1000,
    "r6g.large": 1000,
    "r5.xlarge": 2000,
    "r6g.xlarge": 2000,
    "r5.2xlarge": 3000,
    "r6g.2xlarge": 3000,
}

PROFILES: Mapping[str, int] = MappingProxyType(
    {f"db.{name}": _BY_MEMORY[memory] for memory, names in _CLASSES.items() for name in names}
    | {f"aurora:db.{name}": connections for name, connections in _AURORA.items()}
)
"""``max_connections`` by class; Aurora MySQL's begin with ``aurora:``."""


def connections_of(profile: str) -> int:
    """The ``max_connections`` of a class.

    Raises:
        ConfigurationError: it is not in the list.
    """
    if profile not in PROFILES:
        raise ConfigurationError(
            f"there is no profile {profile!r}",
            cure=f"There are {', '.join(PROFILES)}; or say --max-connections.",
        )
    return PROFILES[profile]
