"""Reconstruct pictures from their hashes and signatures alone, to measure what these reveal.

The amplitudes of the frequencies are unknown; the script assumes those of typical photographs. An attacker with a
trained network can reconstruct more plausible pictures, but from the same information.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hashdb.domain.signals import Algorithm
from hashdb.errors import UnreadablePicture
from hashdb.hashing import DEFAULT_LIMITS
from hashdb.hashing.algorithms import imagehash_signal
from hashdb.hashing.pdq import has_detail
from hashdb.hashing.pictures import read_picture
from hashdb.hashing.signatures import signatures

_SIDE = 64
_SHEET = 6
_Floats = NDArray[np.float64]


def reconstruct(bits: NDArray[np.uint8]) -> _Floats:
    """A grey picture (64 x 64, mean 0) whose cosine transform has these signs (n x n) and typical amplitudes."""
    side = len(bits)
    frequencies = np.arange(side)
    signs = np.where(bits, 1.0, -bits.mean() / (1 - bits.mean()))
    signs[0, 0] = 0
    positions = (np.arange(_SIDE) + 0.5) / _SIDE
    cosines = np.cos(np.pi * np.outer(positions, frequencies))
    amplitudes = 1 / (1 + np.hypot(frequencies[:, None], frequencies))
    picture: _Floats = cosines @ (signs * amplitudes) @ cosines.T
    return picture


def main() -> None:
    """Print how similar the reconstructed pictures are, and save some of them beside the originals."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of pictures")
    parser.add_argument(
        "--sheet", type=Path, help="file for the first six pictures: original, from phash256, from the detail"
    )
    parser.add_argument("--most", type=int, default=100)
    arguments = parser.parse_args()
    rows = list(_rows(arguments.folder, arguments.most))
    for name, column in (("phash256 (256 bits)", 1), ("detail (1,024 bits)", 2)):
        correlations = [float(np.corrcoef(row[0].ravel(), row[column].ravel())[0, 1]) for row in rows]
        low, middle, high = np.quantile(correlations, (0.1, 0.5, 0.9))
        print(f"{name}: correlation with the original {middle:.2f} (10 to 90 %: {low:.2f} to {high:.2f})")
    if arguments.sheet:
        tiles = [np.concatenate([_visible(grey) for grey in row]) for row in rows[:_SHEET]]
        Image.fromarray(np.concatenate(tiles, axis=1)).resize((2 * _SIDE * len(tiles), 6 * _SIDE)).save(arguments.sheet)


def _rows(folder: Path, most: int) -> Iterator[tuple[_Floats, _Floats, _Floats]]:
    """For each picture: the grey original (64 x 64), and the reconstructions from its phash256 and from its detail."""
    for path in sorted(path for path in folder.iterdir() if path.is_file())[:most]:
        try:
            picture = read_picture(path.read_bytes(), DEFAULT_LIMITS)
        except UnreadablePicture:
            continue
        if has_detail(picture):
            hashed = imagehash_signal(picture, Algorithm.PHASH256).to_bytes()
            grey = np.asarray(picture.grey.resize((_SIDE, _SIDE), Image.Resampling.BOX), np.float64)
            yield grey - grey.mean(), reconstruct(_bits(hashed)), reconstruct(_bits(signatures(picture)[0].octets))


def _bits(octets: bytes) -> NDArray[np.uint8]:
    bits = np.unpackbits(np.frombuffer(octets, np.uint8))
    side = round(len(bits) ** 0.5)
    return bits.reshape(side, side)


def _visible(grey: _Floats) -> NDArray[np.uint8]:
    return np.clip(128 + 50 * grey / max(1e-9, float(grey.std())), 0, 255).astype(np.uint8)


if __name__ == "__main__":
    main()
