"""What functions did to the database, read from the timeline: who opened which session, who used it, how it ended.

Pure: it takes events and gives records. A *session* is what the server holds; it is known by the connection through
the relay, and has the server's own number as soon as the observer has seen it. One that lived too briefly for that has
none. What was open before the first of the events is known only as far as they speak of it.
"""

from emulator.evidence.evidence import Cause, Evidence, Why
from emulator.evidence.stories import EnvironmentStory, InvocationStory, SessionStory

__all__ = ["Cause", "EnvironmentStory", "Evidence", "InvocationStory", "SessionStory", "Why"]
