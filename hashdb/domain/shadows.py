"""Shadow: the signals of a retired contribution near which a later contribution waits for a reviewer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hashdb.domain import sparseness
from hashdb.domain.signals import Algorithm, Signal

Placed = Mapping[int, Signal]
"""The signals of a contribution by their place, counted from 0 in the order in which they were contributed."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A signal of a contribution that may cast a shadow; `usual` is whether it does where the reviewer names none."""

    place: int
    signal: Signal
    usual: bool


def usual(placed: Placed) -> tuple[int, ...]:
    """The places that cast a shadow where the reviewer names none, in order.

    These are the first signal of each algorithm, which is that of the picture itself, and every signal within the
    default radius of it. A value farther away may belong to any picture: whoever contributed it chose it.
    """
    firsts: dict[Algorithm, Signal] = {}
    for place in sorted(placed):
        firsts.setdefault(placed[place].algorithm, placed[place])
    return tuple(place for place in sorted(placed) if _near(firsts[placed[place].algorithm], placed[place]))


def reach(algorithm: Algorithm) -> int:
    """How far from a shadow a contribution of the same member is quarantined at the retirement.

    Of `pdq` twice the default radius: no query can match two values that are farther apart, and among a thousand
    photographs the nearest two are 86 apart. Of the others twice the radius would take in other pictures.
    """
    return 2 * algorithm.radius if algorithm is Algorithm.PDQ else algorithm.radius


def is_twin(one: Signal, other: Signal) -> bool:
    """Whether two signals of one member are so near that a retirement of the one quarantines the other."""
    if one.algorithm is not other.algorithm:
        return False
    return one.distance(other) <= reach(one.algorithm) and (one.algorithm is Algorithm.PDQ or _near(one, other))


def _near(first: Signal, other: Signal) -> bool:
    return first.distance(other) <= sparseness.reach(first.algorithm, first.value, other.value)
