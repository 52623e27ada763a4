"""Policies: which environment serves next, and when one is recycled; every decision with its reason.

AWS documents none of this; ``aws`` copies what people measured (docs/policies.md). The names below are what programs
compose their own policies of: ``IdleTimeout("7m") | MaxLifetime("2h")``.
"""

from emulator.policies.histogram import Histogram
from emulator.policies.memory import EvictionOrder, MemoryPressure
from emulator.policies.policy import Policy, Reusable
from emulator.policies.presets import PRESETS
from emulator.policies.rules import AfterError, Chance, HalfOfIdle, IdleTimeout, MaxInvocations, MaxLifetime
from emulator.policies.selection import Selection

__all__ = [
    "PRESETS",
    "AfterError",
    "Chance",
    "EvictionOrder",
    "HalfOfIdle",
    "Histogram",
    "IdleTimeout",
    "MaxInvocations",
    "MaxLifetime",
    "MemoryPressure",
    "Policy",
    "Reusable",
    "Selection",
]
