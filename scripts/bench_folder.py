"""Pictures a second of `hashdb hash`, beside imagehash in a plain loop.

The same files and the same hashes (phash of 64 and of 256 bits), as JPEG of two sizes, read from the system's cache,
best of some rounds. The processes that hash are started in each round. By default the photographs of the package.
With PDQ, which imagehash does not have, hashdb alone is measured.
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
"""The longer side of the pictures, and how many a round."""
_QUICK = 8
"""What part of that is enough where it is to be quick."""
SAME = (Algorithm.PHASH, Algorithm.PHASH256)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="scripts/bench folder", description=__doc__)
    parser.add_argument("folders", metavar="FOLDER", nargs="*", type=Path, help="whose pictures are taken")
    parser.add_argument("--quick", action="store_true", help=f"a {_QUICK}th of the pictures")
    arguments = parser.parse_args()
    folders = arguments.folders or [Path(hashdb.__file__).parent / "photos"]
    print(report.machine_sentence(report.machine("imagehash", "pillow", "numpy", "scipy")))
    print(f"\nPictures of {', '.join(folder.name for folder in folders)}, best of {_ROUNDS} rounds.\n")
    print("| pictures | what | pictures/s | beside imagehash |\n|---|---|---|---|")
    found = [path for path in find_files(folders) if readable(path)]
    if not found:
        parser.error("there are no pictures that both can read")
    for side, all_of_them in _SETS:
        count = all_of_them // _QUICK if arguments.quick else all_of_them
        with tempfile.TemporaryDirectory() as place:
            measure(list(scaled(found, side, count, Path(place))), f"{count} of {side} pixels")


def scaled(found: Sequence[Path], side: int, count: int, place: Path) -> Iterator[Path]:
    """So many files, no two alike, of what was found, each with that longer side."""
    for number, path in zip(range(count), itertools.cycle(found), strict=False):
        with Image.open(path) as picture:
            scale = side / max(picture.size)
            width, height = (max(1, round(length * scale)) for length in picture.size)
            made = picture.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
        made.putpixel((number % width, number // width), (number % 256, 0, 0))
        made.save(place / f"{number}.jpg", quality=88)
        yield place / f"{number}.jpg"


def measure(paths: Sequence[Path], named: str) -> None:
    """Print the rows of some pictures, of which both must make the same hashes."""
    assert all(ours == theirs for ours, theirs in zip(values(paths[:20]), plain(paths[:20]), strict=True))
    alone = rate(paths, plain)
    print(f"| {named} | imagehash in a loop: phash, phash256 | {alone:.0f} | 1 |")
    cores = os.cpu_count() or 1
    for algorithms, said in ((SAME, "phash, phash256"), ((Algorithm.PDQ, *SAME), "the same and PDQ")):
        for jobs in dict.fromkeys((1, cores)):
            ours = rate(paths, partial(by_hashdb, algorithms, jobs))
            print(f"| | hashdb, {jobs} job{'s' * (jobs > 1)}: {said} | {ours:.0f} | {ours / alone:.2f} |", flush=True)


def readable(path: Path) -> bool:
    """Whether both can read a file, so that both do the same."""
    try:
        plain([path])
    except OSError:
        return False
    return not path.is_dir()


def plain(paths: Sequence[Path]) -> list[list[str]]:
    """What imagehash's own documentation does."""
    found = []
    for path in paths:
        with Image.open(path) as picture:
            found.append([str(imagehash.phash(picture)), str(imagehash.phash(picture, hash_size=16))])
    return found


def values(paths: Sequence[Path]) -> list[list[str]]:
    """What hashdb makes of them, spelled as imagehash does."""
    hashed = (hash_file(path, SAME) for path in paths)
    return [[str(signal).partition(":")[2] for signal in one.signals] for one in hashed]


def by_hashdb(algorithms: tuple[Algorithm, ...], jobs: int, paths: Sequence[Path]) -> None:
    """What `hashdb hash` does."""
    for outcome in hash_all(dict.fromkeys(paths), algorithms, Settings(), jobs=jobs):
        assert outcome.hashed is not None, outcome.error


def rate(paths: Sequence[Path], hashed: Callable[[Sequence[Path]], object]) -> float:
    """Pictures a second."""
    hashed(paths[:4])
    best = 0.0
    for _ in range(_ROUNDS):
        started = time.perf_counter()
        hashed(paths)
        best = max(best, len(paths) / (time.perf_counter() - started))
    return best


if __name__ == "__main__":
    main()
