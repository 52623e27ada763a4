"""The functions that are deployed, with their versions and aliases, and what a change of one of them means.

Each has a pool under its name; a published version has one under ``name:version``, which is made when it is first
invoked. What a change means for environments is the pool's to say, for events that wait :class:`Events`'; here is who
has to hear of it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from emulator import text
from emulator.asynchronous import Events
from emulator.concurrency import Concurrency, Share
from emulator.database.database import Database
from emulator.debugged import Attachment, DebuggedPool
from emulator.debugger import DebugPorts
from emulator.deployment import check_code
from emulator.errors import CodeError, FunctionNotFoundError, ResourceConflictError
from emulator.event_settings import Asynchronous
from emulator.hot_reload import HotReload
from emulator.model import LATEST, PROVISIONED_LIFETIME, Function
from emulator.pool import Pool
from emulator.pools import Pools
from emulator.provisioned import ProvisionedView
from emulator.qualifiers import Qualifiers, Routing
from emulator.rulebook import Rulebook
from emulator.surroundings import Surroundings
from emulator.urls import UrlConfig, Urls, make_url_id

__all__ = ["Functions"]


class Functions:
    """What can be invoked. Iterated over, it is every function as it is now, without those of versions.

    Arguments:
        surroundings: of the environments to come.
        base: relative folders of code and layers are below it.
        pools: where those of functions and versions are kept.
        rulebook: says which policy each has.
        concurrency: the account's places.
        events: takes asynchronous events for each.
        urls: where those of functions are kept.
        debug_ports: of those that have one; entered already.
        hot_reload: looks after the code of each.
        database: where what a function names as its own is made.
        provisioned_lifetime: seconds after which what was initialised ahead is renewed.
        state: the folder that outlives the emulator; no code may contain it.
    """

    def __init__(
        self,
        surroundings: Surroundings,
        *,
        base: Path,
        pools: Pools,
        rulebook: Rulebook,
        concurrency: Concurrency,
        events: Events,
        urls: Urls,
        debug_ports: DebugPorts,
        hot_reload: HotReload,
        database: Database,
        provisioned_lifetime: float = PROVISIONED_LIFETIME,
        state: Path | None = None,
    ) -> None:
        self._around, self._base, self._pools = surroundings, base, pools
        self._by_key = pools.by_key
        self._rulebook, self._concurrency, self._events = rulebook, concurrency, events
        self._urls, self._debug_ports, self._database = urls, debug_ports, database
        self._provisioned_lifetime, self._state = provisioned_lifetime, state
        self._qualifiers = Qualifiers(rulebook.chance)
        self._unready: dict[str, str] = {}
        self._hot_reload = hot_reload

    def __iter__(self) -> Iterator[Function]:
        return iter([pool.function for pool in self._by_key.values() if pool.function.version == LATEST])

    def __len__(self) -> int:
        return sum(pool.function.version == LATEST for pool in self._by_key.values())

    # -- which there are ---------------------------------------------------------------------------------

    def named(self, key: str) -> Function:
        """A function by its name, or a published version by ``name:version``.

        Raises:
            RequestError: as :meth:`pool`.
        """
        return self.pool(key).function

    def pool(self, key: str) -> Pool:
        """What serves a function, or a published version; that of a version is made when it is first asked for.

        Raises:
            FunctionNotFoundError: there is none of that name.
            ResourceConflictError: it is held back.
        """
        try:
            return self._by_key[key]
        except KeyError:
            return self._pool_of_version(key)

    def target(self, name: str, qualifier: str | None) -> str:
        """What serves an invocation: the name itself, or ``name:version``; chosen by weights where an alias has some.

        Raises:
            FunctionNotFoundError: there is no such version or alias.
        """
        if qualifier is None or qualifier == LATEST:
            return name
        target = self._qualifiers.target(name, qualifier)
        if target not in self._by_key and target not in self._unready and self._qualifiers.function(target) is None:
            raise FunctionNotFoundError(f"Function not found: {self._arn(name, qualifier)}")
        return target

    def provisioned(self, key: str) -> ProvisionedView | None:
        """What was initialised ahead of it; ``None`` where nobody has asked for any yet."""
        return self._by_key[key].provisioned.view if key in self._by_key else None

    async def until_unused(self, code: Path) -> None:
        """Wait until no environment has this folder as its code; those that are there by now are waited for."""
        for environment in list(self._pools.environments()):
            if environment.function.code == code:
                await environment.gone.wait()

    # -- deploying ---------------------------------------------------------------------------------------

    async def add(self, function: Function) -> None:
        """Deploy a function, or a new version of one; environments of the old one are recycled.

        Raises:
            CodeError: its folder cannot be used.
            SandboxError: nothing here can run it.
            DatabaseError: the database it names can neither be found nor made.
        """
        function = replace(
            function,
            code=(self._base / function.code).resolve() if function.code is not None else None,
            layers=[(self._base / layer).resolve() for layer in function.layers],
        )
        read = time.time_ns()
        self._check_code(function)
        self._check_place_of_state(function)
        known = self._by_key.get(function.name)
        function = self._debug_ports.settled(function, known.function if known is not None else None)
        await self._around.provider.prepare(function)
        if self._database.server is not None and (name := function.environment.get("DB_NAME")) is not None:
            await self._database.server.ensure_database(name)
        policy = self._rulebook.policy_of(function)
        known = self._by_key.get(function.name)  # it may have been deleted meanwhile, or have come
        if known is not None:
            before = known.function
            known.update(function, "the function was deployed again")
            known.follow(policy)
            if function.url != before.url:
                self._set_url(function)
        else:
            self._set_url(function)
            self._by_key[function.name] = (
                await self._make_debugged_pool(function)
                if function.debug_port is not None
                else self._make_pool(function)
            )
        self._unready.pop(function.name, None)
        self._events.add(self._by_key[function.name])
        self._hot_reload.follow(function, since=read)

    async def add_version(self, function: Function) -> None:
        """A published version, which is served under :meth:`target`; environments come with its first invocation.

        Its reserved concurrency is that of the function.

        Raises:
            CodeError, SandboxError: as :meth:`add`.
        """
        self._check_code(function)
        await self._around.provider.prepare(function)
        self._qualifiers.add(function)
        self._unready.pop(function.key, None)

    def hold_back(self, key: str, state: str) -> None:
        """Until it is added, whoever invokes it is told that it is in this state: ``Pending`` or ``Failed``."""
        self._unready[key] = state

    def remove(self, name: str) -> None:
        """The function is no more, with all its versions and aliases: idle environments end, others when they are done.

        Asynchronous events that wait are dropped, and told of.
        """
        self._qualifiers.forget(name)
        self._unready.pop(name, None)
        self._hot_reload.forget(name)
        self._debug_ports.close(name)
        for config in self._urls.of(name):
            self._urls.remove(config.url_id)
        self._events.forget_aliases(self._arn(name))
        for pool in self._pools.of(name):
            self._remove(pool, "the function was deleted")

    def remove_version(self, name: str, version: str) -> None:
        """A published version is no more; what becomes of its environments and events as with :meth:`remove`."""
        key = f"{name}:{version}"
        self._qualifiers.remove(key)
        self._unready.pop(key, None)
        if (pool := self._by_key.get(key)) is not None:
            self._remove(pool, "the version was deleted")

    # -- settings that no environment sees: none is recycled ---------------------------------------------

    def reserve(self, name: str, places: int | None) -> None:
        """So many of the account's places are this function's and no other's; ``None``: its part of the rest.

        Raises:
            ConfigurationError: the account has not so many left, or the function more initialised ahead.
        """
        self._adjust(name, reserved_concurrency=places)

    def provision(self, key: str, number: int) -> None:
        """So many environments of a published version are to be initialised ahead.

        Arguments:
            key: ``name:version``.
        """
        if number or key in self._by_key:
            self.pool(key)
            self._adjust(key, provisioned_concurrency=number)

    def set_asynchronous(self, key: str, settings: Asynchronous) -> None:
        """What becomes of the asynchronous events of a function, or of a published version of it, from now on."""
        self._adjust(key, asynchronous=settings)

    def allow_loops(self, name: str, allowed: bool) -> None:
        """Whether it takes an event that came through any number of functions; else only through so many as on AWS."""
        self._events.allow_loops(name, allowed)

    def set_alias_asynchronous(self, name: str, alias: str, settings: Asynchronous | None) -> None:
        """What becomes of those that come by an alias; ``None``: what is said of the version that it leads to."""
        self._events.set_alias(self._arn(name, alias), settings)
        for pool in self._pools.of(name):
            self._events.add(pool)

    def set_alias(self, name: str, alias: str, routing: Routing) -> None:
        """Have an alias lead somewhere."""
        self._qualifiers.lead(name, alias, routing)

    def remove_alias(self, name: str, alias: str) -> None:
        """An alias is no more, with what was said of its events."""
        self._qualifiers.unlead(name, alias)
        self._events.set_alias(self._arn(name, alias), None)

    # -- inside ------------------------------------------------------------------------------------------

    def _arn(self, name: str, qualifier: str | None = None) -> str:
        return text.function_arn(self._around.region, self._around.account, name, qualifier)

    def _check_code(self, function: Function) -> None:
        check_code(function, other_user=self._around.provider.kind == "container")

    def _check_place_of_state(self, function: Function) -> None:
        if self._state is not None and function.code is not None and self._state.is_relative_to(function.code):
            raise CodeError(
                f"the state would be kept in {self._state}, which is part of the code of {function.name}",
                cure="--state, or state in [emulator], names a folder beside the code.",
            )

    def _set_url(self, function: Function) -> None:
        url_id = make_url_id(self._around.account, function.name)
        if function.url is None:
            self._urls.remove(url_id)
        else:
            now = self._around.clock.now()
            known = self._urls.by_id(url_id) or UrlConfig(url_id, function.name, created_at=now)
            self._urls.add(known.with_settings(function.url, now))

    def _adjust(self, key: str, **changes: Any) -> None:
        published, pool = self._qualifiers.function(key), self._by_key.get(key)
        if published is not None:
            self._qualifiers.add(replace(published, **changes))
        if pool is not None:
            pool.adjust(replace(pool.function, **changes))
            self._events.add(pool)

    def _make_pool(self, function: Function, share: Share | None = None) -> Pool:
        return Pool(
            function,
            self._around,
            self._rulebook.policy_of(function),
            self._concurrency,
            self._rulebook.memory,
            provisioned_lifetime=self._provisioned_lifetime,
            share=share,
        )

    async def _make_debugged_pool(self, function: Function) -> Pool:
        policy = self._rulebook.policy_of(function)
        pool = DebuggedPool(function, self._around, policy, self._concurrency, attachment=Attachment())
        await self._debug_ports.open(pool)
        return pool

    def _pool_of_version(self, key: str) -> Pool:
        name, _, version = key.partition(":")
        latest, function = self._by_key.get(name), self._qualifiers.function(key)
        if latest is not None and function is not None:
            pool = self._make_pool(replace(function, policy=latest.function.policy), latest.share)
            self._by_key[key] = pool
            self._events.add(pool)
            return pool
        if (state := self._unready.get(key)) is not None:
            raise ResourceConflictError(
                "The operation cannot be performed at this time. "
                f"The function is currently in the following state: {state}"
            )
        # [R] since 2025 the message names the version.
        names = [one.name for one in self]
        raise FunctionNotFoundError(
            f"Function not found: {self._arn(name, version or LATEST)}",
            cure=f"There are {', '.join(names)}." if names else "There is none yet.",
        )

    def _remove(self, pool: Pool, why: str) -> None:
        del self._by_key[pool.function.key]
        self._events.remove(pool.function.key, why)
        self._pools.leaving.add(pool)
        self._around.spawn(self._retire(pool, why))

    async def _retire(self, pool: Pool, why: str) -> None:
        await pool.retire(why)
        self._pools.leaving.discard(pool)
