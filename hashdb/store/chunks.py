"""Long lists of values in pieces that every database takes in one statement."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

_T = TypeVar("_T")


def chunks(whole: Sequence[_T], size: int = 500) -> Iterator[Sequence[_T]]:
    """The sequence in pieces of at most `size`, in order.

    >>> list(chunks("abcde", 2))
    ['ab', 'cd', 'e']
    """
    for start in range(0, len(whole), size):
        yield whole[start : start + size]
