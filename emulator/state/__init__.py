"""What outlives the emulator: a folder with what its API was asked for, and the events that it has accepted."""

from __future__ import annotations

from emulator.state.folder import StateFolder
from emulator.state.journal import EventJournal, KeptEvent, KeptRecord

__all__ = ["EventJournal", "KeptEvent", "KeptRecord", "StateFolder"]
