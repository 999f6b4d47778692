"""Shadows: near which signals of a retired contribution later ones start quarantined; and what counts as its twin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from hashdb.domain.signals import OF_TEXTS, Algorithm, Signal, match_radius

SignalsByPlace = Mapping[int, Signal]
"""The signals of a contribution by place, counted from 0 in the order of the draft.

Those of frames have one place, `FRAMES_PLACE`, with the first signal of them by one of `BY_FRAMES`.
"""
FRAMES_PLACE: Final = 64
"""The place that stands for the signals of all frames: an item's own signals have the places 0 to 63."""
BY_FRAMES: Final = frozenset({Algorithm.PDQ, *OF_TEXTS})
"""The algorithms by which frames cast a shadow."""


@dataclass(frozen=True, slots=True)
class ShadowChoice:
    """A signal that may cast a shadow: later contributions near it start quarantined, after the retirement of its own.

    `usual` is whether it casts one if the reviewer names no signals.
    """

    place: int
    signal: Signal
    usual: bool


def default_shadow(placed: SignalsByPlace) -> tuple[int, ...]:
    """The places that cast a shadow where the reviewer names none, in order.

    These are the first signal of each algorithm, which is the picture's own, and the signals within the default radius
    of it. A value farther away may belong to any picture, since the contributor chose it. The frames always cast one:
    a later item is near it only with several frames, or with one page.
    """
    first_signals: dict[Algorithm, Signal] = {}
    for place in sorted(placed):
        first_signals.setdefault(placed[place].algorithm, placed[place])
    return tuple(
        place
        for place in sorted(placed)
        if place == FRAMES_PLACE or _is_near(first_signals[placed[place].algorithm], placed[place])
    )


def shadow_radius(algorithm: Algorithm) -> int:
    """The distance in bits from a shadow within which the retirement quarantines contributions of the same member.

    For `pdq` it is twice the default radius: no query can match two values that are farther apart, and among a
    thousand photographs the nearest two are 86 apart. For the others, twice the radius would reach other pictures.
    """
    return 2 * algorithm.radius if algorithm is Algorithm.PDQ else algorithm.radius


def is_twin(first: Signal, other: Signal) -> bool:
    """Whether two signals of one member are so near that retiring the first one quarantines the other."""
    if first.algorithm is not other.algorithm:
        return False
    return first.distance(other) <= shadow_radius(first.algorithm) and (
        first.algorithm is Algorithm.PDQ or _is_near(first, other)
    )


def _is_near(first: Signal, other: Signal) -> bool:
    return first.distance(other) <= match_radius(first.algorithm, first.value, other.value)
