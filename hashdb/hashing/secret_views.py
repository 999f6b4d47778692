"""Secret views: parts of a picture that only members know, since they are drawn from a seed of the service.

An attacker who knows the code knows every other part that is hashed, and can alter a picture until no part is
recognised. That changes those parts much more than parts of other proportions at other places. So a contribution also
stores these parts, and a query asks for the same ones: in a copy they are as near as the whole is.

The parts are strips. The hash of a strip depends on fine changes across it and on coarse ones along it. To change the
hashes of upright and level strips anywhere, an alteration has to be fine and coarse in both directions at once.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Sequence
from typing import Final

from hashdb.domain.seeds import Seed
from hashdb.domain.signals import MINIMUM_QUALITY, Signal, usable_signals
from hashdb.hashing.pdq import has_detail, sample_changes
from hashdb.hashing.pictures import Picture
from hashdb.hashing.transforms import Transform
from hashdb.hashing.variants import part_quality
from hashdb.hashing.windows import Window, coefficients, phash256_signal

LONG: Final = (0.75, 1.0)
"""The length of a strip is between these fractions of the side of the picture that it runs along."""
SHORT: Final = (0.2, 0.4)
"""The breadth of a strip is between these fractions of the other side."""
LEVEL: Final = (True, False, True)
"""Whether each strip is level. To change this or the fractions makes all stored secret views useless."""


def secret_windows(seed: bytes) -> tuple[Window, ...]:
    """The parts that a seed gives. Without the seed they are as good as random (HMAC-SHA256)."""
    return tuple(_draw(seed, place, is_level) for place, is_level in enumerate(LEVEL, 1))


def _draw(seed: bytes, place: int, is_level: bool) -> Window:
    """The strip with this number, from 1. Four numbers from 0 to 1 give its length, its breadth and where it begins."""
    octets = hmac.digest(seed, f"hashdb secret view {place}".encode(), "sha256")
    along, across, start, aside = (int.from_bytes(octets[first : first + 8]) / 2**64 for first in range(0, 32, 8))
    length, breadth = LONG[0] + along * (LONG[1] - LONG[0]), SHORT[0] + across * (SHORT[1] - SHORT[0])
    start, aside = start * (1 - length), aside * (1 - breadth)
    level = Window(start, aside, start + length, aside + breadth)
    return level if is_level else Window(level.top, level.left, level.bottom, level.right)


def secret_variants(picture: Picture, seed: Seed) -> Iterator[Signal]:
    """The phash256 signals of a seed's parts that a contribution stores, without parts that are too plain to match."""
    if picture.is_tiny:
        return
    changes = sample_changes(picture.sampled)
    windows = (window for window in secret_windows(seed.octets) if part_quality(changes, window) >= MINIMUM_QUALITY)
    yield from usable_signals(phash256_signal(coefficients(picture.reduced, window)) for window in windows)


def secret_transforms(picture: Picture, seeds: Sequence[Seed]) -> Iterator[Transform]:
    """The names, like `secret-2-1`, and the phash256 signals of the parts of each seed that a query asks for."""
    if not has_detail(picture):
        return
    for seed in seeds:
        for place, window in enumerate(secret_windows(seed.octets), 1):
            if signals := usable_signals([phash256_signal(coefficients(picture.reduced, window))]):
                yield f"secret-{seed.id}-{place}", signals
