"""Milvus Lite for the tests: one server for each process of pytest; each test has its own collections."""

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
"""How long the server may take to start on a busy machine."""


@contextmanager
def milvus_lite(folder: Path) -> Iterator[Milvus]:
    """A Milvus server that runs until the block ends."""
    with warnings.catch_warnings():
        # It warns that a module that it imports is deprecated.
        warnings.simplefilter("ignore")
        pytest.importorskip("milvus_lite", reason="milvus-lite is not installed: scripts/setup milvus-lite")
        pytest.importorskip("pymilvus")
    file = str(folder / "milvus.db")
    _start(file)
    milvus = Milvus(file)
    yield milvus
    milvus.close()


def _start(file: str) -> None:
    """Start the server of a file, and wait until it listens: pymilvus waits only half a second."""
    from milvus_lite.server_manager import server_manager_instance

    address = server_manager_instance.start_and_get_uri(file)
    assert address is not None, "milvus-lite does not start"
    socket, deadline = Path(address.removeprefix("unix:")), monotonic() + _SECONDS
    while not socket.exists():
        assert monotonic() < deadline, f"milvus-lite does not listen after {_SECONDS} seconds"
        sleep(0.05)


class WrittenIndex(MilvusIndex):
    """An index that writes its values into its collection at every second add, and keeps them in memory until then."""

    def __init__(self, milvus: Milvus, bits: int) -> None:
        super().__init__(bits, bits // 8)
        self.collection = Collection(milvus, f"test_{bits}", bits)
        with milvus.request() as client:
            if not client.has_collection(self.collection.name):
                self.collection.make()
        while values := self.collection.with_prefix(""):
            self.collection.remove(values)
        self._add_lock, self._adds = Lock(), 0

    def add(self, values: Iterable[int], seq: int = 0) -> None:
        with self._add_lock:
            self._adds += 1
            super().add(values, self._adds)
            if self._adds % 2:
                assert self.collection is not None
                self.collection.write(to_octets(self.snapshot()))
                self.adopt([], self._adds)

    def __len__(self) -> int:
        return len(self.search([0], self.bits)[0])
