"""Turns go to one key after the other, and waiting requests are handled in groups."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import NamedTuple

import pytest

from hashdb.domain.turns import BatchTurns, GroupedRequests, Turns
from hashdb.errors import Unavailable


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.001)


def order(turns: Turns, arrivals: str, holder: str) -> str:
    """The keys in the order of their turns. They arrive in the order of `arrivals` while `holder` has its turn."""
    keys = list[str]()

    def wait(key: str) -> None:
        with turns.turn(key):
            keys.append(key)

    with ThreadPoolExecutor(len(arrivals)) as pool, turns.turn(holder):
        for number, key in enumerate(arrivals, start=1):
            pool.submit(wait, key)
            wait_until(lambda number=number: turns.waiting == number)  # type: ignore[misc]
    return "".join(keys)


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
def test_keys_get_their_turns_one_after_the_other(holder: str, arrivals: str, expected: str) -> None:
    assert order(Turns(), arrivals, holder) == expected


def test_python_switches_threads_more_often_during_the_turn_of_a_batch() -> None:
    usual = sys.getswitchinterval()
    with pytest.raises(ValueError, match="broken"), BatchTurns().turn("a"):
        assert sys.getswitchinterval() < usual / 5
        raise ValueError("broken")
    assert sys.getswitchinterval() == usual


def test_a_third_request_waits_if_two_turns_are_allowed() -> None:
    turns = Turns(2)
    third = turns.turn("a")
    with ThreadPoolExecutor(1) as pool, turns.turn("a"), turns.turn("a"):
        waiting = pool.submit(third.__enter__)
        wait_until(lambda: turns.waiting == 1)
        assert not waiting.done()
    assert waiting.done()


def test_a_turn_ends_when_its_block_raises() -> None:
    turns = Turns()
    for _ in range(2):
        with pytest.raises(ValueError, match="broken"), turns.turn("a"):
            raise ValueError("broken")
    with turns.turn("a"):
        assert turns.waiting == 0


class Item(NamedTuple):
    """A request with a size."""

    name: str
    size: int = 1


class Groups:
    """A handler that records the groups that it handled. It blocks in the first one until `go` is set."""

    def __init__(self) -> None:
        self.handled = list[str]()
        self.arrived, self.go = Event(), Event()
        self.grouped = GroupedRequests[Item, str](most=4)

    def handle(self, items: Sequence[Item]) -> list[str | Exception]:
        if not self.handled:
            self.arrived.set()
            assert self.go.wait(20)
        self.handled.append("".join(item.name for item in items))
        return [ValueError(item.name) if item.name.isupper() else item.name * 2 for item in items]

    def submit(self, items: Sequence[Item]) -> list[Future[str]]:
        """Submit the first item, wait until the handler has it, then submit the others in order."""
        with ThreadPoolExecutor(len(items)) as pool:
            first, *others = items
            results = [pool.submit(self.grouped.submit, first, self.handle)]
            assert self.arrived.wait(20)
            for number, item in enumerate(others, start=1):
                results.append(pool.submit(self.grouped.submit, item, self.handle))
                wait_until(lambda number=number: self.grouped.waiting == number)  # type: ignore[misc]
            self.go.set()
        return results


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
def test_waiting_requests_are_handled_in_groups_up_to_a_size(items: str, expected: list[str]) -> None:
    groups = Groups()
    parsed = [Item(name, int(size or 1)) for name, size in re.findall(r"([a-z])(\d?)", items)]
    results = groups.submit(parsed)
    assert groups.handled == expected
    assert [result.result() for result in results] == [item.name * 2 for item in parsed]


def test_each_request_of_a_group_gets_its_own_result_or_exception() -> None:
    results = Groups().submit([Item("a"), Item("B"), Item("c"), Item("D")])
    assert [repr(result.exception() or result.result()) for result in results] == [
        "'aa'",
        "ValueError('B')",
        "'cc'",
        "ValueError('D')",
    ]


def test_a_request_that_arrives_before_the_groups_turn_joins_the_group() -> None:
    turns, groups = Turns(), Groups()
    groups.go.set()
    grouped = GroupedRequests[Item, str](most=4, turn=lambda: turns.turn("a"))
    with ThreadPoolExecutor(6) as pool, turns.turn("b"):
        results = []
        for number, name in enumerate("abcdef", start=1):
            results.append(pool.submit(grouped.submit, Item(name), groups.handle))
            wait_until(lambda number=number: grouped.waiting == number)  # type: ignore[misc]
        assert groups.handled == []
    assert [result.result() for result in results] == ["aa", "bb", "cc", "dd", "ee", "ff"]
    assert groups.handled == ["abcd", "ef"]


def test_an_error_of_the_turn_is_raised_by_the_requests_that_wait() -> None:
    @contextmanager
    def never() -> Iterator[None]:
        raise OSError("no turn")
        yield

    grouped = GroupedRequests[Item, str](most=4, turn=never)
    for name in "ab":
        with pytest.raises(OSError, match="no turn"):
            grouped.submit(Item(name), lambda items: [item.name for item in items])
    assert grouped.waiting == 0


def test_an_exit_in_a_handler_ends_only_its_thread() -> None:
    turns = Turns()
    grouped = GroupedRequests[Item, str](most=2, turn=lambda: turns.turn("a"))

    def leave(items: Sequence[Item]) -> list[str | Exception]:
        if items[0].name == "a":
            raise SystemExit
        return [item.name * 2 for item in items]

    with ThreadPoolExecutor(3) as pool, turns.turn("b"):
        results = []
        for number, name in enumerate("abc", start=1):
            results.append(pool.submit(grouped.submit, Item(name), leave))
            wait_until(lambda number=number: grouped.waiting == number)  # type: ignore[misc]
    first, second, third = results
    assert isinstance(first.exception(20), SystemExit)
    assert isinstance(second.exception(20), Unavailable)
    assert third.result(20) == "cc"
    assert grouped.submit(Item("d"), leave) == "dd"


def test_an_exit_before_a_turn_leaves_no_request_waiting() -> None:
    @contextmanager
    def never() -> Iterator[None]:
        raise SystemExit
        yield

    grouped = GroupedRequests[Item, str](most=4, turn=never)
    for name in "ab":
        with pytest.raises(SystemExit):
            grouped.submit(Item(name), lambda items: [item.name for item in items])
    assert grouped.waiting == 0


def test_an_error_of_a_handler_is_raised_only_for_its_group() -> None:
    grouped = GroupedRequests[Item, str](most=4)

    def broken(items: Sequence[Item]) -> list[str | Exception]:
        raise OSError("broken")

    with pytest.raises(OSError, match="broken"):
        grouped.submit(Item("a"), broken)
    assert grouped.submit(Item("b"), lambda items: [item.name for item in items]) == "b"
