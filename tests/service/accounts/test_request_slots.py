"""Request slots: one key can hold only its share of the slots of a process."""

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
def hold_slots(slots: RequestSlots, *actors: Actor) -> Iterator[None]:
    """Let each of these actors hold a slot, each in its own thread."""
    may_leave = Event()

    def hold(actor: Actor, entered: Event) -> None:
        with slots.hold(actor):
            entered.set()
            may_leave.wait(20)

    with ThreadPoolExecutor(len(actors)) as pool:
        try:
            for actor in actors:
                entered = Event()
                pool.submit(hold, actor, entered)
                assert entered.wait(20)
            yield
        finally:
            may_leave.set()


def test_a_key_that_holds_its_share_is_refused_and_another_key_is_not() -> None:
    slots = RequestSlots()
    with hold_slots(slots, *[key(1)] * KEY_SLOTS):
        with pytest.raises(TooManyAtOnce) as refused, slots.hold(key(1)):
            pass
        assert isinstance(refused.value, LimitReached)
        assert refused.value.retry_after == 1
        with slots.hold(key(2)):
            pass
    with slots.hold(key(1)):
        pass


def test_all_keys_together_have_a_limited_number_of_slots() -> None:
    slots = RequestSlots()
    with (
        hold_slots(slots, *(key(number) for number in range(ALL_SLOTS))),
        pytest.raises(TooManyAtOnce),
        slots.hold(key(99)),
    ):
        pass


def test_a_thread_in_nested_blocks_holds_only_one_slot() -> None:
    slots = RequestSlots()
    with ExitStack() as stack:
        for _ in range(ALL_SLOTS + 1):
            stack.enter_context(slots.hold(key(1)))
        with hold_slots(slots, *[key(1)] * (KEY_SLOTS - 1)), ThreadPoolExecutor(1) as pool:
            assert isinstance(pool.submit(slots.enter, key(1)).exception(), TooManyAtOnce)
    with hold_slots(slots, *[key(1)] * KEY_SLOTS):
        pass


def test_a_slot_is_released_when_its_block_raises() -> None:
    slots = RequestSlots()
    for _ in range(ALL_SLOTS + 1):
        with pytest.raises(ValueError, match="broken"), slots.hold(key(1)):
            raise ValueError("broken")
