"""A Milvus in a file, for the tests: one for each process of pytest, with collections of each test's own."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from time import monotonic, sleep

import pytest

from hashdb.index.milvus import Collection, Milvus, MilvusIndex
from hashdb.index.vectors import to_octets

_SECONDS = 60
"""How long a busy machine may take to start it."""


@contextmanager
def milvus_lite(folder: Path) -> Iterator[Milvus]:
    """One that runs as long as the block lasts."""
    with warnings.catch_warnings():
        # It says that what it imports is going to go.
        warnings.simplefilter("ignore")
        pytest.importorskip("milvus_lite", reason="milvus-lite is not installed: scripts/setup milvus-lite")
        pytest.importorskip("pymilvus")
    file = str(folder / "milvus.db")
    _start(file)
    milvus = Milvus(file)
    yield milvus
    milvus.close()


def _start(file: str) -> None:
    """Start the server of a file, and wait until it listens: pymilvus waits half a second only."""
    from milvus_lite.server_manager import server_manager_instance

    address = server_manager_instance.start_and_get_uri(file)
    assert address is not None, "milvus-lite does not start"
    socket, deadline = Path(address.removeprefix("unix:")), monotonic() + _SECONDS
    while not socket.exists():
        assert monotonic() < deadline, f"milvus-lite does not listen after {_SECONDS} seconds"
        sleep(0.05)


class WrittenIndex(MilvusIndex):
    """One whose values go into its collection at every second add, and are in memory for a while."""

    def __init__(self, milvus: Milvus, bits: int) -> None:
        super().__init__(bits, bits // 8)
        self.collection = Collection(milvus, f"test_{bits}", bits)
        with milvus.request() as client:
            if not client.has_collection(self.collection.name):
                self.collection.make()
        while left := self.collection.with_prefix(""):
            self.collection.remove(left)
        self._adding, self._times = Lock(), 0

    def add(self, values: Iterable[int], seq: int = 0) -> None:
        with self._adding:
            self._times += 1
            super().add(values, self._times)
            if self._times % 2:
                assert self.collection is not None
                self.collection.write(to_octets(self.snapshot()))
                self.adopt([], self._times)

    def __len__(self) -> int:
        return len(self.search([0], self.bits)[0])
