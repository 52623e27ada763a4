"""How much memory processes ever held, by the kernel's high-water marks."""

from __future__ import annotations

import os
import subprocess
import sys

from emulator.sandbox.memory import peak_of_processes

MIB = 2**20


def test_a_peak_counts_what_was_given_back_already() -> None:
    """A process that once held 64 MiB has a peak of more than that, and so the sum of two."""
    program = "import sys; x = bytearray(64 << 20); x = None; print(flush=True); sys.stdin.read()"
    processes = [
        subprocess.Popen([sys.executable, "-I", "-S", "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            process.stdout.readline()
        one = peak_of_processes([processes[0].pid])
        both = peak_of_processes(process.pid for process in processes)
        assert 64 * MIB < one < 256 * MIB
        assert both > one + 64 * MIB
    finally:
        for process in processes:
            process.communicate()


def test_processes_that_are_gone_count_nothing() -> None:
    """And they do not keep the others from being counted."""
    assert peak_of_processes([]) == 0
    assert peak_of_processes([2**22 + 1]) == 0
    assert MIB < peak_of_processes([os.getpid()]) <= peak_of_processes([2**22 + 1, os.getpid()])
