#!/usr/bin/env python3
"""How long hashing takes, beside pdqhash's C++: prints a table and writes docs/benchmarks/hashing.md."""

from __future__ import annotations

import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from io import BytesIO
from pathlib import Path

import numpy as np
import pdqhash
from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from hashdb.domain.signals import Algorithm  # noqa: E402
from hashdb.hashing import Limits, warm  # noqa: E402
from hashdb.hashing.algorithms import imagehash_signal  # noqa: E402
from hashdb.hashing.pdq import pdq  # noqa: E402
from hashdb.hashing.pictures import Picture, read_picture  # noqa: E402

PHOTO = ROOT / "hashdb" / "photos" / "casa-mila.jpg"
SIZES = [(500, 375), (1024, 768), (4000, 3000)]
OTHERS = [algorithm for algorithm in Algorithm if algorithm is not Algorithm.PDQ]


def main() -> None:
    """Measure at every size, in one run."""
    warm(tuple(Algorithm))
    report = "\n".join(_report())
    print(report)
    path = ROOT / "docs" / "benchmarks" / "hashing.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(report + "\n")


def _report() -> list[str]:
    photo = Image.open(PHOTO).convert("RGB")
    pictures = [Picture(photo.resize(size, Image.Resampling.LANCZOS)) for size in SIZES]
    return [
        "# Hashing, measured",
        "",
        "For engineers who hash pictures: how long each algorithm takes, beside pdqhash.",
        "",
        "Written by `python scripts/bench_hashing.py`; do not edit.",
        f"Machine: {_processor()}, {os.cpu_count()} cores; Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in ("numpy", "pillow", "imagehash", "pdqhash"))
        + ".",
        "Each figure is the median time of many runs, in milliseconds.",
        "",
        "## PDQ",
        "",
        "Both start from a decoded 8-bit RGB picture of Pillow and end with the hash and its quality.",
        "So the time of both includes reading the pixels from Pillow and computing their luminance.",
        "*Array* is pdqhash alone, with pixels that are already in an array.",
        "",
        "| picture | hashdb | pdqhash | times faster | array | times faster |",
        "|---|---|---|---|---|---|",
        *map(_pdq_row, pictures),
        "",
        "## Reading a picture, and the other algorithms",
        "",
        "*Read* is the time from the bytes of a JPEG (quality 90) to an upright RGB picture.",
        "*Grey* is computed once, however many of the algorithms to its right are computed.",
        "",
        "| picture | read | grey | " + " | ".join(OTHERS) + " |",
        "|---|---|---|" + "---|" * len(OTHERS),
        *map(_other_row, pictures),
    ]


def _pdq_row(picture: Picture) -> str:
    pixels = np.asarray(picture.colour)
    assert pdq(picture)[0].to_bytes() == np.packbits(pdqhash.compute(pixels)[0]).tobytes()
    ours = _milliseconds(lambda: pdq(picture))
    theirs = _milliseconds(lambda: pdqhash.compute(np.asarray(picture.colour)))
    alone = _milliseconds(lambda: pdqhash.compute(pixels))
    return f"| {_size(picture)} | {ours:.2f} | {theirs:.2f} | {theirs / ours:.1f} | {alone:.2f} | {alone / ours:.1f} |"


def _other_row(picture: Picture) -> str:
    file = BytesIO()
    picture.colour.save(file, "JPEG", quality=90)
    limits = Limits()
    steps: list[Callable[[], object]] = [
        lambda: read_picture(file.getvalue(), limits),
        lambda: picture.colour.convert("L"),
        *(lambda algorithm=algorithm: imagehash_signal(picture, algorithm) for algorithm in OTHERS),
    ]
    return f"| {_size(picture)} | " + " | ".join(f"{_milliseconds(step):.2f}" for step in steps) + " |"


def _size(picture: Picture) -> str:
    return "{} × {}".format(*picture.colour.size)


def _milliseconds(run: Callable[[], object]) -> float:
    """The median of 9 runs at least, and of what fits in two seconds."""
    run()
    taken: list[float] = []
    while len(taken) < 9 or (sum(taken) < 2 and len(taken) < 200):
        started = time.perf_counter()
        run()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken) * 1000


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())


if __name__ == "__main__":
    main()
