import threading
import time

from shop import connect, session_of

pool = {}  # connection: when it was last used


def reaper():
    while True:
        time.sleep(0.1)
        for connection, used in list(pool.items()):
            if time.monotonic() - used > 0.5:
                del pool[connection]
                connection.close()
                print("the reaper closed one")


threading.Thread(target=reaper, daemon=True).start()


def handler(event, context):
    time.sleep(event.get("before", 0))
    while len(pool) < 2:  # two questions at once
        pool[connect()] = time.monotonic()
    found = [session_of(connection) for connection in pool]
    for connection in pool:
        pool[connection] = time.monotonic()
    time.sleep(event.get("after", 0))
    return found
