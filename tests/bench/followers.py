"""So many readers of something that does not end: ``python -m tests.bench.followers PORT PATH COUNT``.

It says so on its standard output when all of them are being answered; it ends when it is killed.
"""

from __future__ import annotations

import selectors
import socket
import sys

__all__ = ["main"]


def main(port: int, path: str, count: int) -> None:
    """Read all that comes, and throw it away."""
    selector = selectors.DefaultSelector()
    for _ in range(count):
        reader = socket.create_connection(("127.0.0.1", port))
        reader.sendall(b"GET %b HTTP/1.1\r\nHost: localhost\r\n\r\n" % path.encode())
        reader.recv(65536)
        selector.register(reader, selectors.EVENT_READ, reader)
    print("ready", flush=True)
    while selector.get_map():
        for key, _ in selector.select():
            if not key.data.recv(65536):
                selector.unregister(key.data)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
