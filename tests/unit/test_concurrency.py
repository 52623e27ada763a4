"""Places of an account: what is reserved, how fast a function may grow, and whose turn it is."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from emulator.clock import FakeClock
from emulator.concurrency import Concurrency, Share, Waiter
from emulator.errors import ConfigurationError, ThrottledError

CLOCK = FakeClock()


def reason(call: Callable[[], None]) -> str:
    """Why a request is refused."""
    with pytest.raises(ThrottledError) as caught:
        call()
    return caught.value.reason


def take(share: Share) -> int:
    """As many places as there are; how many that was."""
    count = 0
    while share.acquire():
        count += 1
    return count


# -- how many --------------------------------------------------------------------------------------------------


def test_functions_without_a_reservation_share_the_account() -> None:
    """What one has, the other has not."""
    account = Concurrency(3)
    one, other = account.share(CLOCK), account.share(CLOCK)
    assert (one.acquire(), other.acquire(), one.acquire()) == (True, True, True)
    assert not other.acquire()
    one.release()
    assert other.acquire()
    assert (account.in_use, account.unreserved_in_use) == (3, 3)


def test_reserved_places_are_a_guarantee_and_a_limit() -> None:
    """Nobody else gets them, however many are idle; and their function gets no more, however many are free."""
    account = Concurrency(5)
    mine, others = account.share(CLOCK, 2), account.share(CLOCK)
    assert account.unreserved == 3
    assert take(others) == 3
    assert take(mine) == 2
    assert (account.in_use, account.unreserved_in_use) == (5, 3)
    others.release()
    assert not mine.acquire()


def test_a_reservation_of_nothing_is_an_off_switch() -> None:
    """No place, though the account is empty; and it takes none from the others."""
    account = Concurrency(2)
    off, others = account.share(CLOCK, 0), account.share(CLOCK)
    assert take(off) == 0
    assert take(others) == 2


def test_a_refusal_says_whose_limit_it_was() -> None:
    """In AWS's words, which differ for a function with places of its own."""
    account = Concurrency(1)
    assert account.share(CLOCK).refusal().reason == "ConcurrentInvocationLimitExceeded"
    assert account.share(CLOCK, 0).refusal().reason == "ReservedFunctionConcurrentInvocationLimitExceeded"


def test_more_than_the_account_has_cannot_be_reserved() -> None:
    """The refusal names what is left over, and nothing has changed; as much as there is can be."""
    account = Concurrency(5)
    account.share(CLOCK, 3)
    with pytest.raises(ConfigurationError, match="3 places cannot be reserved: 3 of the account's 5"):
        account.share(CLOCK, 3)
    assert account.unreserved == 2
    one = account.share(CLOCK, 2)
    with pytest.raises(ConfigurationError):
        one.reserve(3)
    assert (one.reserved, account.unreserved) == (2, 0)


def test_a_reservation_takes_what_runs_along() -> None:
    """Places in use move with it to and from the rest, and what is over a lowered limit only gets less."""
    account = Concurrency(4)
    one = account.share(CLOCK)
    assert take(one) == 4
    one.reserve(2)
    assert (account.unreserved_in_use, account.unreserved) == (0, 2)
    assert not one.has_room
    assert not account.share(CLOCK).has_room  # the account as a whole is full
    one.release()
    one.release()
    assert not one.acquire()
    one.release()
    assert one.acquire()
    one.reserve(None)
    assert account.unreserved_in_use == 2
    assert take(one) == 2


# -- how fast --------------------------------------------------------------------------------------------------


def starts(share: Share) -> int:
    """As many environments as may be started at once."""
    count = 0
    while True:
        try:
            share.count_start()
        except ThrottledError:
            return count
        count += 1


def test_a_function_starts_so_many_environments_in_ten_seconds() -> None:
    """Each function for itself; refilled continuously, and what is not used is not saved up."""
    clock = FakeClock()
    account = Concurrency(1000, scaling=20)
    one, other = account.share(clock), account.share(clock)
    assert starts(one) == 20
    clock.fast_forward(1.0)
    assert starts(one) == 2
    clock.fast_forward(0.4)
    assert starts(one) == 0
    clock.fast_forward(0.1)
    assert starts(one) == 1
    clock.fast_forward(3600.0)
    assert (starts(one), starts(other)) == (20, 20)
    assert reason(one.count_start) == "FunctionInvocationRateLimitExceeded"
    one.reserve(5)
    assert reason(one.count_start) == "ReservedFunctionInvocationRateLimitExceeded"


def requests(share: Share) -> int:
    count = 0
    while True:
        try:
            share.count_request()
        except ThrottledError:
            return count
        count += 1


def test_requests_are_limited_to_ten_a_second_for_each_place() -> None:
    """Of the function where it has places of its own, else of all that have none; and only if that is wanted."""
    clock = FakeClock()
    account = Concurrency(7, request_rate=True)
    mine, one, other = account.share(clock, 2), account.share(clock), account.share(clock)
    assert requests(mine) == 20
    assert reason(mine.count_request) == "ReservedFunctionInvocationRateLimitExceeded"
    assert requests(one) == 50
    assert reason(other.count_request) == "FunctionInvocationRateLimitExceeded"
    clock.fast_forward(0.5)
    assert (requests(mine), requests(other)) == (10, 25)
    mine.reserve(1)
    assert (requests(mine), requests(one)) == (10, 60)
    assert not Concurrency(7).share(clock).limits_requests


# -- whose turn ------------------------------------------------------------------------------------------------


class Queue:
    """Somebody with so many events, of which one at a time takes a place."""

    def __init__(self, share: Share, name: str, events: int, served: list[str]) -> None:
        self.share, self.name, self.events, self.served = share, name, events, served
        self.waiter: Waiter = share.waiter(self.use)
        self.waiter.wait()

    def use(self) -> bool:
        if not self.events or not self.share.acquire():
            return False
        self.events -= 1
        self.served.append(self.name)
        if not self.events:
            self.waiter.leave()
        return True


def test_a_place_that_becomes_free_goes_round() -> None:
    """Function by function, one event each, whoever gave the place back and however many wait."""
    account = Concurrency(1)
    shares = [account.share(CLOCK) for _ in "abc"]
    assert shares[0].acquire()
    served: list[str] = []
    for share, name, events in zip(shares, "abc", (3, 1, 2), strict=True):
        Queue(share, name, events, served)
    holder = shares[0]
    for _ in range(6):
        holder.release()
        holder = shares["abc".index(served[-1])]
    assert "".join(served) == "abcaca"
    assert not account.waiting


def test_an_environment_stays_with_its_function_only_in_its_turn() -> None:
    """``is_next`` looks ahead and changes nothing."""
    account = Concurrency(2)
    one, other = account.share(CLOCK), account.share(CLOCK)
    for share in (one, other):
        share.acquire()
    served: list[str] = []
    first, second = Queue(one, "a", 5, served), Queue(other, "b", 5, served)
    assert (first.waiter.is_next, second.waiter.is_next) == (True, False)
    first.waiter.took_turn()
    assert (first.waiter.is_next, second.waiter.is_next) == (False, True)
    second.waiter.leave()
    assert first.waiter.is_next
    assert (account.in_use, one.in_use, served) == (2, 1, [])


def test_a_reserved_place_is_offered_to_its_function_only() -> None:
    """Whoever came before: it is not his; and the other way round."""
    account = Concurrency(2)
    mine, others = account.share(CLOCK, 1), account.share(CLOCK)
    for share in (mine, others):
        share.acquire()
    served: list[str] = []
    theirs = Queue(others, "others", 2, served)
    own = Queue(mine, "mine", 2, served)
    assert own.waiter.is_next
    assert theirs.waiter.is_next
    mine.release()
    assert served == ["mine"]
    others.release()
    assert served == ["mine", "others"]


def test_who_cannot_use_a_place_keeps_nobody_from_it() -> None:
    """It goes on to the next, and the first keeps its turn."""
    account = Concurrency(1)
    one, other = account.share(CLOCK), account.share(CLOCK)
    one.acquire()
    served: list[str] = []
    stuck, willing = Queue(one, "stuck", 1, served), Queue(other, "willing", 1, served)
    stuck.waiter.use = lambda: False
    one.release()
    assert served == ["willing"]
    assert list(account.waiting) == [stuck.waiter]
    assert not willing.waiter.waits


def test_whoever_is_first_by_right_comes_before_all_who_wait() -> None:
    """A place for what is initialised ahead is not for the queue."""
    account = Concurrency(1)
    one, other = account.share(CLOCK), account.share(CLOCK)
    one.acquire()
    served: list[str] = []
    Queue(one, "queue", 1, served)
    ahead = Queue(other, "ahead", 1, served)
    ahead.waiter.leave()
    ahead.waiter.wait(first=True)
    one.release()
    assert served == ["ahead"]


def test_a_raised_reservation_is_given_away_at_once() -> None:
    """As many places as there are now, and not just one."""
    account = Concurrency(10)
    one = account.share(CLOCK, 0)
    served: list[str] = []
    Queue(one, "a", 5, served)
    one.reserve(3)
    assert served == ["a"] * 3


def test_events_that_fail_at_once_are_no_deep_recursion() -> None:
    """A thousand places come back while they are given away, one inside the other."""
    account = Concurrency(1)
    share = account.share(CLOCK)
    share.acquire()
    failed = 0

    def fail() -> bool:
        nonlocal failed
        if failed == 5000 or not share.acquire():
            return False
        failed += 1
        share.release()
        return True

    waiter = share.waiter(fail)
    waiter.wait()
    share.release()
    assert failed == 5000
    assert account.in_use == 0
