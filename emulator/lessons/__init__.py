"""Sixteen lessons about frozen environments and their database connections, each told on a real emulator.

A lesson is a generator of blocks (``blocks.py``): it runs code on its stage (``stage.py``), and yields what there is
to read and to see. Who shows the blocks is another matter: a terminal, a page of the docs, or a test.
"""
