"""Policies that settings can name; docs/policies.md says which measurement each copies, and how sure that is."""

from __future__ import annotations

from emulator.policies.rules import IdleTimeout, MaxInvocations, MaxLifetime

__all__ = ["PRESETS"]

PRESETS: dict[str, tuple[object, ...]] = {
    # [X] measured by others: idle ones gone within 5 to 10 minutes, busy ones replaced after about 2 hours
    "aws": (IdleTimeout("7m"), MaxLifetime("2h")),
    # [X] measured in August 2019: idle ones gone after exactly 10 minutes; nobody measured the life of busy ones then
    "aws-2019": (IdleTimeout("10m"),),
    # [C] container-proxy.timeouts.idle-container. DIFFERS: there it is paused 50 ms after its use, here at once
    "openwhisk": (IdleTimeout("10m"),),
    # [D] idle_timeout of a hot function
    "fn": (IdleTimeout("30s"),),
    "always-cold": (MaxInvocations(1),),
    "keep-warm": (),
}
