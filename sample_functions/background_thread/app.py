"""A thread that outlives the invocation stops with it, and goes on in the middle of somebody else's."""

import itertools
import threading
import time

ticks = []


def tick():
    while True:
        ticks.append(time.time())
        time.sleep(0.01)


threading.Thread(target=tick, daemon=True).start()


def handler(event, context):
    time.sleep(event.get("seconds", 0.1))
    gaps = [later - earlier for earlier, later in itertools.pairwise(ticks)]
    return {"ticks": len(ticks), "longest_gap_seconds": max(gaps, default=0)}
