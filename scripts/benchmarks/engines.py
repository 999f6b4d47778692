"""Search engines for the comparison: each runs in a separate process and answers calls as lines of JSON.

One process builds the files of an engine, and a new process loads them. A server does the same, and the MultiHash of
faiss is two to three times faster after it was loaded.
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

from hashdb.index import FLUSH_SIZE
from hashdb.index.plan import Chunks
from hashdb.index.segment import Segment, build_segment, open_segment, write_segment
from hashdb.index.tiered import TieredIndex
from hashdb.index.vectors import Words, unpack

ROOT = Path(__file__).parents[2]


class Engine(Protocol):
    """An index of the values in `folder`."""

    needs: ClassVar[str]
    """The module that the engine needs; without it, the benchmark skips the engine."""

    @staticmethod
    def make(folder: Path, words: Words, radius: int) -> None:
        """Write the files that `__init__` loads to the folder."""

    def __init__(self, folder: Path, words: Words, radius: int) -> None:
        """Load the files."""

    def encode_queries(self, words: Words) -> Sequence[Any]:
        """Queries in the form that the engine accepts."""

    def search(self, query: Any, radius: int) -> object:
        """Answer one query."""

    def search_batch(self, queries: Sequence[Any], radius: int) -> object:
        """Answer many queries with the fastest call of the engine."""

    def matching_values(self, query: Any, radius: int) -> list[int]:
        """The matching values, to compare them with those of a scan."""


class Hashdb:
    """The tiered index of a worker: a segment in a file, and a full array in memory."""

    needs: ClassVar[str] = "hashdb"

    @staticmethod
    def make(folder: Path, words: Words, radius: int) -> None:
        """Build the segment of all values but the newest, which are in the array."""
        write_segment(folder / "hashdb.segment", build_segment(words[:-FLUSH_SIZE], radius))

    def __init__(self, folder: Path, words: Words, radius: int) -> None:
        """Map the file and fill the array."""
        self.index = TieredIndex(words.shape[1] * 64, radius)
        self.index.adopt([self._segment(folder, words)], 0)
        self.index.add(unpack(words[-FLUSH_SIZE:]), 1)

    def _segment(self, folder: Path, words: Words) -> Segment:
        return open_segment(folder / "hashdb.segment")

    def encode_queries(self, words: Words) -> Sequence[Any]:
        """The queries as integers."""
        return unpack(words)

    def search(self, query: Any, radius: int) -> object:
        """Search with the call that the service makes."""
        return self.index.search([query], radius)

    def search_batch(self, queries: Sequence[Any], radius: int) -> object:
        """Search with the same call."""
        return self.index.search(queries, radius)

    def matching_values(self, query: Any, radius: int) -> list[int]:
        """The values of the neighbours."""
        return [neighbor.value for neighbor in self.index.search([query], radius)[0]]


class Scan(Hashdb):
    """The tiered index without tables: it compares every value."""

    @staticmethod
    def make(folder: Path, words: Words, radius: int) -> None:
        """Write nothing: the values are enough."""

    def _segment(self, folder: Path, words: Words) -> Segment:
        older = words[:-FLUSH_SIZE]
        width = min(2, words.shape[1])
        lanes = [np.ascontiguousarray(older[:, at : at + width]) for at in range(0, words.shape[1], width)]
        return Segment(lanes, Chunks(words.shape[1] * 64, ()))


class PDQIndex:
    """The index of python-threatexchange, unpickled, as its servers load it."""

    needs: ClassVar[str] = "threatexchange"

    @staticmethod
    def make(folder: Path, words: Words, radius: int) -> None:
        """Build and pickle the index."""
        module = import_module("threatexchange.signal_type.pdq.pdq_index")
        index = module.PDQIndex((f"{value:064x}", row) for row, value in enumerate(unpack(words)))
        with (folder / "pdqindex.pickle").open("wb") as file:
            pickle.dump(index, file, pickle.HIGHEST_PROTOCOL)

    def __init__(self, folder: Path, words: Words, radius: int) -> None:
        """Unpickle the index."""
        with (folder / "pdqindex.pickle").open("rb") as file:
            self._index = pickle.load(file)
        self._words = words

    def encode_queries(self, words: Words) -> Sequence[Any]:
        """The queries as hexadecimal digits."""
        return [f"{value:064x}" for value in unpack(words)]

    def search(self, query: Any, radius: int) -> object:
        """Search with the public call, which has the fixed radius 31."""
        return self._index.query(query)

    def search_batch(self, queries: Sequence[Any], radius: int) -> object:
        """Search with the internal call for many queries, which is faster than many public calls."""
        return self._index.index.search_with_distance_in_result(queries, radius)

    def matching_values(self, query: Any, radius: int) -> list[int]:
        """The values of the matching rows. The index stores the row as the metadata of each hash."""
        return unpack(self._words[[match.metadata for match in self._index.query(query)]])


class _Faiss:
    """A binary index of faiss, read from a file."""

    needs: ClassVar[str] = "faiss"
    file: str

    def __init__(self, folder: Path, words: Words, radius: int) -> None:
        """Read the file. Use one thread, because waiting threads of OpenMP spin."""
        self._faiss: Any = import_module("faiss")
        self._faiss.omp_set_num_threads(1)
        self._index = self._faiss.read_index_binary(str(folder / self.file))
        self._words = words

    def encode_queries(self, words: Words) -> Sequence[Any]:
        """The queries as bytes, each an array of one row."""
        return list(_octets(words)[:, None, :])

    def search(self, query: Any, radius: int) -> object:
        """Search within the radius; the radius of faiss's range search is exclusive."""
        return self._search_rows(query, radius)

    def _search_rows(self, rows: Any, radius: int) -> Any:
        return self._index.range_search(rows, radius + 1)

    def search_batch(self, queries: Sequence[Any], radius: int) -> object:
        """Search many rows in one call."""
        return self._search_rows(np.concatenate(queries), radius)

    def matching_values(self, query: Any, radius: int) -> list[int]:
        """The values of the matching rows."""
        return unpack(self._words[self._search_rows(query, radius)[2]])


class MultiHash(_Faiss):
    """The multi-index hashing of faiss in chunks of 16 bits, with as many flips as an exact result needs."""

    file = "multihash.faiss"

    @staticmethod
    def make(folder: Path, words: Words, radius: int) -> None:
        """Build and write the index."""
        faiss: Any = import_module("faiss")
        index = faiss.IndexBinaryMultiHash(words.shape[1] * 64, words.shape[1] * 4, 16)
        index.add(_octets(words))
        faiss.write_index_binary(index, str(folder / MultiHash.file))

    def _search_rows(self, rows: Any, radius: int) -> Any:
        self._index.nflip = radius // self._index.nhash
        return super()._search_rows(rows, radius)


class Flat(_Faiss):
    """The scan of faiss."""

    file = "flat.faiss"

    @staticmethod
    def make(folder: Path, words: Words, radius: int) -> None:
        """Write the values as an index."""
        faiss: Any = import_module("faiss")
        index = faiss.IndexBinaryFlat(words.shape[1] * 64)
        index.add(_octets(words))
        faiss.write_index_binary(index, str(folder / Flat.file))


class Pybktree:
    """pybktree alone."""

    needs: ClassVar[str] = "pybktree"

    @staticmethod
    def make(folder: Path, words: Words, radius: int) -> None:
        """Write nothing: each process builds the tree."""

    def __init__(self, folder: Path, words: Words, radius: int) -> None:
        """Build the tree."""
        self._tree = import_module("pybktree").BKTree(lambda a, b: (a ^ b).bit_count(), unpack(words))

    def encode_queries(self, words: Words) -> Sequence[Any]:
        """The queries as integers."""
        return unpack(words)

    def search(self, query: Any, radius: int) -> object:
        """Search with the only call of pybktree."""
        return self._tree.find(query, radius)

    def search_batch(self, queries: Sequence[Any], radius: int) -> object:
        """Search the queries one by one."""
        return [self._tree.find(query, radius) for query in queries]

    def matching_values(self, query: Any, radius: int) -> list[int]:
        """The values of the pairs (distance, value)."""
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
    """Memory of this process in bytes: its share of all mapped memory, its share of files, and private memory."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
    kib = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    return {"pss": kib["Pss"] * 1024, "files": kib["Pss_File"] * 1024, "own": kib["Pss_Anon"] * 1024}


class Calls:
    """The calls that a process with one engine answers."""

    def __init__(self, name: str, folder: Path, radius: int) -> None:
        """Load the engine and the queries."""
        self._words = np.load(folder / "values.npy", mmap_mode="r")
        started = time.perf_counter()
        self._engine = ENGINES[name](folder, self._words, radius)
        self.loaded = time.perf_counter() - started
        self._by_radius: dict[int, Sequence[Any]] = {}
        self._folder = folder

    def single(self, radius: int, count: int) -> dict[str, float]:
        """Microseconds for a single query: processor time and elapsed time.

        The time to read both clocks, which is more than a microsecond, is subtracted.
        """
        queries, search = self._queries(radius)[:count], self._engine.search
        search(queries[0], radius)
        processor, elapsed, work, clock = [], [], time.thread_time_ns, time.perf_counter_ns
        for query in queries:
            at, started = clock(), work()
            search(query, radius)
            processor.append(work() - started)
            elapsed.append(clock() - at)
        nothing = []
        for _ in range(1_000):
            at, started = clock(), work()
            nothing.append((work() - started, clock() - at))
        own, wall_own = np.median(nothing, axis=0)
        p50, p99 = (np.percentile(processor, (50, 99)) - own) / 1000
        wall50, wall99 = (np.percentile(elapsed, (50, 99)) - wall_own) / 1000
        return {"p50": float(p50), "p99": float(p99), "wall_p50": float(wall50), "wall_p99": float(wall99)}

    def batch(self, radius: int, count: int) -> dict[str, float]:
        """Queries a second, all in one call: by processor time and by elapsed time."""
        queries = self._queries(radius)[:count]
        at, started = time.perf_counter(), time.thread_time()
        self._engine.search_batch(queries, radius)
        return {"rate": count / (time.thread_time() - started), "wall_rate": count / (time.perf_counter() - at)}

    def check(self, radius: int, count: int) -> list[list[str]]:
        """The matching values of some queries, in hexadecimal digits, sorted."""
        queries = self._queries(radius)[:count]
        return [[f"{value:x}" for value in sorted(self._engine.matching_values(query, radius))] for query in queries]

    def threads(self, radius: int, count: int, seconds: float) -> dict[str, float]:
        """Single queries a second by `count` threads together."""
        done, until = [0] * count, time.perf_counter() + seconds
        queries = self._queries(radius)

        def run(number: int) -> None:
            while time.perf_counter() < until:
                for query in queries[number * 50 : number * 50 + 50]:
                    self._engine.search(query, radius)
                done[number] += 50

        started = time.perf_counter()
        threads = [Thread(target=run, args=(number,)) for number in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return {"rate": sum(done) / (time.perf_counter() - started)}

    memory = staticmethod(memory)

    def _queries(self, radius: int) -> Sequence[Any]:
        if radius not in self._by_radius:
            self._by_radius[radius] = self._engine.encode_queries(np.load(self._folder / f"queries-{radius}.npy"))
        return self._by_radius[radius]


class Process:
    """A new process with an engine; it ends with the block."""

    def __init__(self, name: str, folder: Path, radius: int, *, kernel: bool = True) -> None:
        """Start the process and wait until it has loaded the engine."""
        command = [sys.executable, "-m", "scripts.benchmarks.engines", "serve", name, str(folder), str(radius)]
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=process_environment(kernel), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.loaded: float = self._read_result()

    def call(self, name: str, **arguments: Any) -> Any:
        """Make one of the calls of `Calls`; return its result."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([name, arguments]) + "\n")
        self._process.stdin.flush()
        return self._read_result()

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)

    def _read_result(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process ended with {self._process.wait()}")
        return json.loads(line)


def process_environment(kernel: bool = True) -> dict[str, str]:
    """The environment of a measured process: one thread, with or without the kernel."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    return os.environ | threads | {} if kernel else os.environ | threads | {"HASHDB_KERNEL": "0"}


def make(name: str, folder: Path, radius: int, *, kernel: bool = True) -> float:
    """Build the files of an engine in a separate process; return the seconds that it took."""
    command = [sys.executable, "-m", "scripts.benchmarks.engines", "make", name, str(folder), str(radius)]
    return float(subprocess.check_output(command, cwd=ROOT, env=process_environment(kernel), timeout=900))


def installed(name: str) -> bool:
    """Whether the module that the engine needs is installed."""
    return find_spec(ENGINES[name].needs) is not None


def main() -> None:
    """Build the files of an engine (`make`), or answer calls (`serve`), as the command line says."""
    action, name, folder, radius = sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
    if action == "make":
        words = np.load(folder / "values.npy")
        started = time.perf_counter()
        ENGINES[name].make(folder, words, radius)
        print(time.perf_counter() - started)
        return
    calls = Calls(name, folder, radius)
    print(json.dumps(calls.loaded), flush=True)
    for line in sys.stdin:
        name, arguments = json.loads(line)
        call: Callable[..., object] = getattr(calls, name)
        print(json.dumps(call(**arguments)), flush=True)


if __name__ == "__main__":
    main()
