"""Secret views: parts of a picture that only members know, since they are drawn from a seed of the service.

An attacker who knows the code knows every other part that is hashed, and can alter a picture until none of them is
recognised. Such an alteration changes parts of other proportions at other places much less. So a contribution also
stores the hashes of such secret parts, and a query asks for the same parts. In a copy they are as near as the whole is.

The parts are strips. The hash of a strip depends on fine changes across it and on coarse changes along it. An attacker
who wants to change the hashes of all upright and level strips has to make fine and coarse changes in both directions.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Sequence
from typing import Final

from hashdb.domain.seeds import Seed
from hashdb.domain.signals import MINIMUM_QUALITY, Signal, usable_signals
from hashdb.hashing.pdq import sample_changes
from hashdb.hashing.pictures import Picture
from hashdb.hashing.transforms import Transform
from hashdb.hashing.variants import part_quality
from hashdb.hashing.windows import Window, coefficients, phash256_signal

LONG: Final = (0.75, 1.0)
"""The length of a strip is between these fractions of the side of the picture that it runs along."""
SHORT: Final = (0.2, 0.4)
"""The breadth of a strip is between these fractions of the other side."""
LEVEL: Final = (True, False, True)
"""For each strip of a seed, whether it is level; else it is upright.

If this or the fractions change, the secret views that are stored match no more.
"""


def secret_windows(seed: bytes) -> tuple[Window, ...]:
    """The parts that a seed gives. Without the seed nobody can tell them from random ones (HMAC-SHA256)."""
    return tuple(_draw(seed, number, is_level) for number, is_level in enumerate(LEVEL, 1))


def _draw(seed: bytes, number: int, is_level: bool) -> Window:
    """The strip with this number, from 1. Four random numbers from 0 to 1 give its length, breadth and place."""
    octets = hmac.digest(seed, f"hashdb secret view {number}".encode(), "sha256")
    along, across, start, aside = (int.from_bytes(octets[first : first + 8]) / 2**64 for first in range(0, 32, 8))
    length, breadth = LONG[0] + along * (LONG[1] - LONG[0]), SHORT[0] + across * (SHORT[1] - SHORT[0])
    # The strip begins where it fits into the picture: `start` along its length, `aside` along its breadth.
    start, aside = start * (1 - length), aside * (1 - breadth)
    level = Window(start, aside, start + length, aside + breadth)
    return level if is_level else Window(level.top, level.left, level.bottom, level.right)


def secret_variants(picture: Picture, seed: Seed) -> Iterator[Signal]:
    """The phash256 signals of a seed's parts, for a contribution, without parts that are too plain to match."""
    changes = sample_changes(picture.sampled)
    windows = (window for window in secret_windows(seed.octets) if part_quality(changes, window) >= MINIMUM_QUALITY)
    yield from usable_signals(phash256_signal(coefficients(picture.reduced, window)) for window in windows)


def secret_transforms(picture: Picture, seeds: Sequence[Seed]) -> Iterator[Transform]:
    """The names and the phash256 signals of the parts of each seed, for a query. The picture has detail.

    A name like `secret-2-1` has the id of the seed and the number of the strip.
    """
    for seed in seeds:
        for number, window in enumerate(secret_windows(seed.octets), 1):
            if signals := usable_signals([phash256_signal(coefficients(picture.reduced, window))]):
                yield f"secret-{seed.id}-{number}", signals
