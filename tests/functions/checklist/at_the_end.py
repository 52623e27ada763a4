"""A function that closes its database connection when it is told that the end is near.

The main thread of AWS's Python runtime client waits for events in a C library, so Python's own signal handlers do not
run while it does. What the signal writes into a pipe a thread can read.
"""

import os
import signal
import socket
import threading

import pymysql

connection = pymysql.connect(
    host=os.environ["DB_HOST"],
    port=int(os.environ["DB_PORT"]),
    user=os.environ["DB_USER"],
    password=os.environ["DB_PASSWORD"],
    database=os.environ["DB_NAME"],
)


def wait_for_the_end(told):
    told.recv(1)
    print("SIGTERM seen", flush=True)
    connection.close()
    print("connection closed", flush=True)
    os._exit(0)


told, tells = socket.socketpair()
tells.setblocking(False)
signal.signal(signal.SIGTERM, lambda number, frame: None)
signal.set_wakeup_fd(tells.fileno())
threading.Thread(target=wait_for_the_end, args=(told,), daemon=True).start()


def handler(event, context):
    with connection.cursor() as cursor:
        cursor.execute("SELECT CONNECTION_ID()")
        return cursor.fetchone()[0]
