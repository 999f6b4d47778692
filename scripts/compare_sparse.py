"""Compare thresholds and radii for sparse hashes of phash256: `python -m scripts.compare_sparse FOLDER`.

FOLDER has different pictures. The table has the tail of false matches at the default radius (hashdb.evaluation.tails)
for each threshold of the largest singular value, and each number of bits by which the radius is smaller. hashdb uses
0.60 and 18 bits.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hashdb.domain.signals import Algorithm, Profile
from hashdb.errors import UnreadablePicture
from hashdb.evaluation.catalogue import query_of, stored_item
from hashdb.evaluation.pairs import Pairs
from hashdb.evaluation.samples import query_values, singular_values, stored_hashes
from hashdb.evaluation.tails import fit
from hashdb.hashing import hash_transforms, hash_variants
from hashdb.index.vectors import Words

THRESHOLDS = (2.0, 0.65, 0.6, 0.58, 0.56)
"""With the first threshold, no hash is sparse."""
SMALLER_BY = (14, 18, 22)
_WITHIN = 96
_FEWEST = 100
_FAR = 999
_USED = Algorithm.PHASH256


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m scripts.compare_sparse", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--profile", default="balanced")
    arguments = parser.parse_args()
    paths = sorted(path for path in arguments.folder.rglob("*") if path.is_file())
    with ProcessPoolExecutor() as pool:
        results = list(pool.map(_hashed, paths, [arguments.profile] * len(paths), chunksize=8))
    hashed = [result for result in results if result is not None]
    pictures = len(hashed)
    if pictures < _FEWEST:
        raise SystemExit(f"hashdb: {arguments.folder} has {pictures} pictures; a tail needs {_FEWEST}")
    print(f"{pictures} pictures, {arguments.profile}, {_USED} within {_USED.radius} bits\n")
    largest_values = np.array([singular_values(queries[:1])[0] for _, queries in hashed])
    print("| threshold | of the pictures | radius smaller by | nearest | false matches a pair | upper end |")
    print("| --- | --- | --- | --- | --- | --- |")
    for threshold in THRESHOLDS:
        dense, sparse = _nearest(hashed, threshold)
        for bits in SMALLER_BY if threshold <= 1 else (0,):
            least = np.minimum(dense, sparse + bits)
            np.fill_diagonal(least, _FAR)
            pairs = _pairs(least)
            tail = fit(pairs, 0)
            assert tail is not None
            sparse_share = (
                f"{threshold:.2f} | {np.mean(largest_values >= threshold):.1%}" if threshold <= 1 else "none | 0.0%"
            )
            rates = f"{tail.cautious[_USED.radius]:.1e} | {tail.high[_USED.radius]:.1e}"
            print(f"| {sparse_share} | {bits} | {pairs.nearest} | {rates} |", flush=True)


def _hashed(path: Path, profile: str) -> tuple[Words, Words] | None:
    """The stored and the queried values of a picture; None if the file is not a picture."""
    try:
        octets = path.read_bytes()
        stored = stored_item(hash_variants(octets, (_USED,), Profile(profile)))
        query = query_of(hash_transforms(octets, (_USED,)), {})
    except UnreadablePicture:
        return None
    return stored_hashes(stored, [_USED])[_USED], query_values(query, [_USED])[_USED].values


def _nearest(hashed: list[tuple[Words, Words]], threshold: float) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """The least distance of each pair of pictures: of values that are both not sparse, and of all other values."""
    stored = np.concatenate([values for values, _ in hashed])
    columns = np.ascontiguousarray(stored.T)
    counts = np.array([len(values) for values, _ in hashed])
    filled = np.flatnonzero(counts)
    starts = (np.cumsum(counts) - counts)[filled]
    sparse = singular_values(stored) >= threshold
    distances = np.full((2, len(hashed), len(hashed)), _FAR, np.uint16)
    for place, (_, queries) in enumerate(hashed):
        for query, value in zip(queries, singular_values(queries), strict=True):
            row = np.zeros(len(stored), np.uint16)
            for column, word in zip(columns, query, strict=True):
                row += np.bitwise_count(column ^ word)
            compared_sparse = sparse if value < threshold else np.ones(len(stored), bool)
            for side, left_out in enumerate((compared_sparse, ~compared_sparse)):
                least = np.minimum.reduceat(np.where(left_out, _FAR, row), starts)
                distances[side, place, filled] = np.minimum(distances[side, place, filled], least)
    return distances[0], distances[1]


def _pairs(least: NDArray[np.uint16]) -> Pairs:
    pictures = len(least)
    counts = np.bincount(np.minimum(least.ravel(), _USED.bits), minlength=_USED.bits + 1).astype(np.int64)
    counts[_USED.bits] -= pictures
    first, second = np.nonzero(least <= _WITHIN)
    return Pairs(pictures, counts, _WITHIN, np.stack([first, second, least[first, second]], axis=1).astype(np.int64))


if __name__ == "__main__":
    main()
