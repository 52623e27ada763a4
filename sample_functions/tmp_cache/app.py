"""/tmp survives from one invocation to the next: a cache that is free, as long as you can lose it."""

import json
import os
import tempfile
import time

CACHE = os.path.join(tempfile.gettempdir(), "prices.json")


def handler(event, context):
    if os.path.exists(CACHE):
        with open(CACHE) as file:
            return {"from": "cache", **json.load(file)}
    prices = {"fetched_at": time.time(), "apple": 3}  # stands for something slow
    with open(CACHE, "w") as file:
        json.dump(prices, file)
    return {"from": "source", **prices}
