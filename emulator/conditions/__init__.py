"""What happens to functions on AWS, to have on purpose: frozen for too long, recycled, killed, in a storm, ..."""

from __future__ import annotations

from emulator.conditions.catalogue import CONDITIONS, find_condition
from emulator.conditions.seen import SeenError, error_of
from emulator.conditions.stage import Condition, Stage

__all__ = ["CONDITIONS", "Condition", "SeenError", "Stage", "error_of", "find_condition"]
