"""Turns are given to one key after the other; requests that wait are handled together."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import NamedTuple

import pytest

from hashdb.domain.turns import GroupedRequests, Turns


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


class Item(NamedTuple):
    """A request of a size."""

    name: str
    size: int = 1


class Groups:
    """A handler that keeps the groups that it handled; it waits with the first one until it is let go."""

    def __init__(self) -> None:
        self.handled = list[str]()
        self.arrived, self.go = Event(), Event()
        self.together = GroupedRequests[Item, str](most=4)

    def handle(self, items: Sequence[Item]) -> list[str | Exception]:
        if not self.handled:
            self.arrived.set()
            assert self.go.wait(20)
        self.handled.append("".join(item.name for item in items))
        return [ValueError(item.name) if item.name.isupper() else item.name * 2 for item in items]

    def submit(self, items: Sequence[Item]) -> list[Future[str]]:
        """Submit the first item, and once it is being handled the others, in order."""
        with ThreadPoolExecutor(len(items)) as pool:
            first, *others = items
            answers = [pool.submit(self.together.submit, first, self.handle)]
            assert self.arrived.wait(20)
            for number, item in enumerate(others, start=1):
                answers.append(pool.submit(self.together.submit, item, self.handle))
                until(lambda number=number: self.together.waiting == number)  # type: ignore[misc]
            self.go.set()
        return answers


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ("a", ["a"]),
        ("abc", ["a", "bc"]),
        ("abcdefg", ["a", "bcde", "fg"]),
        ("ab3c1d", ["a", "bc", "d"]),
        ("ab9cd", ["a", "b", "cd"]),
    ],
)
def test_requests_that_wait_are_handled_together_up_to_a_size(items: str, expected: list[str]) -> None:
    groups = Groups()
    parsed = [Item(name, int(size or 1)) for name, size in re.findall(r"([a-z])(\d?)", items)]
    answers = groups.submit(parsed)
    assert groups.handled == expected
    assert [answer.result() for answer in answers] == [item.name * 2 for item in parsed]


def test_each_request_gets_its_own_answer_or_exception() -> None:
    answers = Groups().submit([Item("a"), Item("B"), Item("c"), Item("D")])
    assert [repr(answer.exception() or answer.result()) for answer in answers] == [
        "'aa'",
        "ValueError('B')",
        "'cc'",
        "ValueError('D')",
    ]


def test_what_arrives_while_a_group_waits_for_its_turn_is_in_the_group() -> None:
    turns, groups = Turns(), Groups()
    groups.go.set()
    together = GroupedRequests[Item, str](most=4, turn=lambda: turns.turn("a"))
    with ThreadPoolExecutor(6) as pool, turns.turn("b"):
        answers = []
        for number, name in enumerate("abcdef", start=1):
            answers.append(pool.submit(together.submit, Item(name), groups.handle))
            until(lambda number=number: together.waiting == number)  # type: ignore[misc]
        assert groups.handled == []
    assert [answer.result() for answer in answers] == ["aa", "bb", "cc", "dd", "ee", "ff"]
    assert groups.handled == ["abcd", "ef"]


def test_a_turn_that_does_not_come_is_an_error_of_those_that_wait_for_it() -> None:
    @contextmanager
    def never() -> Iterator[None]:
        raise OSError("no turn")
        yield

    together = GroupedRequests[Item, str](most=4, turn=never)
    for name in "ab":
        with pytest.raises(OSError, match="no turn"):
            together.submit(Item(name), lambda items: [item.name for item in items])
    assert together.waiting == 0


def test_a_handler_that_raises_does_so_for_its_group_and_the_next_one_is_handled() -> None:
    together = GroupedRequests[Item, str](most=4)

    def broken(items: Sequence[Item]) -> list[str | Exception]:
        raise OSError("broken")

    with pytest.raises(OSError, match="broken"):
        together.submit(Item("a"), broken)
    assert together.submit(Item("b"), lambda items: [item.name for item in items]) == "b"
