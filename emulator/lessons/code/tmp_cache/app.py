import json
import pathlib
import tempfile
import time

from shop import ask, connect

CACHE = pathlib.Path(tempfile.gettempdir(), "apple.json")  # in /tmp


def handler(event, context):
    if CACHE.exists():
        price, source = json.loads(CACHE.read_text()), "file"
    else:
        price, source = fetch(), "database"
        CACHE.write_text(json.dumps(price))
    time.sleep(event.get("seconds", 0))
    return {"apple": price, "from": source}


def fetch():
    with connect() as connection:  # a slow report
        return ask(connection, "SELECT apple, SLEEP(0.2) FROM prices")
