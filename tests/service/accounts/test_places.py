"""One key holds its share of a process's places, and no more."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from threading import Event

import pytest

from hashdb.domain.accounts.members import Actor, Scope
from hashdb.errors import LimitReached, TooManyAtOnce
from hashdb.service.accounts.limits import ALL_SLOTS, KEY_SLOTS, RequestSlots


def key(number: int) -> Actor:
    return Actor(f"key:{number}", frozenset(Scope))


@contextmanager
def held(slots: RequestSlots, *actors: Actor) -> Iterator[None]:
    """Slots that these hold, each in a thread of its own."""
    done = Event()

    def hold(actor: Actor, took: Event) -> None:
        with slots.hold(actor):
            took.set()
            done.wait(20)

    with ThreadPoolExecutor(len(actors)) as pool:
        try:
            for actor in actors:
                took = Event()
                pool.submit(hold, actor, took)
                assert took.wait(20)
            yield
        finally:
            done.set()


def test_a_key_with_its_share_is_refused_and_another_finds_a_place() -> None:
    slots = RequestSlots()
    with held(slots, *[key(1)] * KEY_SLOTS):
        with pytest.raises(TooManyAtOnce) as refused, slots.hold(key(1)):
            pass
        assert isinstance(refused.value, LimitReached)
        assert refused.value.retry_after == 1
        with slots.hold(key(2)):
            pass
    with slots.hold(key(1)):
        pass


def test_all_keys_together_leave_a_thread_free() -> None:
    slots = RequestSlots()
    with held(slots, *(key(number) for number in range(ALL_SLOTS))), pytest.raises(TooManyAtOnce), slots.hold(key(99)):
        pass


def test_a_thread_holds_one_place_in_however_many_blocks() -> None:
    slots = RequestSlots()
    with ExitStack() as stack:
        for _ in range(ALL_SLOTS + 1):
            stack.enter_context(slots.hold(key(1)))
        with held(slots, *[key(1)] * (KEY_SLOTS - 1)), ThreadPoolExecutor(1) as pool:
            assert isinstance(pool.submit(slots.enter, key(1)).exception(), TooManyAtOnce)
    with held(slots, *[key(1)] * KEY_SLOTS):
        pass


def test_a_place_is_given_back_when_its_block_raises() -> None:
    slots = RequestSlots()
    for _ in range(ALL_SLOTS + 1):
        with pytest.raises(ValueError, match="broken"), slots.hold(key(1)):
            raise ValueError("broken")
