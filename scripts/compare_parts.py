"""Compare ways to recognise a part of a picture: crop-resistant hashing, and a grid of parts on both sides with a vote.

`python scripts/compare_parts.py FOLDER` alters its first pictures. For each way, it prints the share of recognised
pictures at the widest setting without a false match, and the number of stored values.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from itertools import permutations
from pathlib import Path
from typing import NamedTuple

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hashdb.domain.signals import Algorithm, Profile, Signal
from hashdb.evaluation.alterations import ALTERATIONS
from hashdb.hashing import Limits
from hashdb.hashing.algorithms import imagehash_signal
from hashdb.hashing.pictures import Picture, read_picture
from hashdb.hashing.transforms import look_inside, transforms
from hashdb.hashing.variants import variants
from hashdb.hashing.windows import Window, coefficients, phash256_signal

PICTURES = 40
NAMES = (
    "JPEG 30",
    "logo",
    "crop 10 %",
    "crop 20 %",
    "10 % off one side",
    "15 % off one side",
    "10 % and 5 % off a corner",
    "tilted 3°",
    "mirrored",
    "caption above",
    "screenshot",
    "collage of two",
)
STEPS = [place / 8 for place in range(5)]
GRID = [Window(left, top, left + 0.5, top + 0.5) for top in STEPS for left in STEPS]
Values = NDArray[np.uint64]


class Way(NamedTuple):
    """A way to recognise: the functions for the stored and the queried values of a picture, and for their distance."""

    stored: Callable[[Picture], Values]
    queried: Callable[[Picture], Values]
    distance: Callable[[Values, Values], float]


def _words(signals: Sequence[Signal]) -> Values:
    return np.frombuffer(b"".join(signal.to_bytes() for signal in signals), np.uint64).reshape(len(signals), -1)


def _distances(queried: Values, stored: Values) -> NDArray[np.uint16]:
    distances: NDArray[np.uint16] = np.bitwise_count(queried[:, None] ^ stored[None]).sum(axis=2, dtype=np.uint16)
    return distances


def _nearest(votes: int) -> Callable[[Values, Values], float]:
    """A function for the distance at which `votes` of the queried values match a stored one."""

    def distance(queried: Values, stored: Values) -> float:
        nearest = np.sort(_distances(queried, stored).min(axis=1))
        return float(nearest[votes - 1]) if len(nearest) >= votes else np.inf

    return distance


def _segments(picture: Picture) -> Values:
    hashes = imagehash.crop_resistant_hash(picture.colour).segment_hashes
    return np.stack([np.packbits(segment.hash).view(np.uint64) for segment in hashes])


def _grid(picture: Picture) -> Values:
    grey = picture.reduced
    return _words([phash256_signal(coefficients(grey, window)) for window in GRID])


def _variants(picture: Picture) -> Values:
    return _words([imagehash_signal(picture, Algorithm.PHASH256), *variants(picture, Profile.BALANCED)])


def _transforms(picture: Picture) -> Values:
    altered = [
        signal for _, signals in transforms(picture, [Algorithm.PHASH256], look_inside(picture)) for signal in signals
    ]
    return _words([imagehash_signal(picture, Algorithm.PHASH256), *altered])


WAYS = {
    "crop-resistant hash": Way(_segments, _segments, _nearest(1)),
    "grid of 25 halves, one": Way(_grid, _grid, _nearest(1)),
    "grid of 25 halves, vote of three": Way(_grid, _grid, _nearest(3)),
    "variants and transforms": Way(_variants, _transforms, _nearest(1)),
}


def main(folder: Path) -> None:
    """Print the table."""
    pictures = [_read(path) for path in sorted(folder.iterdir())[:PICTURES]]
    altered = {name: [_altered(pictures, place, name) for place in range(len(pictures))] for name in NAMES}
    print("| way | values | widest without a false pair |", *[f" {name} |" for name in NAMES], sep="")
    print("|---|---|---|", "---|" * len(NAMES), sep="")
    for title, way in WAYS.items():
        stored, queried = list(map(way.stored, pictures)), list(map(way.queried, pictures))
        different = permutations(range(len(pictures)), 2)
        false = min(way.distance(queried[first], stored[second]) for first, second in different)
        shares = [_recall(way, copies, stored, false) for copies in altered.values()]
        values = np.mean([len(of_picture) for of_picture in stored])
        print(
            f"| {title} | {values:.0f} | < {false:.0f} |", *[f" {share:.0%} |" for share in shares], sep="", flush=True
        )


def _recall(way: Way, copies: Sequence[Picture], stored: Sequence[Values], false: float) -> float:
    distances = [way.distance(way.queried(copy), values) for copy, values in zip(copies, stored, strict=True)]
    return float(np.mean([distance < false for distance in distances]))


def _altered(pictures: Sequence[Picture], place: int, name: str) -> Picture:
    return Picture(ALTERATIONS[name].apply(pictures[place].colour, place, pictures[place - 1].colour))


def _read(path: Path) -> Picture:
    colour = read_picture(path.read_bytes(), Limits()).colour
    colour.thumbnail((512, 512), Image.Resampling.LANCZOS)
    return Picture(colour)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
