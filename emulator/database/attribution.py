"""Which environment opened which session, kept for as long as the server holds the session.

A container is known by its address, before and after its end. A process is known only while it lives, by
the socket it holds; so it is looked for as soon as its session shows, and once more before it is ended.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Protocol

from emulator.database.sessions import EnvironmentFacts, ProcessRow, is_session
from emulator.database.sockets import client_end
from emulator.lifecycle import State
from emulator.model import EnvironmentId, Function, RequestId

__all__ = ["Attribution", "ObservedEnvironment"]

# A client that was looked for so often and is no environment's will not become one: it is not asked of the
# kernel again twice a second for as long as somebody leaves a client of their own open.
_LOOKS = 5


class ObservedEnvironment(Protocol):
    """What is asked of an environment here; :class:`emulator.environment.Environment` is one."""

    @property
    def id(self) -> EnvironmentId: ...
    @property
    def function(self) -> Function: ...
    @property
    def state(self) -> str: ...
    @property
    def last_request_id(self) -> RequestId | None: ...
    @property
    def sandbox_kind(self) -> str:
        """``container`` | ``process``."""
        ...

    @property
    def address(self) -> str:
        """Of a container, its address on the bridge; not looked at otherwise."""
        ...

    def process_ids(self) -> Collection[int]:
        """Of processes, every one of the environment right now; not asked otherwise."""
        ...


class Attribution:
    """The memory of it. ``remembered`` is how many environments are kept that are gone and hold no session."""

    def __init__(self, remembered: int = 10_000) -> None:
        self._remembered = remembered
        self._owners: dict[int, EnvironmentId] = {}
        self._looks: dict[int, int] = {}
        self._facts: dict[EnvironmentId, EnvironmentFacts] = {}
        self._gone: OrderedDict[EnvironmentId, None] = OrderedDict()
        self._addresses: dict[str, EnvironmentId] = {}
        self._address_of: dict[EnvironmentId, str] = {}

    @property
    def owners(self) -> Mapping[int, EnvironmentId]:
        return self._owners

    @property
    def facts(self) -> Mapping[EnvironmentId, EnvironmentFacts]:
        return self._facts

    def meet(self, environments: Iterable[ObservedEnvironment], *, only_new: bool = False) -> None:
        """Take note of the environments that there are; whichever is no longer among them is gone.

        With ``only_new`` nothing is changed in what is known of the others.
        """
        there: set[EnvironmentId] = set()
        for environment in environments:
            there.add(environment.id)
            if not (only_new and environment.id in self._facts):
                self._note(environment)
        if only_new:
            return
        for environment_id in [known for known in self._facts if known not in there]:
            self._bury(environment_id)
        while len(self._gone) > self._remembered and (oldest := self._oldest_without_session()) is not None:
            self._forget(oldest)

    def place(
        self,
        rows: Sequence[ProcessRow],
        *,
        relayed: Callable[[tuple[str, int]], EnvironmentId | None] = lambda _client: None,
        insist: bool = False,
    ) -> dict[int, str]:
        """Settle what an address settles; answers what is left: from a thread id to its client.

        Sessions that have ended are forgotten. ``relayed`` knows whose connection a relay has made from there.
        With ``insist`` clients are named that were looked for in vain before.
        """
        there = {row.id for row in rows}
        self._owners = {thread: owner for thread, owner in self._owners.items() if thread in there}
        self._looks = {thread: count for thread, count in self._looks.items() if thread in there}
        left: dict[int, str] = {}
        for row in rows:
            end = client_end(row.host)
            if row.id in self._owners or end is None or not is_session(row):
                continue
            owner = relayed((str(end[0]), end[1])) or self._addresses.get(str(end[0]))
            if owner is not None:
                self._owners[row.id] = owner
            elif insist or self._looks.get(row.id, 0) < _LOOKS:
                self._looks[row.id] = self._looks.get(row.id, 0) + 1
                left[row.id] = row.host
        return left

    def settle(self, holders: Mapping[int, EnvironmentId]) -> None:
        """Keep what was found out about sessions."""
        self._owners.update(holders)

    def forget_sessions(self) -> None:
        """The server was started anew: its thread ids begin again and mean other sessions."""
        self._owners.clear()
        self._looks.clear()

    def _note(self, environment: ObservedEnvironment) -> None:
        gone = environment.state == State.GONE
        self._facts[environment.id] = EnvironmentFacts(
            environment.id, environment.function.name, environment.state, environment.last_request_id, gone
        )
        if gone:
            self._gone.setdefault(environment.id)
        if environment.sandbox_kind == "container" and environment.address:
            self._addresses[environment.address] = environment.id
            self._address_of[environment.id] = environment.address

    def _bury(self, environment_id: EnvironmentId) -> None:
        facts = self._facts[environment_id]
        if not facts.gone:
            self._facts[environment_id] = EnvironmentFacts(
                facts.id, facts.function, State.GONE, facts.request_id, gone=True
            )
        self._gone.setdefault(environment_id)

    def _oldest_without_session(self) -> EnvironmentId | None:
        holding = set(self._owners.values())
        return next((known for known in self._gone if known not in holding), None)

    def _forget(self, environment_id: EnvironmentId) -> None:
        del self._gone[environment_id], self._facts[environment_id]
        address = self._address_of.pop(environment_id, None)
        if address is not None and self._addresses.get(address) == environment_id:
            del self._addresses[address]
