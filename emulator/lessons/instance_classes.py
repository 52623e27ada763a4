"""How many connections a database of a given size takes."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["INSTANCE_CLASSES", "InstanceClass"]


@dataclass(frozen=True, slots=True)
class InstanceClass:
    """A size of a database server.

    Attributes:
        memory: GiB.
        max_connections: what its default comes to.
    """

    name: str
    memory: int
    max_connections: int


# [X] RDS for MySQL: the default is {DBInstanceClassMemory/12582880}, and that memory is less than the nominal one, so
# these are figures that users saw, of 2015 to 2022, carried over to today's classes by memory; [I] the last one lies
# between two of them. They differ by engine version.
INSTANCE_CLASSES = (
    InstanceClass("db.t3.micro", 1, 66),
    InstanceClass("db.t3.small", 2, 150),
    InstanceClass("db.t3.medium", 4, 307),
    InstanceClass("db.m5.large", 8, 648),
    InstanceClass("db.m5.xlarge", 16, 1320),
    InstanceClass("db.r5.xlarge", 32, 2650),
)
"""Smallest first."""
