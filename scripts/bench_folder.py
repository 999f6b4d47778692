"""Measure the pictures a second of `hashdb hash`, and of imagehash in a plain loop.

Both compute the same hashes (phash of 64 and of 256 bits) of the same files: JPEG of two sizes, in the system's cache.
The best of several rounds counts. Each round of hashdb starts its processes. With PDQ, which imagehash does not have,
only hashdb is measured. The default pictures are the photographs of the package.
"""

from __future__ import annotations

import argparse
import itertools
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import imagehash
from PIL import Image

import hashdb
from hashdb.cli.matching.pictures import find_files, hash_all
from hashdb.domain.signals import Algorithm
from hashdb.hashing import hash_file
from hashdb.settings import Settings
from scripts.benchmarks import report

_ROUNDS = 3
_SETS = ((512, 4_000), (1_600, 800))
"""The longer side of the pictures, and their number in a round."""
_QUICK = 8
"""With --quick, the number of pictures is divided by this."""
SAME = (Algorithm.PHASH, Algorithm.PHASH256)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="scripts/bench folder", description=__doc__)
    parser.add_argument("folders", metavar="FOLDER", nargs="*", type=Path, help="folders with pictures to hash")
    parser.add_argument("--quick", action="store_true", help=f"a {_QUICK}th of the pictures")
    arguments = parser.parse_args()
    folders = arguments.folders or [Path(hashdb.__file__).parent / "photos"]
    print(report.machine_sentence(report.machine("imagehash", "pillow", "numpy", "scipy")))
    print(f"\nPictures of {', '.join(folder.name for folder in folders)}, best of {_ROUNDS} rounds.\n")
    print("| pictures | what | pictures/s | beside imagehash |\n|---|---|---|---|")
    originals = [path for path in find_files(folders) if readable(path)]
    if not originals:
        parser.error("the folders have no picture that both hashdb and imagehash can read")
    for side, full_count in _SETS:
        count = full_count // _QUICK if arguments.quick else full_count
        with tempfile.TemporaryDirectory() as folder:
            measure(list(scaled(originals, side, count, Path(folder))), f"{count} of {side} pixels")


def scaled(originals: Sequence[Path], side: int, count: int, folder: Path) -> Iterator[Path]:
    """Write `count` different pictures with the longer side `side`, made from the originals in turn."""
    for number, path in zip(range(count), itertools.cycle(originals), strict=False):
        with Image.open(path) as picture:
            scale = side / max(picture.size)
            width, height = (max(1, round(length * scale)) for length in picture.size)
            copy = picture.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
        copy.putpixel((number % width, number // width), (number % 256, 0, 0))
        copy.save(folder / f"{number}.jpg", quality=88)
        yield folder / f"{number}.jpg"


def measure(paths: Sequence[Path], title: str) -> None:
    """Print the rows of a set of pictures. Both must compute the same hashes."""
    assert hashdb_values(paths[:20]) == imagehash_values(paths[:20])
    peer = rate(paths, imagehash_values)
    print(f"| {title} | imagehash in a loop: phash, phash256 | {peer:.0f} | 1 |")
    cores = os.cpu_count() or 1
    for algorithms, names in ((SAME, "phash, phash256"), ((Algorithm.PDQ, *SAME), "the same and PDQ")):
        for jobs in dict.fromkeys((1, cores)):
            ours = rate(paths, partial(hash_with_hashdb, algorithms, jobs))
            print(f"| | hashdb, {jobs} job{'s' * (jobs > 1)}: {names} | {ours:.0f} | {ours / peer:.2f} |", flush=True)


def readable(path: Path) -> bool:
    """Whether both hashdb and imagehash can read a file."""
    try:
        imagehash_values([path])
    except OSError:
        return False
    return not path.is_dir()


def imagehash_values(paths: Sequence[Path]) -> list[list[str]]:
    """The hashes of imagehash, computed as its documentation shows."""
    values = []
    for path in paths:
        with Image.open(path) as picture:
            values.append([str(imagehash.phash(picture)), str(imagehash.phash(picture, hash_size=16))])
    return values


def hashdb_values(paths: Sequence[Path]) -> list[list[str]]:
    """The hashes of hashdb, in the format of imagehash."""
    all_hashed = (hash_file(path, SAME) for path in paths)
    return [[str(signal).partition(":")[2] for signal in hashed.signals] for hashed in all_hashed]


def hash_with_hashdb(algorithms: tuple[Algorithm, ...], jobs: int, paths: Sequence[Path]) -> None:
    """Hash files as `hashdb hash` does."""
    for outcome in hash_all(dict.fromkeys(paths), algorithms, Settings(), jobs=jobs):
        assert outcome.hashed is not None, outcome.error


def rate(paths: Sequence[Path], hash_all_of: Callable[[Sequence[Path]], object]) -> float:
    """Pictures a second in the best round."""
    hash_all_of(paths[:4])
    best = 0.0
    for _ in range(_ROUNDS):
        started = time.perf_counter()
        hash_all_of(paths)
        best = max(best, len(paths) / (time.perf_counter() - started))
    return best


if __name__ == "__main__":
    main()
