"""A workload on the real pool, policies and limits, without sandboxes and on a clock that does not wait.

What it tells, and what it assumes for that: docs/simulator.md.
"""
