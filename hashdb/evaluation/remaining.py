"""How many of the nearest pairs of different pictures would remain after the verification, if they were in the radius.

The rate of false matches is estimated from distances, far beyond what can be counted. The verification looks at more
than distances, so it is applied to the nearest pairs as they are, as if each were just within the radius.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import sqrt
from typing import NamedTuple

from hashdb.domain.matching.matches import Query, StoredItem
from hashdb.domain.matching.verification import Agreement, PreparedQuery, verify
from hashdb.domain.signals import Algorithm, Signal
from hashdb.domain.signatures import WHOLE

_DEVIATIONS = 1.96
"""Standard deviations of a 95 % interval."""


class Remaining(NamedTuple):
    """How many of some pairs remain after the verification."""

    remaining: int
    pairs: int

    @property
    def upper(self) -> float:
        """The upper end of the share that remains (95 %, Wilson); 1 without any pair."""
        if not self.pairs:
            return 1.0
        share, square = self.remaining / self.pairs, _DEVIATIONS**2
        spread = _DEVIATIONS * sqrt(share * (1 - share) / self.pairs + square / (4 * self.pairs**2))
        return min(1.0, (share + square / (2 * self.pairs) + spread) / (1 + square / self.pairs))


ALL_REMAIN = Remaining(0, 0)
"""No pair was examined, so all may remain."""


class _AtTheLimit(PreparedQuery):
    """A query of which one view is exactly at the radius of a contribution, and no other is within it."""

    def __init__(self, query: Query, view: str, algorithm: Algorithm) -> None:
        super().__init__({WHOLE: query.signals, **query.transforms}, query.signatures)
        self._view, self._algorithm = view, algorithm

    def agreements(self, signals: Iterable[Signal]) -> list[Agreement]:
        """The only view that counts as near, with the first signal of its algorithm, at the radius."""
        first = next(signal for signal in signals if signal.algorithm is self._algorithm)
        return [Agreement(self._view, first, first.algorithm.radius)]


def remains(query: Query, stored: StoredItem, algorithm: Algorithm) -> bool:
    """Whether this pair remains, if the nearest view by the algorithm were just within the radius."""
    view = nearest_view(query, stored, algorithm)
    if view is None:
        return False
    at_limit = _AtTheLimit(query, view, algorithm)
    # No signal of the contribution counts as a match by its distance.
    return not verify(at_limit, stored.signals, stored.signatures, {}).contradicted


def nearest_view(query: Query, stored: StoredItem, algorithm: Algorithm) -> str | None:
    """The view of the query that is nearest to a contribution, relative to the radius of each; None without any."""
    values = [signal.value for signal in stored.signals if signal.algorithm is algorithm]
    best: tuple[int, str] | None = None  # the bits beyond the radius, and the view
    for name, signals in {WHOLE: query.signals, **query.transforms}.items():
        radius = query.radius_of(algorithm, name)
        for signal in signals:
            if signal.algorithm is algorithm:
                for value in values:
                    beyond = (signal.value ^ value).bit_count() - radius
                    if best is None or beyond < best[0]:
                        best = beyond, name
    return None if best is None else best[1]
