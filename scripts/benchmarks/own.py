"""What is measured of hashdb alone, each in a fresh process: building, opening, writing segments and merging."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashdb.domain.signals import Algorithm
from hashdb.index.segment import build_segment
from hashdb.index.segment_store import SegmentStore, low_priority
from hashdb.index.vectors import Words, unpack
from scripts.benchmarks.engines import ROOT, surroundings

_EPOCH = "benchmark"
_ALGORITHM = Algorithm.PDQ
_SMALL = 5_000
_IDLE = "nothing"
_ONE_IN_A_HUNDRED = 0.01


def measure(what: str, folder: Path, radius: int, *, kernel: bool = True) -> dict[str, Any]:
    """One of the functions below, in a fresh process."""
    words = [sys.executable, "-m", "scripts.benchmarks.own", what, str(folder), str(radius)]
    answer = subprocess.check_output(words, cwd=ROOT, env=surroundings(kernel), timeout=900)
    told: dict[str, Any] = json.loads(answer)
    return told


def build(folder: Path, radius: int) -> dict[str, Any]:
    """Seconds of the processor's time to build the segment of all values in memory, the median of some times."""
    words = np.load(folder / "values.npy")
    taken, passed = [], []
    for _ in range(5 if len(words) <= 1_000_000 else 1):
        at, begun = time.perf_counter(), time.process_time()
        segment = build_segment(words, radius)
        taken.append(time.process_time() - begun)
        passed.append(time.perf_counter() - at)
    return {"seconds": statistics.median(taken), "wall": statistics.median(passed), "chunks": segment.chunks.widths}


def keep(folder: Path, radius: int) -> dict[str, Any]:
    """Put all values but the last ones in a segment store, as the service does; bytes of its files."""
    store, words = _store(folder, radius), np.load(folder / "values.npy")
    kept = words[: -_later(words)]
    begun = time.perf_counter()
    with store.writing():
        store.indexes[_ALGORITHM].load(kept, 1)
        store.flush(1, "", store.snapshot())
    seconds = time.perf_counter() - begun
    return {"seconds": seconds, "bytes": _bytes(folder), "values": len(kept)}


def open(folder: Path, radius: int) -> dict[str, Any]:
    """Milliseconds from nothing to the first right answer, of files that are in the system's cache."""
    query = np.load(folder / "values.npy", mmap_mode="r")[0]
    value = unpack(query[None])[0]
    begun = time.perf_counter()
    store = _store(folder, radius)
    [found] = store.indexes[_ALGORITHM].search([value], radius)
    taken = time.perf_counter() - begun
    return {"milliseconds": taken * 1000, "right": (0, value) in found}


def pauses(folder: Path, radius: int) -> dict[str, Any]:
    """Milliseconds of single queries, one after the other, while another thread of the process does each thing."""
    words = np.load(folder / "values.npy", mmap_mode="r")
    store, later = _store(folder, radius), np.array(words[-_later(words) :])
    index = store.indexes[_ALGORITHM]
    asked = unpack(np.load(folder / f"queries-{radius}.npy"))
    phases: list[tuple[str, float, float]] = []
    work = Thread(target=_work, args=(store, later, phases))
    latencies: list[tuple[float, float]] = []
    work.start()
    clock = time.perf_counter
    while work.is_alive():
        for query in asked[:100]:
            begun = clock()
            index.search([query], radius)
            latencies.append((begun, clock() - begun))
    work.join()
    every = np.array(latencies)
    spread = {name: _spread(every, begun, ended) for name, begun, ended in phases}
    busy = [(begun, ended) for name, begun, ended in phases if not name.startswith(_IDLE)]
    return spread | {"all of these": _spread(every, busy[0][0], busy[-1][1])}


def _work(store: SegmentStore, later: Words, phases: list[tuple[str, float, float]]) -> None:
    """Rest, freeze a small segment twice, merge the two, then merge a large one into the largest."""
    low_priority()
    index = store.indexes[_ALGORITHM]

    def phase(name: str, do: Callable[[], object]) -> None:
        begun = time.perf_counter()
        do()
        phases.append((name, begun, time.perf_counter()))

    def add(part: Words, seq: int) -> None:
        if len(part) <= _SMALL:
            index.add(unpack(part), seq)
        else:
            index.load(part, seq)

    def freeze(seq: int) -> None:
        store.flush(seq, "", store.snapshot())

    parts = (later[:_SMALL], later[_SMALL : 2 * _SMALL], later[2 * _SMALL :])
    with store.writing():
        phase(_IDLE, lambda: time.sleep(2))
        for seq, part in enumerate(parts[:2], start=2):
            phase(f"adding {len(part):,} ({seq - 1})", lambda part=part, seq=seq: add(part, seq))  # type: ignore[misc]
            phase(f"writing {len(part):,} ({seq - 1})", lambda seq=seq: freeze(seq))  # type: ignore[misc]
        phase("merging two small", lambda: store.merge(_all))
        phase(f"adding {len(parts[2]):,}", lambda: add(parts[2], 4))
        phase(f"writing {len(parts[2]):,}", lambda: freeze(4))
        while len(index.segments) > 1:
            first = f"{len(index.segments[-2]):,} and {len(index.segments[-1]):,}"
            begun = time.perf_counter()
            if not store.merge(_all):
                break
            phases.append((f"merging {first}", begun, time.perf_counter()))


def _spread(every: NDArray[np.float64], begun: float, ended: float) -> dict[str, float]:
    inside = every[(every[:, 0] + every[:, 1] > begun) & (every[:, 0] < ended)][:, 1] * 1000
    if not len(inside):
        return {"seconds": ended - begun, "queries": 0}
    p50, p99, largest = np.percentile(inside, (50, 99, 100))
    return {
        "seconds": ended - begun,
        "queries": len(inside),
        "p50": float(p50),
        "p99": float(p99),
        "wait": _wait(inside),
        "max": float(largest),
    }


def _wait(taken: NDArray[np.float64]) -> float:
    """What one in a hundred waits at least of those who come at any moment.

    The queries follow each other, so that however long one pauses it counts once; whoever comes meanwhile waits for
    the rest of it. Of `taken` milliseconds in all, those beyond `x` of a query are the moments that wait for more.
    """
    low, high = 0.0, float(taken.max())
    for _ in range(50):
        middle = (low + high) / 2
        more = np.maximum(taken - middle, 0).sum() / taken.sum()
        low, high = (middle, high) if more > _ONE_IN_A_HUNDRED else (low, middle)
    return high


def _store(folder: Path, radius: int) -> SegmentStore:
    store = SegmentStore(folder / "segments", {_ALGORITHM: radius})
    store.start(_EPOCH, 1, lambda seq: "")
    return store


def _later(words: Words) -> int:
    """How many values come after those that the store begins with: enough to be merged into them."""
    return len(words) // 4 + 2 * _SMALL


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / "segments").glob("*.segment"))


def _all(algorithm: Algorithm, words: Words) -> NDArray[np.bool_]:
    return np.ones(len(words), bool)


MEASURED = {"build": build, "keep": keep, "open": open, "pauses": pauses}


def main() -> None:
    """Measure one thing, in the process of its own."""
    print(json.dumps(MEASURED[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))))


if __name__ == "__main__":
    main()
