"""What a database of a size takes: instance classes of RDS with their limits. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from emulator.errors import ConfigurationError

__all__ = ["PROFILES", "Profile", "profile_named"]

_WAIT_TIMEOUT = 28_800  # seconds [D]


@dataclass(frozen=True, slots=True)
class Profile:
    """A class of database instances, with what its default parameters come to.

    Attributes:
        memory: GiB, as the class is sold.
        wait_timeout: seconds.
    """

    name: str
    memory: float
    max_connections: int
    wait_timeout: int = _WAIT_TIMEOUT


# [X] RDS for MySQL: the default is {DBInstanceClassMemory/12582880}, and that memory is less than the class is sold
# with. These are figures that users saw from 2015 to 2022, mostly on t2, m4 and r3, carried over to other classes by
# their memory; [I] that of 32 GiB lies between two of them. They may differ by the version of the engine.
_BY_MEMORY = {1: 66, 2: 150, 4: 307, 8: 648, 15.25: 1258, 16: 1320, 30.5: 2540, 32: 2650}
_CLASSES: dict[float, tuple[str, ...]] = {
    1: ("t2.micro", "t3.micro", "t4g.micro"),
    2: ("t2.small", "t3.small", "t4g.small"),
    4: ("t2.medium", "t3.medium", "t4g.medium"),
    8: ("t2.large", "t3.large", "t4g.large", "m4.large", "m5.large", "m6g.large"),
    15.25: ("r3.large",),
    16: ("m4.xlarge", "m5.xlarge", "m6g.xlarge", "r5.large", "r6g.large"),
    30.5: ("r3.xlarge",),
    32: ("r5.xlarge", "r6g.xlarge"),
}
# [D] Aurora MySQL: GREATEST(log2(memory/805306368)*45, log2(memory/8187281408)*1000)
_AURORA: dict[float, tuple[int, tuple[str, ...]]] = {
    2: (45, ("t3.small",)),
    4: (90, ("t3.medium", "t4g.medium")),
    8: (135, ("t3.large", "t4g.large")),
    16: (1000, ("r5.large", "r6g.large")),
    32: (2000, ("r5.xlarge", "r6g.xlarge")),
    64: (3000, ("r5.2xlarge", "r6g.2xlarge")),
    128: (4000, ("r5.4xlarge", "r6g.4xlarge")),
    256: (5000, ("r5.8xlarge", "r6g.8xlarge")),
    512: (6000, ("r5.16xlarge", "r6g.16xlarge")),
}


def _all() -> dict[str, Profile]:
    made = [Profile(f"db.{name}", memory, _BY_MEMORY[memory]) for memory, names in _CLASSES.items() for name in names]
    made += [
        Profile(f"aurora:db.{name}", memory, connections)
        for memory, (connections, names) in _AURORA.items()
        for name in names
    ]
    return {profile.name: profile for profile in made}


PROFILES: Mapping[str, Profile] = MappingProxyType(_all())
"""By name, smallest first; those of Aurora MySQL begin with ``aurora:``."""


def profile_named(name: str) -> Profile:
    """The profile of a class, by its name: ``db.t3.micro``, ``aurora:db.r5.large``.

    Raises:
        ConfigurationError: there is none; the cure names those that look like it.
    """
    known = PROFILES.get(name.strip().lower())
    if known is not None:
        return known
    close = difflib.get_close_matches(name.lower(), PROFILES, n=4, cutoff=0.6)
    kin = [each for each in PROFILES if each.rpartition(".")[0] == name.lower().rpartition(".")[0]]
    shown = list(dict.fromkeys([*close, *kin]))[:6]
    raise ConfigurationError(
        f"there is no database profile {name!r}",
        cure=f"{'Close to it: ' + ', '.join(shown) if shown else 'There are ' + ', '.join(PROFILES)}. "
        "For any other class set max_connections and wait_timeout themselves.",
    )
