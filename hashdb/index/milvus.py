"""The engine *milvus*: an index beyond the memory of one machine, with the values in a Milvus cluster.

It is for more values than files can serve. The values of the newest events are in memory, so that each contribution is
found at once. The others are in collections of Milvus, which are searched completely (BIN_FLAT) at consistency Strong.
One process at a time writes; the others check its progress once a second.
"""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from time import monotonic, sleep
from typing import Any

from hashdb.domain.matching.matches import Neighbor
from hashdb.domain.signals import Algorithm
from hashdb.errors import IndexNotReady, os_reason
from hashdb.index import Alive, LeafOf, Manifest, Snapshot
from hashdb.index.folder import lock_folder
from hashdb.index.tiered import TieredEngine, TieredIndex
from hashdb.index.vectors import from_octets, split_octets, to_octets

log = logging.getLogger("hashdb.index")

LIMIT = 16_384
"""The most results of one query: Milvus does not say whether there are more."""
_QUERIES_A_REQUEST = 16
"""Queries in one request, so that the largest possible answer fits into a message."""
_VALUES_A_REQUEST = 5_000
"""Values that are written or deleted in one request."""
_CHECK_SECONDS = 1.0
"""Seconds between two checks of the manifest."""
_RETRY_AFTER = 5
"""Seconds after which a client may retry."""
TIMEOUT = 30.0
"""Seconds that Milvus has for one request."""
_WRITE_DELAY = 0.002
"""Seconds until searches see a write: milvus-lite does not show writes of the same millisecond."""
_DIGITS = "0123456789abcdef"
_MANIFEST = "hashdb_manifest"
"""The name of a collection of one row, whose text `said` is the manifest as JSON."""
_COLLECTION_PREFIX = "hashdb_g"
"""How the names of the collections of values begin: the generation and the algorithm follow."""
_EXACT = {"consistency_level": "Strong", "timeout": TIMEOUT}
"""The options of a request that reads: it sees every write that ended before."""


class Milvus:
    """The connection to Milvus, opened at its first use: no process may inherit it by a fork."""

    def __init__(self, uri: str, token: str = "") -> None:
        """A closed connection; `uri` is an address, or a file of milvus-lite (one process, for tests)."""
        self.uri, self._token = uri, token
        self.failed = False  # whether a request failed, until the engine has checked the data

    @cached_property
    def _client(self) -> Any:
        from pymilvus import MilvusClient

        # pymilvus would log each failure with a traceback.
        logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
        return MilvusClient(self.uri, token=self._token, timeout=TIMEOUT)

    @contextmanager
    def request(self) -> Iterator[Any]:
        """Yield the client for one request. If it fails, note that in `failed` and raise IndexNotReady."""
        from grpc import RpcError
        from pymilvus.exceptions import MilvusException

        try:
            yield self._client
        except (MilvusException, RpcError) as error:
            if not self.failed:
                log.warning("a request to Milvus failed: %s", type(error).__name__)
            self.failed = True
            raise IndexNotReady(_RETRY_AFTER) from error

    def make(self, name: str, key_length: int, bits: int, **text_lengths: int) -> None:
        """Create a collection of a key `id`, a vector `value` (Milvus requires one) and texts, up to these lengths."""
        with self.request() as client:
            from pymilvus import DataType

            schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
            schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=key_length)
            schema.add_field("value", DataType.BINARY_VECTOR, dim=bits)
            for text, length in text_lengths.items():
                schema.add_field(text, DataType.VARCHAR, max_length=length)
            client.create_collection(name, schema=schema, consistency_level="Strong")
            index = client.prepare_index_params()
            index.add_index("value", index_type="BIN_FLAT", metric_type="HAMMING")
            # An empty collection needs no wait, which would take half a second.
            client.create_index(name, index, sync=False)
            client.load_collection(name)

    def close(self) -> None:
        """Close the connection."""
        if "_client" in self.__dict__:
            self._client.close()
            del self._client


@dataclass(frozen=True, slots=True)
class Collection:
    """The values of one algorithm in Milvus. The primary key is the value in hex, so each is stored once."""

    milvus: Milvus
    name: str
    bits: int

    def make(self) -> None:
        """Create the collection, empty; an existing one with this name is dropped."""
        with self.milvus.request() as client:
            client.drop_collection(self.name)
        self.milvus.make(self.name, self.bits // 4, self.bits)

    def write(self, values: Sequence[bytes]) -> None:
        """Write values, big-endian; a value that is already there changes nothing."""
        for start in range(0, len(values), _VALUES_A_REQUEST):
            # A value that is twice in one request would be stored twice.
            batch = dict.fromkeys(values[start : start + _VALUES_A_REQUEST])
            rows = [{"id": value.hex(), "value": value} for value in batch]
            with self.milvus.request() as client:
                client.upsert(self.name, rows, timeout=TIMEOUT)
        sleep(_WRITE_DELAY)

    def remove(self, values: Sequence[bytes]) -> None:
        """Delete values, big-endian."""
        for start in range(0, len(values), _VALUES_A_REQUEST):
            with self.milvus.request() as client:
                client.delete(self.name, ids=[value.hex() for value in values[start : start + _VALUES_A_REQUEST]])
        sleep(_WRITE_DELAY)

    def near(self, values: Sequence[int], radius: int) -> list[list[Neighbor]]:
        """For each value, all stored values within `radius` bits of it. Raises IndexNotReady."""
        neighbors: list[list[Neighbor]] = []
        for start in range(0, len(values), _QUERIES_A_REQUEST):
            batch = values[start : start + _QUERIES_A_REQUEST]
            for value, row in zip(batch, self._search(batch, radius, ""), strict=True):
                neighbors.append(row if len(row) < LIMIT else self._search_prefixes(value, radius, ""))
        return neighbors

    def _search_prefixes(self, value: int, radius: int, prefix: str) -> list[Neighbor]:
        """The neighbors of a value with more than `LIMIT` of them, searched by the prefixes of their hex."""
        neighbors: list[Neighbor] = []
        for digit in _DIGITS:
            [row] = self._search([value], radius, prefix + digit)
            neighbors += row if len(row) < LIMIT else self._search_prefixes(value, radius, prefix + digit)
        return neighbors

    def _search(self, values: Sequence[int], radius: int, prefix: str) -> list[list[Neighbor]]:
        with self.milvus.request() as client:
            answer = client.search(
                self.name,
                data=[value.to_bytes(self.bits // 8) for value in values],
                anns_field="value",
                filter=_prefix_filter(prefix),
                limit=LIMIT,
                # Milvus excludes the radius itself.
                search_params={"metric_type": "HAMMING", "params": {"radius": radius + 1}},
                output_fields=["id"],
                **_EXACT,
            )
        return [[Neighbor(int(hit["distance"]), int(hit["id"], 16)) for hit in hits] for hits in answer]

    def with_prefix(self, prefix: str) -> list[bytes]:
        """At most `LIMIT` values whose hex has this prefix, big-endian."""
        with self.milvus.request() as client:
            rows = client.query(self.name, _prefix_filter(prefix), output_fields=["id"], limit=LIMIT, **_EXACT)
        return [bytes.fromhex(row["id"]) for row in rows]

    def __len__(self) -> int:
        """The approximate number of values: one that was written again may count twice, or not at all."""
        with self.milvus.request() as client:
            return int(client.query(self.name, "", output_fields=["count(*)"], **_EXACT)[0]["count(*)"])


def _prefix_filter(prefix: str) -> str:
    # An empty prefix must give no filter: the pattern % alone finds nothing.
    return f'id like "{prefix}%"' if prefix else ""


def _collection_name(generation: str, algorithm: Algorithm) -> str:
    return f"{_COLLECTION_PREFIX}{generation}_{algorithm}"


class MilvusIndex(TieredIndex):
    """The values of one algorithm: the newest in memory, the others in a collection (None: not created yet)."""

    collection: Collection | None = None
    stored = 0
    """The approximate number of values in the collection, when it was last read."""
    filling = False
    """Whether `fill` writes to the collection, because the store has more values than the memory holds."""

    def fill(self, parts: Iterable[bytes], seq: int) -> None:
        if not self.filling or self.collection is None:
            super().fill(parts, seq)
            return
        for part in parts:
            self.collection.write(split_octets(part, self.bits))

    def search(self, values: Sequence[int], radius: int) -> list[list[Neighbor]]:
        # Memory first: a value that leaves it meanwhile is in the collection before.
        in_memory = super().search(values, radius)
        if self.collection is None:
            return in_memory
        stored = self.collection.near(values, radius)
        return [sorted({*newest, *older}) for newest, older in zip(in_memory, stored, strict=True)]

    def __len__(self) -> int:
        """How many values there are; a value in memory and in the collection counts twice."""
        return self.in_memory + self.stored


class MilvusEngine(TieredEngine):
    """The engine *milvus*: the index of every algorithm, and the seq up to which Milvus has all values.

    A generation is a set of collections, one for each algorithm. Another log, or a rebuilt index, has another one.
    """

    indexes: dict[Algorithm, MilvusIndex]
    on_disk = shared = True

    def __init__(self, milvus: Milvus, folder: Path | None, radii: Mapping[Algorithm, int]) -> None:
        """An engine that opens nothing yet; `folder` has the lock by which one process of this machine writes."""
        self._milvus, self._folder = milvus, folder
        self.indexes = {algorithm: MilvusIndex(algorithm.bits, radius) for algorithm, radius in radii.items()}
        self._generation = ""  # the one in use, if there is one
        self._lock = Lock()
        self._checked_at = 0.0  # seconds of the monotonic clock
        # The algorithms that `merge` has still to check, each with a prefix of its values in hex.
        self._to_sweep: list[tuple[Algorithm, str]] = []

    @property
    def doubted(self) -> bool:
        """Whether the last request to Milvus failed."""
        return self._milvus.failed

    @doubted.setter
    def doubted(self, value: bool) -> None:
        """Set whether Milvus must be checked before the next search."""
        self._milvus.failed = value

    def start(self, epoch: str, head: int, leaf_of: LeafOf) -> int:
        with self._lock:
            self.indexes = {algorithm: MilvusIndex(old.bits, old.radius) for algorithm, old in self.indexes.items()}
            self._manifest, self._generation = Manifest(epoch), ""
            generation, manifest = self._read_manifest()
            self.doubted = False
            if manifest is not None and (reason := self._rejection(manifest, head, leaf_of)):
                log.warning("the data in Milvus is not used: %s", reason)
            elif manifest is not None:
                self._adopt(generation, manifest)
        return self.last_seq

    def refresh(self, head: int, leaf_of: LeafOf) -> bool:
        if self._manifest is None or monotonic() - self._checked_at < _CHECK_SECONDS:
            return True
        self._checked_at = monotonic()
        generation, manifest = self._read_manifest()
        self.doubted = False
        if manifest is None or self._rejection(manifest, head, leaf_of):
            return self.last_seq == 0
        if generation != self._generation:
            return False
        if manifest.last_seq > self.last_seq:
            self._adopt(generation, manifest)
        return True

    def flush(self, seq: int, leaf: str, snapshot: Snapshot) -> None:
        generation = self._generation or self._new_generation()
        for algorithm, words in snapshot.words.items():
            self._collection(generation, algorithm).write(to_octets(words))
        manifest = Manifest(snapshot.manifest.epoch, seq, dict.fromkeys(self.indexes, ()), leaf)
        self._write_manifest(generation, manifest)
        with self._lock:
            # Not if this process has started over meanwhile.
            if self._manifest is snapshot.manifest:
                self._adopt(generation, manifest)

    def merge(self, alive: Alive) -> bool:
        """Delete some values that are not `alive`; return True where too many share a prefix for one step."""
        if not self._generation:
            return False
        if not self._to_sweep:
            self._to_sweep = [(algorithm, "") for algorithm in self.indexes]
        algorithm, prefix = self._to_sweep.pop()
        collection = self._collection(self._generation, algorithm)
        values = collection.with_prefix(prefix)
        if len(values) >= LIMIT:
            self._to_sweep += [(algorithm, prefix + digit) for digit in _DIGITS]
            return True
        if values:
            values.sort()
            flags = alive(algorithm, from_octets(b"".join(values), algorithm.bits))
            collection.remove([value for value, is_alive in zip(values, flags, strict=True) if not is_alive])
        return False

    def keep_if_sound(self, *, thoroughly: bool) -> bool:
        generation, manifest = self._read_manifest()
        self.doubted = False
        return self.last_seq == 0 if manifest is None else (generation, manifest) == (self._generation, self._manifest)

    def throw_away(self) -> None:
        """Begin a new generation, which `fill` writes to; other processes use it when its manifest is written."""
        generation = self._new_generation()
        for algorithm, index in self.indexes.items():
            index.collection, index.filling = self._collection(generation, algorithm), True
        self._generation = generation

    def fail(self, error: OSError) -> None:
        """Log that the folder, which has only the lock, cannot be written."""
        log.warning("the folder of the index cannot be written: %s", os_reason(error))

    def writing(self) -> AbstractContextManager[bool]:
        return super().writing() if self._folder is None else lock_folder(self._folder)

    def _new_generation(self) -> str:
        """Create a new, empty generation and drop all others; return its name."""
        generation = secrets.token_hex(4)
        with self._milvus.request() as client:
            for name in client.list_collections():
                if name.startswith(_COLLECTION_PREFIX):
                    client.drop_collection(name)
        for algorithm in self.indexes:
            self._collection(generation, algorithm).make()
        return generation

    def _adopt(self, generation: str, manifest: Manifest) -> None:
        self._generation = generation
        for algorithm, index in self.indexes.items():
            index.collection, index.filling = self._collection(generation, algorithm), False
            index.stored = len(index.collection)
            index.adopt([], manifest.last_seq)
        self._manifest = manifest

    def _collection(self, generation: str, algorithm: Algorithm) -> Collection:
        return Collection(self._milvus, _collection_name(generation, algorithm), algorithm.bits)

    def _read_manifest(self) -> tuple[str, Manifest | None]:
        """The generation in use and its manifest; empty and None if there is none."""
        with self._milvus.request() as client:
            collections = client.list_collections()
            if _MANIFEST not in collections:
                return "", None
            rows = client.query(_MANIFEST, 'id == "1"', output_fields=["said"], **_EXACT)
        if not rows:
            return "", None
        body = json.loads(rows[0]["said"])
        files: dict[Algorithm, tuple[str, ...]] = {Algorithm(name): () for name in body["algorithms"]}
        if not {_collection_name(body["generation"], algorithm) for algorithm in files} <= set(collections):
            return "", None
        return body["generation"], Manifest(body["epoch"], body["covers"], files, body["leaf"])

    def _write_manifest(self, generation: str, manifest: Manifest) -> None:
        body = {"generation": generation, "epoch": manifest.epoch, "covers": manifest.last_seq}
        body |= {"leaf": manifest.leaf, "algorithms": sorted(manifest.files)}
        with self._milvus.request() as client:
            exists = client.has_collection(_MANIFEST)
        if not exists:
            self._milvus.make(_MANIFEST, 8, 8, said=4096)
        with self._milvus.request() as client:
            client.upsert(_MANIFEST, [{"id": "1", "said": json.dumps(body), "value": b"\0"}])
