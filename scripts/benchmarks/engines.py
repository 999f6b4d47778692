"""The engines, each in a process of its own and in its best state, asked by JSON lines.

A server does not build its index anew, and faiss's MultiHash is two to three times faster when it was loaded: so every
engine is made by one process and then loaded by a fresh one.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar, Protocol

import numpy as np

from hashdb.index.plan import Chunks
from hashdb.index.segment import Segment, build_segment, open_segment, write_segment
from hashdb.index.tiered import FLUSH_SIZE, TieredIndex
from hashdb.index.vectors import Words, unpack

ROOT = Path(__file__).parents[2]


class Engine(Protocol):
    """An index of the values in `folder`."""

    needs: ClassVar[str]
    """The module without which it is left out."""

    @staticmethod
    def make(folder: Path, words: Words, radius: int) -> None:
        """Write to the folder what `__init__` loads."""

    def __init__(self, folder: Path, words: Words, radius: int) -> None:
        """Load it."""

    def asked(self, words: Words) -> Sequence[Any]:
        """Queries in the form that the engine takes."""

    def one(self, query: Any, radius: int) -> object:
        """Answer one query."""

    def many(self, queries: Sequence[Any], radius: int) -> object:
        """Answer many, in the fastest way that the engine has."""

    def values(self, query: Any, radius: int) -> list[int]:
        """The values that are found, for the comparison with a scan."""


class Hashdb:
    """Our tiers as a worker has them: a segment in a file, and an array in memory that is full."""

    needs: ClassVar[str] = "hashdb"

    @staticmethod
    def make(folder: Path, words: Words, radius: int) -> None:
        """Build the segment; the newest values are left to the array."""
        write_segment(folder / "hashdb.segment", build_segment(words[:-FLUSH_SIZE], radius))

    def __init__(self, folder: Path, words: Words, radius: int) -> None:
        """Map the file and fill the array."""
        self.index = TieredIndex(words.shape[1] * 64, radius)
        self.index.adopt([self._segment(folder, words)], 0)
        self.index.add(unpack(words[-FLUSH_SIZE:]), 1)

    def _segment(self, folder: Path, words: Words) -> Segment:
        return open_segment(folder / "hashdb.segment")

    def asked(self, words: Words) -> Sequence[Any]:
        """Whole numbers."""
        return unpack(words)

    def one(self, query: Any, radius: int) -> object:
        """By the call that the service makes."""
        return self.index.search([query], radius)

    def many(self, queries: Sequence[Any], radius: int) -> object:
        """By the same."""
        return self.index.search(queries, radius)

    def values(self, query: Any, radius: int) -> list[int]:
        """The neighbours' values."""
        return [neighbor.value for neighbor in self.index.search([query], radius)[0]]


class Scan(Hashdb):
    """The same without tables: every value is compared."""

    @staticmethod
    def make(folder: Path, words: Words, radius: int) -> None:
        """Nothing: the values are enough."""

    def _segment(self, folder: Path, words: Words) -> Segment:
        kept = words[:-FLUSH_SIZE]
        width = min(2, words.shape[1])
        lanes = [np.ascontiguousarray(kept[:, at : at + width]) for at in range(0, words.shape[1], width)]
        return Segment(lanes, Chunks(words.shape[1] * 64, ()))


class PDQIndex:
    """python-threatexchange's index, unpickled, as its servers have it."""

    needs: ClassVar[str] = "threatexchange"

    @staticmethod
    def make(folder: Path, words: Words, radius: int) -> None:
        """Build and pickle."""
        module = import_module("threatexchange.signal_type.pdq.pdq_index")
        index = module.PDQIndex((f"{value:064x}", row) for row, value in enumerate(unpack(words)))
        with (folder / "pdqindex.pickle").open("wb") as file:
            pickle.dump(index, file, pickle.HIGHEST_PROTOCOL)

    def __init__(self, folder: Path, words: Words, radius: int) -> None:
        """Unpickle."""
        with (folder / "pdqindex.pickle").open("rb") as file:
            self._index = pickle.load(file)
        self._words = words

    def asked(self, words: Words) -> Sequence[Any]:
        """Hexadecimal digits."""
        return [f"{value:064x}" for value in unpack(words)]

    def one(self, query: Any, radius: int) -> object:
        """Its own call, whose radius is fixed at 31."""
        return self._index.query(query)

    def many(self, queries: Sequence[Any], radius: int) -> object:
        """The call below it, which takes many: faster than its own, one by one."""
        return self._index.index.search_with_distance_in_result(queries, radius)

    def values(self, query: Any, radius: int) -> list[int]:
        """By the rows, which were stored as what belongs to each hash."""
        return unpack(self._words[[match.metadata for match in self._index.query(query)]])


class _Faiss:
    """One of faiss's binary indexes, read from a file."""

    needs: ClassVar[str] = "faiss"
    file: str

    def __init__(self, folder: Path, words: Words, radius: int) -> None:
        """Read the file, on one thread: those of OpenMP wait by spinning."""
        self._faiss: Any = import_module("faiss")
        self._faiss.omp_set_num_threads(1)
        self._index = self._faiss.read_index_binary(str(folder / self.file))
        self._words = words

    def asked(self, words: Words) -> Sequence[Any]:
        """Rows of bytes, each an array of one row."""
        return list(_octets(words)[:, None, :])

    def one(self, query: Any, radius: int) -> object:
        """A range search, whose radius is exclusive."""
        return self._found(query, radius)

    def _found(self, rows: Any, radius: int) -> Any:
        return self._index.range_search(rows, radius + 1)

    def many(self, queries: Sequence[Any], radius: int) -> object:
        """The same with many rows."""
        return self._found(np.concatenate(queries), radius)

    def values(self, query: Any, radius: int) -> list[int]:
        """By the rows."""
        return unpack(self._words[self._found(query, radius)[2]])


class MultiHash(_Faiss):
    """faiss's multi-index hashing in chunks of 16 bits, with as many flips as an exact answer takes."""

    file = "multihash.faiss"

    @staticmethod
    def make(folder: Path, words: Words, radius: int) -> None:
        """Build and write."""
        faiss: Any = import_module("faiss")
        index = faiss.IndexBinaryMultiHash(words.shape[1] * 64, words.shape[1] * 4, 16)
        index.add(_octets(words))
        faiss.write_index_binary(index, str(folder / MultiHash.file))

    def _found(self, rows: Any, radius: int) -> Any:
        self._index.nflip = radius // self._index.nhash
        return super()._found(rows, radius)


class Flat(_Faiss):
    """faiss's scan."""

    file = "flat.faiss"

    @staticmethod
    def make(folder: Path, words: Words, radius: int) -> None:
        """Write."""
        faiss: Any = import_module("faiss")
        index = faiss.IndexBinaryFlat(words.shape[1] * 64)
        index.add(_octets(words))
        faiss.write_index_binary(index, str(folder / Flat.file))


class Pybktree:
    """pybktree alone."""

    needs: ClassVar[str] = "pybktree"

    @staticmethod
    def make(folder: Path, words: Words, radius: int) -> None:
        """Nothing: a tree is built each time."""

    def __init__(self, folder: Path, words: Words, radius: int) -> None:
        """Build the tree."""
        self._tree = import_module("pybktree").BKTree(lambda a, b: (a ^ b).bit_count(), unpack(words))

    def asked(self, words: Words) -> Sequence[Any]:
        """Whole numbers."""
        return unpack(words)

    def one(self, query: Any, radius: int) -> object:
        """Its search."""
        return self._tree.find(query, radius)

    def many(self, queries: Sequence[Any], radius: int) -> object:
        """One by one."""
        return [self._tree.find(query, radius) for query in queries]

    def values(self, query: Any, radius: int) -> list[int]:
        """The second of each pair."""
        return [value for _, value in self._tree.find(query, radius)]


ENGINES: dict[str, type[Engine]] = {
    "hashdb": Hashdb,
    "scan": Scan,
    "PDQIndex": PDQIndex,
    "MultiHash": MultiHash,
    "flat": Flat,
    "pybktree": Pybktree,
}


def _octets(words: Words) -> Any:
    return np.ascontiguousarray(words).astype(">u8").view(np.uint8)


def memory() -> dict[str, int]:
    """Bytes of this process: its share of all that is mapped, of mapped files, and what is private to it."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
    kib = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    return {"pss": kib["Pss"] * 1024, "files": kib["Pss_File"] * 1024, "own": kib["Pss_Anon"] * 1024}


class Served:
    """What a process with one engine answers."""

    def __init__(self, name: str, folder: Path, radius: int) -> None:
        """Load the engine and the queries."""
        self._words = np.load(folder / "values.npy", mmap_mode="r")
        begun = time.perf_counter()
        self._engine = ENGINES[name](folder, self._words, radius)
        self.loaded = time.perf_counter() - begun
        self._kinds: dict[int, Sequence[Any]] = {}
        self._folder = folder

    def single(self, radius: int, count: int) -> dict[str, float]:
        """Microseconds a query, one by one: of the processor's time, and by the clock on the wall.

        What it takes to read the clocks alone, which is more than a microsecond, is taken off.
        """
        asked, one = self._asked(radius)[:count], self._engine.one
        one(asked[0], radius)
        taken, passed, work, clock = [], [], time.thread_time_ns, time.perf_counter_ns
        for query in asked:
            at, begun = clock(), work()
            one(query, radius)
            taken.append(work() - begun)
            passed.append(clock() - at)
        nothing = []
        for _ in range(1_000):
            at, begun = clock(), work()
            nothing.append((work() - begun, clock() - at))
        own, wall_own = np.median(nothing, axis=0)
        p50, p99 = (np.percentile(taken, (50, 99)) - own) / 1000
        wall50, wall99 = (np.percentile(passed, (50, 99)) - wall_own) / 1000
        return {"p50": float(p50), "p99": float(p99), "wall_p50": float(wall50), "wall_p99": float(wall99)}

    def batch(self, radius: int, count: int) -> dict[str, float]:
        """Queries a second, all in one call: of the processor's time, and by the clock on the wall."""
        asked = self._asked(radius)[:count]
        at, begun = time.perf_counter(), time.thread_time()
        self._engine.many(asked, radius)
        return {"rate": count / (time.thread_time() - begun), "wall_rate": count / (time.perf_counter() - at)}

    def check(self, radius: int, count: int) -> list[list[str]]:
        """What is found for some queries, in hexadecimal digits, sorted."""
        asked = self._asked(radius)[:count]
        return [[f"{value:x}" for value in sorted(self._engine.values(one, radius))] for one in asked]

    def threads(self, radius: int, many: int, seconds: float) -> dict[str, float]:
        """Single queries a second by `many` threads together."""
        done, until = [0] * many, time.perf_counter() + seconds
        asked = self._asked(radius)

        def run(number: int) -> None:
            while time.perf_counter() < until:
                for query in asked[number * 50 : number * 50 + 50]:
                    self._engine.one(query, radius)
                done[number] += 50

        begun = time.perf_counter()
        each = [Thread(target=run, args=(number,)) for number in range(many)]
        for thread in each:
            thread.start()
        for thread in each:
            thread.join()
        return {"rate": sum(done) / (time.perf_counter() - begun)}

    memory = staticmethod(memory)

    def _asked(self, radius: int) -> Sequence[Any]:
        if radius not in self._kinds:
            self._kinds[radius] = self._engine.asked(np.load(self._folder / f"queries-{radius}.npy"))
        return self._kinds[radius]


class Process:
    """A fresh process with an engine; ends with the block."""

    def __init__(self, name: str, folder: Path, radius: int, *, kernel: bool = True) -> None:
        """Start it and wait until it has loaded."""
        words = [sys.executable, "-m", "scripts.benchmarks.engines", "serve", name, str(folder), str(radius)]
        self._process = subprocess.Popen(
            words, cwd=ROOT, env=surroundings(kernel), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.loaded: float = self._answer()

    def ask(self, what: str, **arguments: Any) -> Any:
        """One of the questions that `Served` answers."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([what, arguments]) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process ended with {self._process.wait()}")
        return json.loads(line)


def surroundings(kernel: bool = True) -> dict[str, str]:
    """The environment of a measured process."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    return os.environ | threads | {} if kernel else os.environ | threads | {"HASHDB_KERNEL": "0"}


def make(name: str, folder: Path, radius: int, *, kernel: bool = True) -> float:
    """Make an engine's files in a process of its own; return how many seconds it took."""
    words = [sys.executable, "-m", "scripts.benchmarks.engines", "make", name, str(folder), str(radius)]
    return float(subprocess.check_output(words, cwd=ROOT, env=surroundings(kernel), timeout=900))


def installed(name: str) -> bool:
    """Whether what the engine needs is here."""
    return find_spec(ENGINES[name].needs) is not None


def main() -> None:
    """`make` or `serve`, in the process of its own."""
    what, name, folder, radius = sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
    if what == "make":
        words = np.load(folder / "values.npy")
        begun = time.perf_counter()
        ENGINES[name].make(folder, words, radius)
        print(time.perf_counter() - begun)
        return
    served = Served(name, folder, radius)
    print(json.dumps(served.loaded), flush=True)
    for line in sys.stdin:
        question, arguments = json.loads(line)
        asked: Callable[..., object] = getattr(served, question)
        print(json.dumps(asked(**arguments)), flush=True)


if __name__ == "__main__":
    main()
