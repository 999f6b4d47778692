"""Measure the index of hashdb alone, each step in a new process: build, open, write segments, merge."""

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
from hashdb.index.segment_store import SegmentStore
from hashdb.index.vectors import Words, unpack
from hashdb.service.background import low_priority
from scripts.benchmarks.engines import ROOT, process_environment

_EPOCH = "benchmark"
_ALGORITHM = Algorithm.PDQ
_SMALL = 5_000
_IDLE = "nothing"
_ONE_IN_A_HUNDRED = 0.01


def measure(step: str, folder: Path, radius: int, *, kernel: bool = True) -> dict[str, Any]:
    """Call one of the functions below in a new process; return its result."""
    command = [sys.executable, "-m", "scripts.benchmarks.index_alone", step, str(folder), str(radius)]
    output = subprocess.check_output(command, cwd=ROOT, env=process_environment(kernel), timeout=900)
    figures: dict[str, Any] = json.loads(output)
    return figures


def build(folder: Path, radius: int) -> dict[str, Any]:
    """Processor seconds to build the segment of all values in memory, the median of several runs."""
    words = np.load(folder / "values.npy")
    processor, elapsed = [], []
    for _ in range(5 if len(words) <= 1_000_000 else 1):
        at, started = time.perf_counter(), time.process_time()
        segment = build_segment(words, radius)
        processor.append(time.process_time() - started)
        elapsed.append(time.perf_counter() - at)
    return {
        "seconds": statistics.median(processor),
        "wall": statistics.median(elapsed),
        "chunks": segment.chunks.widths,
    }


def keep(folder: Path, radius: int) -> dict[str, Any]:
    """Write all values but the last ones to a segment store, as the service does; return the size of its files."""
    store, words = _store(folder, radius), np.load(folder / "values.npy")
    first_values = words[: -_later(words)]
    started = time.perf_counter()
    with store.writing():
        store.indexes[_ALGORITHM].load(first_values, 1)
        store.flush(1, "", store.snapshot())
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "bytes": _bytes(folder), "values": len(first_values)}


def open(folder: Path, radius: int) -> dict[str, Any]:
    """Milliseconds from the start to the first correct result, with files that are in the system's cache."""
    query = np.load(folder / "values.npy", mmap_mode="r")[0]
    value = unpack(query[None])[0]
    started = time.perf_counter()
    store = _store(folder, radius)
    [neighbors] = store.indexes[_ALGORITHM].search([value], radius)
    duration = time.perf_counter() - started
    return {"milliseconds": duration * 1000, "right": (0, value) in neighbors}


def pauses(folder: Path, radius: int) -> dict[str, Any]:
    """Milliseconds of single queries, one after the other, while another thread writes and merges segments."""
    words = np.load(folder / "values.npy", mmap_mode="r")
    store, later = _store(folder, radius), np.array(words[-_later(words) :])
    index = store.indexes[_ALGORITHM]
    queries = unpack(np.load(folder / f"queries-{radius}.npy"))
    phases: list[tuple[str, float, float]] = []
    work = Thread(target=_work, args=(store, later, phases))
    latencies: list[tuple[float, float]] = []
    work.start()
    clock = time.perf_counter
    while work.is_alive():
        for query in queries[:100]:
            started = clock()
            index.search([query], radius)
            latencies.append((started, clock() - started))
    work.join()
    durations = np.array(latencies)
    spread = {name: _spread(durations, started, ended) for name, started, ended in phases}
    busy = [(started, ended) for name, started, ended in phases if not name.startswith(_IDLE)]
    return spread | {"all of these": _spread(durations, busy[0][0], busy[-1][1])}


def _work(store: SegmentStore, later: Words, phases: list[tuple[str, float, float]]) -> None:
    """Wait, write a small segment twice, merge the two, then merge a large segment into the largest one."""
    low_priority()
    index = store.indexes[_ALGORITHM]

    def phase(name: str, act: Callable[[], object]) -> None:
        started = time.perf_counter()
        act()
        phases.append((name, started, time.perf_counter()))

    def add(part: Words, seq: int) -> None:
        if len(part) <= _SMALL:
            index.add(unpack(part), seq)
        else:
            index.load(part, seq)

    def flush(seq: int) -> None:
        store.flush(seq, "", store.snapshot())

    parts = (later[:_SMALL], later[_SMALL : 2 * _SMALL], later[2 * _SMALL :])
    with store.writing():
        phase(_IDLE, lambda: time.sleep(2))
        for seq, part in enumerate(parts[:2], start=2):
            phase(f"adding {len(part):,} ({seq - 1})", lambda part=part, seq=seq: add(part, seq))  # type: ignore[misc]
            phase(f"writing {len(part):,} ({seq - 1})", lambda seq=seq: flush(seq))  # type: ignore[misc]
        phase("merging two small", lambda: store.merge(_all))
        phase(f"adding {len(parts[2]):,}", lambda: add(parts[2], 4))
        phase(f"writing {len(parts[2]):,}", lambda: flush(4))
        while len(index.segments) > 1:
            first = f"{len(index.segments[-2]):,} and {len(index.segments[-1]):,}"
            started = time.perf_counter()
            if not store.merge(_all):
                break
            phases.append((f"merging {first}", started, time.perf_counter()))


def _spread(durations: NDArray[np.float64], started: float, ended: float) -> dict[str, float]:
    overlapping = durations[(durations[:, 0] + durations[:, 1] > started) & (durations[:, 0] < ended)][:, 1] * 1000
    if not len(overlapping):
        return {"seconds": ended - started, "queries": 0}
    p50, p99, largest = np.percentile(overlapping, (50, 99, 100))
    return {
        "seconds": ended - started,
        "queries": len(overlapping),
        "p50": float(p50),
        "p99": float(p99),
        "wait": _wait(overlapping),
        "max": float(largest),
    }


def _wait(durations: NDArray[np.float64]) -> float:
    """The 99th percentile of the wait of a request that arrives at a random moment.

    The queries follow each other, so a long pause counts as one query. A request that arrives during it waits for the
    rest of it. For a wait of `x` milliseconds, the share of requests that wait longer is the sum of the parts of all
    durations beyond `x`, divided by the sum of all durations.
    """
    low, high = 0.0, float(durations.max())
    for _ in range(50):
        middle = (low + high) / 2
        more = np.maximum(durations - middle, 0).sum() / durations.sum()
        low, high = (middle, high) if more > _ONE_IN_A_HUNDRED else (low, middle)
    return high


def _store(folder: Path, radius: int) -> SegmentStore:
    store = SegmentStore(folder / "segments", {_ALGORITHM: radius})
    store.start(_EPOCH, 1, lambda seq: "")
    return store


def _later(words: Words) -> int:
    """The number of values that are added later: enough to be merged into the first ones."""
    return len(words) // 4 + 2 * _SMALL


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / "segments").glob("*.segment"))


def _all(algorithm: Algorithm, words: Words) -> NDArray[np.bool_]:
    return np.ones(len(words), bool)


MEASURED = {"build": build, "keep": keep, "open": open, "pauses": pauses}


def main() -> None:
    """Measure the step that the command line names."""
    print(json.dumps(MEASURED[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))))


if __name__ == "__main__":
    main()
