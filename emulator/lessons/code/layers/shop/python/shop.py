"""What all functions of the lessons share: the way to the database."""

import os
import signal
import socket
import threading

import pymysql


def connect(**options):
    return pymysql.connect(
        host=os.environ["DB_HOST"],
        port=int(os.environ["DB_PORT"]),
        user=os.environ["DB_USER"],
        password=os.environ["DB_PASSWORD"],
        database=os.environ["DB_NAME"],
        ssl_disabled=True,  # only because nothing leaves this machine
        **options,
    )


def ask(connection, question, *values):
    """The first value of the answer, or nothing."""
    with connection.cursor() as cursor:
        cursor.execute(question, values)
        row = cursor.fetchone()
        return row[0] if row else None


def session_of(connection):
    """The number of the session, asked of the server: so it is also a proof that the connection works."""
    return ask(connection, "SELECT CONNECTION_ID()")


def limit_statements(connection, milliseconds):
    """How long a statement may take; MariaDB and MySQL have a variable each."""
    if "MariaDB" in connection.get_server_info():
        name, value = "max_statement_time", milliseconds / 1000
    else:
        name, value = "max_execution_time", milliseconds
    ask(connection, f"SET SESSION {name} = %s", value)


def at_the_end(action):
    # Python runs handlers of signals in the main thread, and that one
    # waits in a C library. What the signal writes here, a thread reads.
    told, tells = socket.socketpair()
    tells.setblocking(False)
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    signal.set_wakeup_fd(tells.fileno())

    def wait():
        told.recv(1)
        action()
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()
    at_the_end.kept = tells
