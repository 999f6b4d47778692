"""Pictures a second of `hashdb hash`, beside imagehash in a plain loop: `python -m scripts.bench_folder [FOLDER…]`.

The same files and the same hashes (phash of 64 and of 256 bits), read from the system's cache, best of some rounds.
By default the photographs of the package. With PDQ, which imagehash does not have, hashdb alone is measured.
"""

from __future__ import annotations

import itertools
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import imagehash
from PIL import Image

import hashdb
from hashdb.cli.pictures import expand, hash_all
from hashdb.domain.signals import Algorithm
from hashdb.settings import Settings
from scripts.benchmarks import report

_ROUNDS = 3
_LEAST = 3_000
"""Pictures a round; fewer are taken several times."""
SAME = (Algorithm.PHASH, Algorithm.PHASH256)


def main(folders: Sequence[Path]) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as place:
        measure([path for path in expand(folders) if readable(path)], folders, Path(place))


def measure(found: Sequence[Path], folders: Sequence[Path], place: Path) -> None:
    """Copy what was found until it is enough, and measure."""
    paths = [place / f"{number}{path.suffix}" for number, path in enumerate(list(found) * -(-_LEAST // len(found)))]
    for path, origin in zip(paths, itertools.cycle(found), strict=False):
        shutil.copy(origin, path)
    print(report.told(report.machine("imagehash", "pillow", "numpy", "scipy")))
    print(f"{len(paths)} pictures a round, of {', '.join(folder.name for folder in folders)}; best of {_ROUNDS}\n")
    alone = rate(paths, plain)
    print("| what | pictures/s | beside imagehash |\n|---|---|---|")
    print(f"| imagehash in a loop: phash, phash256 | {alone:.0f} | 1 |")
    cores = os.cpu_count() or 1
    for algorithms, said in ((SAME, "phash, phash256"), ((Algorithm.PDQ, *SAME), "the same and PDQ")):
        for jobs in dict.fromkeys((1, cores)):
            ours = rate(paths, partial(by_hashdb, algorithms, jobs))
            print(f"| hashdb, {jobs} job{'s' * (jobs > 1)}: {said} | {ours:.0f} | {ours / alone:.2f} |")


def readable(path: Path) -> bool:
    """Whether both can read a file, so that both do the same."""
    try:
        plain([path])
    except OSError:
        return False
    return not path.is_dir()


def plain(paths: Sequence[Path]) -> None:
    """What imagehash's own documentation does."""
    for path in paths:
        with Image.open(path) as picture:
            imagehash.phash(picture)
            imagehash.phash(picture, hash_size=16)


def by_hashdb(algorithms: tuple[Algorithm, ...], jobs: int, paths: Sequence[Path]) -> None:
    """What `hashdb hash` does."""
    for outcome in hash_all(dict.fromkeys(paths), algorithms, Settings(), jobs=jobs):
        assert outcome.hashed is not None, outcome.error


def rate(paths: Sequence[Path], hashed: Callable[[Sequence[Path]], None]) -> float:
    """Pictures a second."""
    hashed(paths[:4])
    best = 0.0
    for _ in range(_ROUNDS):
        begun = time.perf_counter()
        hashed(paths)
        best = max(best, len(paths) / (time.perf_counter() - begun))
    return best


if __name__ == "__main__":
    main([Path(word) for word in sys.argv[1:]] or [Path(hashdb.__file__).parent / "photos"])
