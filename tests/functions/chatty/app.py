"""Writes numbered lines from three sides at once: standard output, standard error, and a child process."""

import os
import threading


def flood(descriptor, writer, lines, width):
    """As many whole lines at a time as a pipe takes in one piece."""
    at_once = 4096 // width
    for first in range(0, lines, at_once):
        numbers = range(first, min(lines, first + at_once))
        piece = b"".join((b"%s %d " % (writer, number)).ljust(width - 1, b".") + b"\n" for number in numbers)
        os.write(descriptor, piece)


def handler(event, context):
    lines, width = event["lines"], event.get("width", 100)
    child = os.fork()
    if not child:
        flood(1, b"child", lines, width)
        os._exit(0)
    thread = threading.Thread(target=flood, args=(2, b"err", lines, width))
    thread.start()
    flood(1, b"out", lines, width)
    thread.join()
    os.waitpid(child, 0)
    return lines
