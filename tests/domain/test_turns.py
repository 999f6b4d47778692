"""Turns are given to one key after the other."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from hashdb.domain.turns import Turns


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.001)


def order(turns: Turns, arrivals: str, holder: str) -> str:
    """The keys in the order of their turns, where they arrive in this order while `holder` has its turn."""
    had = list[str]()

    def wait(key: str) -> None:
        with turns.turn(key):
            had.append(key)

    with ThreadPoolExecutor(len(arrivals)) as pool, turns.turn(holder):
        for number, key in enumerate(arrivals, start=1):
            pool.submit(wait, key)
            until(lambda number=number: turns.waiting == number)  # type: ignore[misc]
    return "".join(had)


@pytest.mark.parametrize(
    ("holder", "arrivals", "expected"),
    [
        ("a", "aaaa", "aaaa"),
        ("a", "aaab", "baaa"),
        ("b", "aaab", "abaa"),
        ("a", "aaabbbc", "bacbaba"),
        ("-", "abcabc", "abcabc"),
    ],
)
def test_turns_go_round_by_key(holder: str, arrivals: str, expected: str) -> None:
    assert order(Turns(), arrivals, holder) == expected


def test_as_many_have_a_turn_as_may_at_once() -> None:
    turns = Turns(2)
    third = turns.turn("a")
    with ThreadPoolExecutor(1) as pool, turns.turn("a"), turns.turn("a"):
        waiting = pool.submit(third.__enter__)
        until(lambda: turns.waiting == 1)
        assert not waiting.done()
    assert waiting.done()


def test_a_turn_is_given_back_when_its_block_raises() -> None:
    turns = Turns()
    for _ in range(2):
        with pytest.raises(ValueError, match="broken"), turns.turn("a"):
            raise ValueError("broken")
    with turns.turn("a"):
        assert turns.waiting == 0
