"""How many invocations may run at once: the account's places, what of them is a function's own, and whose turn it is.

An environment takes a place while it serves, its cold start included; an idle one takes none. One that was
initialised ahead of requests holds its place for life, for that is what provisioned concurrency pays for [D].

Who gets a place that becomes free: whoever waits for one, before any new synchronous call, which is never kept
waiting; of several functions that wait, each in turn; and what is reserved, its function only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from emulator.clock import Clock
from emulator.errors import ConfigurationError, ThrottledError

__all__ = ["Concurrency", "Share", "Waiter"]

_SCALING_PERIOD = 10.0  # seconds [D]
_REQUESTS_PER_PLACE = 10  # a second [D]


class _Bucket:
    """A rate: refilled continuously, and never saved up beyond ``size`` [D].

    Arguments:
        size: how many may come at once.
        per_second: how many are refilled.
    """

    def __init__(self, size: float, per_second: float, clock: Clock) -> None:
        self._size, self._per_second, self._clock = size, per_second, clock
        self._level, self._since = size, clock.monotonic()

    def take(self) -> bool:
        now = self._clock.monotonic()
        self._level = min(self._size, self._level + (now - self._since) * self._per_second)
        self._since = now
        if self._level < 1:
            return False
        self._level -= 1
        return True


class Concurrency:
    """The places of a whole account.

    Arguments:
        limit: how many there are.
        scaling: how many environments each function may start in ten seconds.
        request_rate: whether synchronous requests are limited to ten a second for each place.
    """

    def __init__(self, limit: int, *, scaling: int = 1000, request_rate: bool = False) -> None:
        self.limit = limit
        self.scaling = scaling
        self.request_rate = request_rate
        self.in_use = 0
        self.unreserved_in_use = 0
        self.reserved = 0
        self.waiting: deque[Waiter] = deque()
        """Those who wait for a place; the first one's turn is next."""
        self._rate: _Bucket | None = None
        self._offering = False

    @property
    def unreserved(self) -> int:
        """The places that no function has for itself."""
        return self.limit - self.reserved

    def share(self, clock: Clock, reserved: int | None = None) -> Share:
        """The part of one more function; ``reserved`` as in :meth:`Share.reserve`."""
        share = Share(self, clock)
        share.reserve(reserved)
        return share

    def offer(self) -> None:
        """Give away what is free, in turns, until nobody can use any more."""
        if self._offering:
            return  # a place came back while one was given away; whoever does that goes on
        self._offering = True
        try:
            while any(self._offer_to(waiter) for waiter in tuple(self.waiting)):
                pass
        finally:
            self._offering = False

    def _offer_to(self, waiter: Waiter) -> bool:
        if not waiter.waits or not waiter.share.has_room or not waiter.use():
            return False
        waiter.took_turn()
        return True

    def take_request(self, clock: Clock) -> bool:
        """Count one synchronous request against the rate of the places that are nobody's own."""
        if self._rate is None:
            rate = _REQUESTS_PER_PLACE * self.unreserved
            self._rate = _Bucket(rate, rate, clock)
        return self._rate.take()

    def forget_rate(self) -> None:
        """What is unreserved has changed; the rate begins anew."""
        self._rate = None


class Share:
    """The part of one function in the places of the account."""

    def __init__(self, account: Concurrency, clock: Clock) -> None:
        self.reserved: int | None = None
        self.in_use = 0
        self.limits_requests = account.request_rate
        self._account = account
        self._clock = clock
        self._starts = _Bucket(account.scaling, account.scaling / _SCALING_PERIOD, clock)
        self._rate: _Bucket | None = None

    @property
    def has_room(self) -> bool:
        """A place is free for this function."""
        account = self._account
        if account.in_use >= account.limit:
            return False
        if self.reserved is not None:
            return self.in_use < self.reserved
        return account.unreserved_in_use < account.limit - account.reserved

    def acquire(self) -> bool:
        """Take a place, if one is free: :attr:`has_room` without a call, for every invocation comes by here."""
        account = self._account
        if account.in_use >= account.limit:
            return False
        if self.reserved is None:
            if account.unreserved_in_use >= account.limit - account.reserved:
                return False
            account.unreserved_in_use += 1
        elif self.in_use >= self.reserved:
            return False
        self.in_use += 1
        account.in_use += 1
        return True

    def release(self) -> None:
        """Give a place back; whose turn it is gets it at once."""
        self._count(-1)
        if self._account.waiting:
            self._account.offer()

    def refusal(self) -> ThrottledError:
        """What a request is told for which no place is free [R]."""
        if self.reserved is not None:
            return ThrottledError("ReservedFunctionConcurrentInvocationLimitExceeded")
        return ThrottledError("ConcurrentInvocationLimitExceeded")

    def count_start(self) -> None:
        """One more environment is to be started for a request.

        Raises:
            ThrottledError: too many were in the last ten seconds.
        """
        if not self._starts.take():
            raise ThrottledError(self._rate_reason)  # [I] AWS does not say which reason this one has

    def count_request(self) -> None:
        """One more synchronous request has come.

        Raises:
            ThrottledError: too many have, for the places that there are.
        """
        if self.reserved is None:
            allowed = self._account.take_request(self._clock)
        else:
            if self._rate is None:
                rate = _REQUESTS_PER_PLACE * self.reserved
                self._rate = _Bucket(rate, rate, self._clock)
            allowed = self._rate.take()
        if not allowed:
            raise ThrottledError(self._rate_reason)

    @property
    def _rate_reason(self) -> str:
        return ("" if self.reserved is None else "Reserved") + "FunctionInvocationRateLimitExceeded"

    def reserve(self, reserved: int | None) -> None:
        """So many places are this function's and no other's, and it gets no more [D]; ``None``: its part of the rest.

        What runs goes on: where that is more than the new limit, nothing begins until it is less.

        Raises:
            ConfigurationError: the account has not so many left; nothing has changed.
        """
        account = self._account
        others = account.reserved - (self.reserved or 0)
        if others + (reserved or 0) > account.limit:
            # DIFFERS: AWS refuses what leaves less than 100 unreserved; the accounts of this emulator may be small.
            raise ConfigurationError(
                f"{reserved} places cannot be reserved: {others} of the account's {account.limit} are already",
                cure="Reserve less, or raise concurrency in [emulator].",
            )
        if self.reserved is None:
            account.unreserved_in_use -= self.in_use
        if reserved is None:
            account.unreserved_in_use += self.in_use
        account.reserved = others + (reserved or 0)
        self.reserved, self._rate = reserved, None
        account.forget_rate()
        account.offer()

    def waiter(self, use: Callable[[], bool]) -> Waiter:
        """Who can wait for a place of this function; ``use`` takes one, or says that it cannot."""
        return Waiter(self, self._account, use)

    def _count(self, by: int) -> None:
        self.in_use += by
        self._account.in_use += by
        if self.reserved is None:
            self._account.unreserved_in_use += by


class Waiter:
    """Somebody who waits for places of one function, and has a turn among all who do."""

    def __init__(self, share: Share, account: Concurrency, use: Callable[[], bool]) -> None:
        self.share = share
        self.use = use
        self.waits = False
        self._account = account

    def wait(self, *, first: bool = False) -> None:
        """Be told of places that become free; a second call changes nothing. ``first``: before all who wait now."""
        if self.waits:
            return
        self.waits = True
        if first:
            self._account.waiting.appendleft(self)
        else:
            self._account.waiting.append(self)

    def leave(self) -> None:
        """Wait no more."""
        if self.waits:
            self.waits = False
            self._account.waiting.remove(self)

    @property
    def is_next(self) -> bool:
        """A place that this function gives back now would come to this waiter."""
        if not self.waits:
            return False
        share = self.share
        share._count(-1)
        try:
            return next((waiter for waiter in self._account.waiting if waiter.share.has_room), None) is self
        finally:
            share._count(1)

    def took_turn(self) -> None:
        """It has had a place: the others come first now."""
        if self.waits:
            self._account.waiting.remove(self)
            self._account.waiting.append(self)
