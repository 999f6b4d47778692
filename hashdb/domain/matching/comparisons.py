"""Two items side by side: the distance of each pair of hashes, and how one picture is laid over the other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Final, NamedTuple

from hashdb.domain.matching.aligners import first_signals
from hashdb.domain.matching.details import Placement, coefficients_of, lay_over
from hashdb.domain.matching.matches import transform_radius
from hashdb.domain.signals import Algorithm, Signal, match_radius
from hashdb.domain.signatures import WHOLE, Kind, Signature

ORIENTATIONS: Final = (WHOLE, "mirror", "flip", "rotate-180", "transpose", "rotate-90", "rotate-270", "transverse")
"""The views of a picture that show all of it."""
LEAST_ALIKE: Final = 0.3
"""The least correlation of two details that show the same; those of different pictures have 0.1 to 0.2."""


class SignalPair(NamedTuple):
    """A hash of a view of one item, and the hash of the other that is nearest to it."""

    view: str
    """`whole`, or the name of a transform."""
    queried: Signal
    listed: Signal
    part: int
    """0: `listed` is the hash of the other item itself; n: the nth further hash that is stored of this algorithm."""
    bits: int
    """The distance."""
    radius: int
    """The default radius of this view and these values, in bits."""

    @property
    def agrees(self) -> bool:
        """Whether the distance is within the radius."""
        return self.bits <= self.radius

    @property
    def rank(self) -> tuple[bool, float, int]:
        """Sorts those that agree first, then by the share of the radius."""
        return not self.agrees, self.bits / (self.radius or 1), self.part


class Overlay(NamedTuple):
    """How the first picture is turned and laid over the second so that both show the same at the same place."""

    view: str
    placement: Placement


def own_pairs(queried: Iterable[Signal], listed: Iterable[Signal]) -> list[SignalPair]:
    """The hashes of both items themselves, by each algorithm that both have. Digests are left out."""
    by_algorithm = first_signals(listed)
    return [
        _pair(WHOLE, signal, by_algorithm[algorithm], 0)
        for algorithm, signal in first_signals(queried).items()
        if algorithm in by_algorithm and not algorithm.is_digest
    ]


def nearest_pairs(views: Mapping[str, Iterable[Signal]], listed: Iterable[Signal]) -> list[SignalPair]:
    """For each view (by name) and algorithm the nearest pair of hashes, those that agree first; no digests."""
    numbered: dict[Algorithm, list[Signal]] = defaultdict(list)
    for signal in dict.fromkeys(listed):
        if not signal.algorithm.is_digest:
            numbered[signal.algorithm].append(signal)
    nearest: dict[tuple[str, Algorithm], SignalPair] = {}
    for view, signals in views.items():
        for signal in signals:
            for part, other in enumerate(numbered[signal.algorithm]):
                pair, key = _pair(view, signal, other, part), (view, signal.algorithm)
                nearest[key] = min(nearest.get(key, pair), pair, key=attrgetter("rank"))
    return sorted(nearest.values(), key=attrgetter("rank"))


def overlay(views: Mapping[str, Sequence[Signature]], listed: Iterable[Signature]) -> Overlay | None:
    """The orientation and the place at which two pictures are most alike; None if they do not show the same.

    `views` has the signatures of the first picture by view.
    """
    listed_detail = next((coefficients_of(signature) for signature in listed if signature.kind is Kind.DETAIL), None)
    if listed_detail is None:
        return None
    overlays = [
        Overlay(view, lay_over(detail, listed_detail))
        for view in ORIENTATIONS
        for signature in views.get(view, ())
        if signature.kind is Kind.DETAIL and (detail := coefficients_of(signature)) is not None
    ]
    best = max(overlays, key=lambda overlay: overlay.placement.likeness, default=None)
    return best if best is not None and best.placement.likeness >= LEAST_ALIKE else None


def _pair(view: str, queried: Signal, listed: Signal, part: int) -> SignalPair:
    radius = match_radius(queried.algorithm, queried.value, listed.value)
    view_radius = transform_radius(view, queried.algorithm)
    return SignalPair(view, queried, listed, part, queried.distance(listed), min(radius, view_radius))
