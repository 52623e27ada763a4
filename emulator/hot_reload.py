"""Code that changes under a deployed function: its next invocation is on the new one."""

from __future__ import annotations

from emulator.code_watcher import Change, CodeWatcher
from emulator.deployment import check_code
from emulator.errors import EmulatorError
from emulator.model import Function
from emulator.pool import Pool
from emulator.pools import Pools
from emulator.surroundings import Surroundings

__all__ = ["HotReload"]


class HotReload:
    """Recycles the environments of a function whose code or layers have changed, where :meth:`run` looks after them.

    Arguments:
        surroundings: of these environments; they prepare layers anew.
        pools: those of the functions.
    """

    def __init__(self, surroundings: Surroundings, pools: Pools) -> None:
        self._around, self._pools = surroundings, pools
        self._watcher = CodeWatcher(self._code_changed)

    async def run(self) -> None:
        """Until :meth:`close`."""
        await self._watcher.run()

    def close(self) -> None:
        """Look at nothing any more."""
        self._watcher.close()

    def follow(self, function: Function, *, since: int) -> None:
        """It is this code and these layers of the function that count.

        Arguments:
            since: when they were read, in nanoseconds of the epoch.
        """
        own = (function.code,) if function.code is not None else ()
        self._watcher.watch(function.name, *own, *function.layers, since=since)

    def forget(self, name: str) -> None:
        """The function is no more."""
        self._watcher.forget(name)

    def _code_changed(self, change: Change) -> None:
        pool = self._pools.by_key.get(change.function)
        if pool is None:
            return  # it was deleted just now
        self._around.timeline.record(
            "function.changed", str(change), function=change.function, detail={"files": list(change.files)}
        )
        if pool.function.layers:
            self._around.spawn(self._prepare_again(pool))
        else:
            pool.update(pool.function, "its code changed")

    async def _prepare_again(self, pool: Pool) -> None:
        """Merge its layers anew; one that cannot be used right now is told of, and the old environments go on."""
        function = pool.function
        try:
            check_code(function, other_user=self._around.provider.kind == "container")
            await self._around.provider.prepare(function)
        except (OSError, EmulatorError) as error:
            self._around.timeline.record("function.trouble", str(error), function=function.name)
        else:
            now = pool.function
            if (now.code, now.layers) == (function.code, function.layers):  # or it was deployed again meanwhile
                pool.update(now, "its code or a layer changed")
