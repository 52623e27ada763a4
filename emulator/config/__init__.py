"""Settings: ``lambda-freezer.toml`` and what may stand in it.

``tables`` has a class for every table, with its keys, of ``values`` of a few kinds; ``settings`` is all of them
together, and what is made of them; ``policies`` makes policies of the table of that name, ``checking`` says what is
wrong, and ``file`` reads it all.
"""

from __future__ import annotations

from emulator.config.file import CONFIG_FILE, load_settings
from emulator.config.policies import make_policy, make_pressure, policy_settings, policy_table
from emulator.config.settings import Settings
from emulator.config.tables import (
    AsynchronousSettings,
    CorsSettings,
    DatabaseSettings,
    EmulatorSettings,
    FunctionSettings,
    LoggingSettings,
    PolicySettings,
    RouteSettings,
    RuntimeSettings,
    ScheduleSettings,
    UrlTable,
)
from emulator.config.values import parse_duration

__all__ = [
    "CONFIG_FILE",
    "AsynchronousSettings",
    "CorsSettings",
    "DatabaseSettings",
    "EmulatorSettings",
    "FunctionSettings",
    "LoggingSettings",
    "PolicySettings",
    "RouteSettings",
    "RuntimeSettings",
    "ScheduleSettings",
    "Settings",
    "UrlTable",
    "load_settings",
    "make_policy",
    "make_pressure",
    "parse_duration",
    "policy_settings",
    "policy_table",
]
