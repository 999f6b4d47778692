"""What else recognises a part of a picture: crop-resistant hashing, and a grid of parts on both sides with a vote.

`python scripts/compare_parts.py FOLDER` alters its first pictures and prints, for each way, how many are recognised at
the widest setting at which none of the different pictures is taken for another, and how many values it stores.
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
    """A way to recognise: what is stored, what is asked, and how unlike they are."""

    stored: Callable[[Picture], Values]
    asked: Callable[[Picture], Values]
    unlike: Callable[[Values, Values], float]


def _words(signals: Sequence[Signal]) -> Values:
    return np.frombuffer(b"".join(signal.to_bytes() for signal in signals), np.uint64).reshape(len(signals), -1)


def _apart(asked: Values, stored: Values) -> NDArray[np.uint16]:
    apart: NDArray[np.uint16] = np.bitwise_count(asked[:, None] ^ stored[None]).sum(axis=2, dtype=np.uint16)
    return apart


def _nearest(votes: int) -> Callable[[Values, Values], float]:
    """The distance within which that many of the values asked find one."""

    def unlike(asked: Values, stored: Values) -> float:
        nearest = np.sort(_apart(asked, stored).min(axis=1))
        return float(nearest[votes - 1]) if len(nearest) >= votes else np.inf

    return unlike


def _segments(picture: Picture) -> Values:
    hashes = imagehash.crop_resistant_hash(picture.colour).segment_hashes
    return np.stack([np.packbits(one.hash).view(np.uint64) for one in hashes])


def _grid(picture: Picture) -> Values:
    grey = picture.reduced
    return _words([phash256_signal(coefficients(grey, window)) for window in GRID])


def _variants(picture: Picture) -> Values:
    return _words([imagehash_signal(picture, Algorithm.PHASH256), *variants(picture, Profile.BALANCED)])


def _transforms(picture: Picture) -> Values:
    turned = [
        signal for _, signals in transforms(picture, [Algorithm.PHASH256], look_inside(picture)) for signal in signals
    ]
    return _words([imagehash_signal(picture, Algorithm.PHASH256), *turned])


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
        stored, asked = list(map(way.stored, pictures)), list(map(way.asked, pictures))
        false = min(way.unlike(asked[one], stored[other]) for one, other in permutations(range(len(pictures)), 2))
        shares = [_recognised(way, copies, stored, false) for copies in altered.values()]
        values = np.mean([len(one) for one in stored])
        print(
            f"| {title} | {values:.0f} | < {false:.0f} |", *[f" {share:.0%} |" for share in shares], sep="", flush=True
        )


def _recognised(way: Way, copies: Sequence[Picture], stored: Sequence[Values], false: float) -> float:
    unlike = [way.unlike(way.asked(copy), own) for copy, own in zip(copies, stored, strict=True)]
    return float(np.mean([one < false for one in unlike]))


def _altered(pictures: Sequence[Picture], place: int, name: str) -> Picture:
    return Picture(ALTERATIONS[name].apply(pictures[place].colour, place, pictures[place - 1].colour))


def _read(path: Path) -> Picture:
    colour = read_picture(path.read_bytes(), Limits()).colour
    colour.thumbnail((512, 512), Image.Resampling.LANCZOS)
    return Picture(colour)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
