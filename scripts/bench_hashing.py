"""Measure how long hashing takes, compared with the C++ of pdqhash; write docs/benchmarks/hashing.md and .json.

    scripts/bench hashing [--against REV] [--rounds N]

With --against, the code of a Git revision hashes the same pictures in a separate process, in alternating rounds.
All times are processor time. Only the fastest run counts: other work on the machine can only make a run slower.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
import pdqhash
from PIL import Image

from hashdb.domain.signals import OF_PICTURES, Algorithm
from hashdb.hashing import Limits, warm
from hashdb.hashing.algorithms import imagehash_signal
from hashdb.hashing.pdq import pdq
from hashdb.hashing.pictures import Picture, read_picture
from scripts.bench_match import export_revision, python_for
from scripts.benchmarks import report
from scripts.benchmarks.report import at_least

PHOTO = report.ROOT / "hashdb" / "photos" / "casa-mila.jpg"
SIZES = ((500, 375), (1024, 768), (4000, 3000))
OTHER_ALGORITHMS = tuple(algorithm for algorithm in OF_PICTURES if algorithm is not Algorithm.PDQ)
MODES = {
    "plain": "the picture alone: pdq, phash256 and phash",
    "transforms": "a query with transforms",
    "balanced": "a contribution with the variants of the balanced profile",
}
_READERS = (
    "For engineers who hash pictures: how long each algorithm takes, compared with pdqhash and an earlier version."
)
RATIO = 1.5
"""The target for the pictures a second, as a multiple of those of an earlier version."""
_ROUND = """
import json, sys, time
from io import BytesIO
from pathlib import Path
import hashdb
from hashdb.domain.signals import OF_PICTURES, Algorithm
from hashdb.hashing import Limits, Mode, hash_as, warm
algorithms = [Algorithm(name) for name in ("pdq", "phash256", "phash")]
pictures = [Path(name).read_bytes() for name in sys.argv[2:]]
warm(algorithms)
print(hashdb.__file__, flush=True)
for _ in sys.stdin:
    took = []
    for octets in pictures:
        for mode in sys.argv[1].split():
            times = []
            while len(times) < 3 or sum(times) < 0.1:
                started = time.process_time()
                hash_as(octets, algorithms, Limits(), Mode(mode))
                times.append(time.process_time() - started)
            took.append(min(times))
    print(json.dumps(took), flush=True)
"""
_AS_IN_THE_SANDBOX = {"OPENBLAS_NUM_THREADS": "1", "PILLOW_BLOCKS_MAX": "8", "MALLOC_TRIM_THRESHOLD_": str(64 * 2**20),
                      "MALLOC_MMAP_THRESHOLD_": str(4 * 2**20)}  # fmt: skip


def main() -> None:
    """Measure pictures of every size, and write the page."""
    parser = argparse.ArgumentParser(prog="scripts/bench hashing", description=__doc__.partition("\n")[0])
    parser.add_argument("--against", metavar="REV", help="a revision of this repository to measure in turns with")
    parser.add_argument("--rounds", type=int, default=20, help="number of rounds of each version, 20 by default")
    arguments = parser.parse_args()
    machine = report.machine("numpy", "pillow", "imagehash", "pdqhash")
    options = f" --against {arguments.against}" if arguments.against else ""
    lines = [
        *report.opening("Hashing", _READERS, f"bench hashing{options}", machine),
        "Each figure is processor time in milliseconds, of the fastest run.",
    ]
    with tempfile.TemporaryDirectory(prefix="hashdb-bench-") as name:
        pictures = _pictures(Path(name))
        versions = {"this": report.ROOT}
        if arguments.against:
            versions[arguments.against] = export_revision(arguments.against, Path(name) / "code")
        milliseconds = _measure(versions, pictures, arguments.rounds)
        lines += [*_targets(milliseconds), *_modes(milliseconds), *_parts(pictures)]
    report.write("hashing", lines, {"machine": machine, "rounds": arguments.rounds, "milliseconds": milliseconds})


def _pictures(folder: Path) -> list[Path]:
    """Write the photograph as JPEG of quality 90 at each size."""
    photo, paths = Image.open(PHOTO).convert("RGB"), []
    for size in SIZES:
        paths.append(folder / f"{size[0]}.jpg")
        photo.resize(size, Image.Resampling.LANCZOS).save(paths[-1], quality=90)
    return paths


def _measure(versions: Mapping[str, Path], pictures: list[Path], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each picture in each mode, by version."""
    with ExitStack() as stack:
        running = {name: stack.enter_context(_running(code, pictures)) for name, code in versions.items()}
        turns = [{name: hash_all() for name, hash_all in running.items()} for _ in range(rounds)]
    return {
        name: [min(times) * 1000 for times in zip(*(turn[name] for turn in turns), strict=True)] for name in running
    }


@contextmanager
def _running(code: Path, pictures: list[Path]) -> Iterator[Callable[[], list[float]]]:
    """Start a process with the code of a folder; yield a function that hashes every picture in every mode in it."""
    command = [python_for(code), "-P", "-c", _ROUND, " ".join(MODES), *map(str, pictures)]
    environment = os.environ | _AS_IN_THE_SANDBOX | {"PYTHONPATH": str(code)}
    with subprocess.Popen(
        command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        stdin, stdout = process.stdin, process.stdout
        package = Path(stdout.readline().strip())
        assert package.is_relative_to(code), package

        def hash_all() -> list[float]:
            print(file=stdin, flush=True)
            return [float(seconds) for seconds in json.loads(stdout.readline())]

        yield hash_all
        stdin.close()


def _targets(milliseconds: Mapping[str, list[float]]) -> list[str]:
    ours, *others = milliseconds.values()
    targets = []
    for revision, before in zip(list(milliseconds)[1:], others, strict=True):
        for place, (side, _) in enumerate(SIZES[:2]):
            ratio = before[place * len(MODES)] / ours[place * len(MODES)]
            what = f"pictures a second a core at {side} pixels, against {revision}"
            targets.append(at_least(what, RATIO, ratio, "×"))
    return ["", "## Targets", *report.targets(targets)] if targets else []


def _modes(milliseconds: Mapping[str, list[float]]) -> list[str]:
    revisions = list(milliseconds)[1:]
    heads = ["picture", "what", "ms", *(head for other in revisions for head in (f"ms, {other}", "times faster"))]
    cases = [(size, what) for size in SIZES for what in MODES.values()]
    rows = []
    for place, (size, what) in enumerate(cases):
        ours = milliseconds["this"][place]
        cells = [_size_text(size), what, f"{ours:.2f}"]
        for other in revisions:
            cells += [f"{milliseconds[other][place]:.2f}", f"{milliseconds[other][place] / ours:.2f}"]
        rows.append(cells)
    return ["", "## A picture, from the bytes of a JPEG of quality 90", *report.table(heads, rows)]


def _parts(paths: list[Path]) -> list[str]:
    warm(OF_PICTURES)
    pictures = [read_picture(path.read_bytes(), Limits()) for path in paths]
    return [
        "## PDQ",
        "",
        "Both start from a decoded RGB picture of Pillow and end with the hash and its quality.",
        "*Array* is pdqhash alone, with pixels that are already in an array.",
        *report.table(
            ("picture", "hashdb", "pdqhash", "times faster", "array", "times faster"), list(map(_pdq_row, pictures))
        ),
        "## Reading a picture, and the other algorithms",
        "",
        "*Read* is the time from the bytes of a JPEG to an upright RGB picture.",
        "Each algorithm starts from that picture; phash256 and phash share their grey, which is counted in both.",
        *report.table(("picture", "read", *OTHER_ALGORITHMS), list(map(_other_row, pictures))),
    ]


def _pdq_row(picture: Picture) -> list[str]:
    pixels = np.asarray(picture.colour)
    assert pdq(picture)[0].to_bytes() == np.packbits(pdqhash.compute(pixels)[0]).tobytes()
    ours = _milliseconds(lambda: pdq(Picture(picture.colour)))
    theirs = _milliseconds(lambda: pdqhash.compute(np.asarray(picture.colour)))
    alone = _milliseconds(lambda: pdqhash.compute(pixels))
    return [
        _picture_size(picture),
        f"{ours:.2f}",
        f"{theirs:.2f}",
        f"{theirs / ours:.1f}",
        f"{alone:.2f}",
        f"{alone / ours:.1f}",
    ]


def _other_row(picture: Picture) -> list[str]:
    file = BytesIO()
    picture.colour.save(file, "JPEG", quality=90)
    steps: list[Callable[[], object]] = [
        lambda: read_picture(file.getvalue(), Limits()),
        *(
            lambda algorithm=algorithm: imagehash_signal(Picture(picture.colour), algorithm)
            for algorithm in OTHER_ALGORITHMS
        ),
    ]
    return [_picture_size(picture), *(f"{_milliseconds(step):.2f}" for step in steps)]


def _picture_size(picture: Picture) -> str:
    return _size_text(picture.colour.size)


def _size_text(size: tuple[int, int]) -> str:
    return "{} × {}".format(*size)


def _milliseconds(run: Callable[[], object]) -> float:
    """The fastest run, of at least five runs and one second."""
    run()
    times: list[float] = []
    while len(times) < 5 or sum(times) < 1:
        started = time.process_time()
        run()
        times.append(time.process_time() - started)
    return min(times) * 1000


if __name__ == "__main__":
    main()
