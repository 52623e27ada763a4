"""A busy thread and a child process, each of which counts in shared memory for as long as it is let."""

import ctypes
import mmap
import os
import threading

shared = mmap.mmap(-1, 16)
# One store for each number: a freeze may come between any two instructions, and must not find half a number.
by_thread = ctypes.c_longlong.from_buffer(shared, 0)
by_child = ctypes.c_longlong.from_buffer(shared, 8)


def count_for_ever(counter):
    while True:
        counter.value += 1


if os.fork() == 0:
    count_for_ever(by_child)
threading.Thread(target=count_for_ever, args=(by_thread,), daemon=True).start()


def handler(event, context):
    return {"thread": by_thread.value, "child": by_child.value}


def hang(event, context):
    threading.Event().wait(60)
