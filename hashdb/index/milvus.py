"""Milvus: an index past one machine's memory, whose values stand in a cluster instead of in segments.

The way out where files no longer do, and no more: values of the newest events are in memory, as always, so that what
was contributed is found at once; the rest is in collections of Milvus, searched one and all (BIN_FLAT) at consistency
Strong. One process at a time writes; the others look once a second how far that is.
"""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from time import monotonic, sleep
from typing import Any

from hashdb.domain.matching.matches import Neighbor
from hashdb.domain.signals import Algorithm
from hashdb.errors import IndexNotReady
from hashdb.index import Alive, Leaf, Manifest, Snapshot
from hashdb.index.folder import locked
from hashdb.index.tiered import TieredIndex
from hashdb.index.vectors import from_octets, to_octets

log = logging.getLogger("hashdb.index")

LIMIT = 16_384
"""Milvus answers no more to one query, and does not say that there would be."""
_AT_ONCE = 16
"""Queries in one request: were each answered in full, it would stay below what a message may be."""
_WRITTEN_AT_ONCE = 5_000
_LOOKS_EVERY = 1.0
_RETRY_AFTER = 5
_TIMEOUT = 30.0
_TICK = 0.002
"""Seconds until a write is seen by who searches: milvus-lite does not see what is of the same millisecond."""
_DIGITS = "0123456789abcdef"
_MANIFEST = "hashdb_manifest"
_COLLECTIONS = "hashdb_g"
_EXACT = {"consistency_level": "Strong", "timeout": _TIMEOUT}


class Milvus:
    """The connection, opened when it is first used: no process may have it from before a fork."""

    def __init__(self, uri: str, token: str = "") -> None:
        """`uri` is an address, or a file of milvus-lite (one process, for tests)."""
        self.uri, self._token = uri, token
        self.away = False

    @cached_property
    def _client(self) -> Any:
        from pymilvus import MilvusClient

        # It writes down each failure by itself, with a traceback.
        logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
        return MilvusClient(self.uri, token=self._token, timeout=_TIMEOUT)

    @contextmanager
    def asked(self) -> Iterator[Any]:
        """The client for a request. Raises IndexNotReady where it fails, and notes that in `away`."""
        from grpc import RpcError
        from pymilvus.exceptions import MilvusException

        try:
            yield self._client
        except (MilvusException, RpcError) as error:
            if not self.away:
                log.warning("Milvus does not do what it is asked: %s", type(error).__name__)
            self.away = True
            raise IndexNotReady(_RETRY_AFTER) from error

    def make(self, name: str, key: int, bits: int, **texts: int) -> None:
        """Make a collection: a key and texts of so many characters at most, and a vector (Milvus asks for one)."""
        with self.asked() as client:
            from pymilvus import DataType

            schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
            schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=key)
            schema.add_field("value", DataType.BINARY_VECTOR, dim=bits)
            for text, length in texts.items():
                schema.add_field(text, DataType.VARCHAR, max_length=length)
            client.create_collection(name, schema=schema, consistency_level="Strong")
            index = client.prepare_index_params()
            index.add_index("value", index_type="BIN_FLAT", metric_type="HAMMING")
            # It is empty: there is nothing to wait for, which would take half a second.
            client.create_index(name, index, sync=False)
            client.load_collection(name)

    def close(self) -> None:
        """Close the connection."""
        if "_client" in self.__dict__:
            self._client.close()
            del self._client


@dataclass(frozen=True, slots=True)
class Collection:
    """The values of one algorithm in Milvus: the primary key is the value in hex, so that each is there once."""

    milvus: Milvus
    name: str
    bits: int

    def make(self) -> None:
        """Make it, empty; one of that name is dropped."""
        with self.milvus.asked() as client:
            client.drop_collection(self.name)
        self.milvus.make(self.name, self.bits // 4, self.bits)

    def write(self, values: Sequence[bytes]) -> None:
        """Take values in, big-endian; one that is there already changes nothing."""
        for start in range(0, len(values), _WRITTEN_AT_ONCE):
            # One that is twice in a request would be stored twice.
            some = dict.fromkeys(values[start : start + _WRITTEN_AT_ONCE])
            rows = [{"id": one.hex(), "value": one} for one in some]
            with self.milvus.asked() as client:
                client.upsert(self.name, rows, timeout=_TIMEOUT)
        sleep(_TICK)

    def remove(self, values: Sequence[bytes]) -> None:
        """Let values go."""
        for start in range(0, len(values), _WRITTEN_AT_ONCE):
            with self.milvus.asked() as client:
                client.delete(self.name, ids=[one.hex() for one in values[start : start + _WRITTEN_AT_ONCE]])
        sleep(_TICK)

    def near(self, values: Sequence[int], radius: int) -> list[list[Neighbor]]:
        """For each value, all within `radius` bits of it. Raises IndexNotReady."""
        found: list[list[Neighbor]] = []
        for start in range(0, len(values), _AT_ONCE):
            some = values[start : start + _AT_ONCE]
            for value, hits in zip(some, self._asked(some, radius, ""), strict=True):
                found.append(hits if len(hits) < LIMIT else self._all(value, radius, ""))
        return found

    def _all(self, value: int, radius: int, prefix: str) -> list[Neighbor]:
        """The same for one that more are near than are answered at once: asked by how those begin."""
        found: list[Neighbor] = []
        for digit in _DIGITS:
            [hits] = self._asked([value], radius, prefix + digit)
            found += hits if len(hits) < LIMIT else self._all(value, radius, prefix + digit)
        return found

    def _asked(self, values: Sequence[int], radius: int, prefix: str) -> list[list[Neighbor]]:
        with self.milvus.asked() as client:
            answer = client.search(
                self.name,
                data=[value.to_bytes(self.bits // 8) for value in values],
                anns_field="value",
                filter=_beginning(prefix),
                limit=LIMIT,
                # Its radius is not inside.
                search_params={"metric_type": "HAMMING", "params": {"radius": radius + 1}},
                output_fields=["id"],
                **_EXACT,
            )
        return [[Neighbor(int(hit["distance"]), int(hit["id"], 16)) for hit in hits] for hits in answer]

    def beginning(self, prefix: str) -> list[bytes]:
        """Values that begin so in hex, `LIMIT` at most."""
        with self.milvus.asked() as client:
            rows = client.query(self.name, _beginning(prefix), output_fields=["id"], limit=LIMIT, **_EXACT)
        return [bytes.fromhex(row["id"]) for row in rows]

    def __len__(self) -> int:
        """About how many values there are: one that was written again may count twice, or not at all."""
        with self.milvus.asked() as client:
            return int(client.query(self.name, "", output_fields=["count(*)"], **_EXACT)[0]["count(*)"])


def _beginning(prefix: str) -> str:
    # All is no pattern of its own: it would find nothing.
    return f'id like "{prefix}%"' if prefix else ""


def _name(generation: str, algorithm: Algorithm) -> str:
    return f"{_COLLECTIONS}{generation}_{algorithm}"


class MilvusIndex(TieredIndex):
    """One algorithm's values: the newest in memory, the others in a collection (None: there is none yet)."""

    collection: Collection | None = None
    stored = 0
    """About how many values the collection had when it was last asked."""
    filling = False
    """Whether values go straight into the collection: it is filled from the store, which no memory holds."""

    def fill(self, parts: Iterable[bytes], seq: int) -> None:
        """Take in all values, of the events up to this number."""
        if not self.filling or self.collection is None:
            super().fill(parts, seq)
            return
        for part in parts:
            self.collection.write(to_octets(from_octets(part, self.bits)))

    def search(self, values: Sequence[int], radius: int) -> list[list[Neighbor]]:
        """For each value, all that is stored within `radius` bits of it, each once, nearest first."""
        # Memory first: what leaves it meanwhile has come into the collection before.
        found = super().search(values, radius)
        if self.collection is None:
            return found
        return [sorted({*one, *other}) for one, other in zip(found, self.collection.near(values, radius), strict=True)]

    def __len__(self) -> int:
        """How many values there are; one that is in both counts twice."""
        return self.in_memory + self.stored


class MilvusEngine:
    """The engine *milvus*: every algorithm's index, and how far of the log Milvus has its values.

    All of it is of one generation, which has collections of its own: of another log, or built anew, is another one.
    """

    def __init__(self, milvus: Milvus, folder: Path | None, radii: Mapping[Algorithm, int]) -> None:
        """`folder` is for the lock by which one process of this machine writes. Opens nothing yet."""
        self._milvus, self._folder = milvus, folder
        self.indexes = {algorithm: MilvusIndex(algorithm.bits, radius) for algorithm, radius in radii.items()}
        self.failing = False
        self._manifest: Manifest | None = None
        self._generation = ""
        self._guard = Lock()
        self._looked = 0.0
        self._unswept: list[tuple[Algorithm, str]] = []

    on_disk = shared = sweeps = True
    moved = False

    @property
    def doubted(self) -> bool:
        """Whether Milvus failed when it was last asked."""
        return self._milvus.away

    @doubted.setter
    def doubted(self, value: bool) -> None:
        """Whether it is to be asked again before anybody is answered."""
        self._milvus.away = value

    @property
    def unflushed(self) -> int:
        """How many values Milvus does not have yet."""
        return sum(index.in_memory for index in self.indexes.values())

    @property
    def last_seq(self) -> int:
        """The number of the log up to which Milvus has every value."""
        return 0 if self._manifest is None else self._manifest.last_seq

    def start(self, epoch: str, head: int, leaf: Leaf) -> int:
        """Begin with what Milvus holds of the log of this epoch; return the number up to which that is all."""
        with self._guard:
            self.indexes = {name: MilvusIndex(index.bits, index.radius) for name, index in self.indexes.items()}
            self._manifest, self._generation = Manifest(epoch), ""
            generation, found = self._read()
            self.doubted = False
            if found is not None and (reason := self._fault(found, epoch, head, leaf)):
                log.warning("what Milvus holds is not used: %s", reason)
            elif found is not None:
                self._take(generation, found)
        return self.last_seq

    def refresh(self, head: int, leaf: Leaf) -> bool:
        """Take over what another process has written since; return whether what is open is still of use."""
        if self._manifest is None or monotonic() - self._looked < _LOOKS_EVERY:
            return True
        self._looked = monotonic()
        generation, found = self._read()
        self.doubted = False
        if found is None or self._fault(found, self._manifest.epoch, head, leaf):
            return self.last_seq == 0
        if generation != self._generation:
            return False
        if found.last_seq > self.last_seq:
            self._take(generation, found)
        return True

    def snapshot(self) -> Snapshot:
        """What is in memory now, to be written. For who holds the lock."""
        assert self._manifest is not None
        return Snapshot(self._manifest, {algorithm: index.snapshot() for algorithm, index in self.indexes.items()})

    def flush(self, seq: int, leaf: str, snapshot: Snapshot) -> None:
        """Write a snapshot taken at number `seq` of the log, and let it leave the memory. For who holds the lock."""
        generation = self._generation or self._begin()
        for algorithm, words in snapshot.words.items():
            self._collection(generation, algorithm).write(to_octets(words))
        manifest = Manifest(snapshot.manifest.epoch, seq, dict.fromkeys(self.indexes, ()), leaf)
        self._publish(generation, manifest)
        with self._guard:
            # If this process has started over meanwhile, this is not for it.
            if self._manifest is snapshot.manifest:
                self._take(generation, manifest)

    def merge(self, alive: Alive) -> bool:
        """Let values that are no longer `alive` go, some at a time; return false. For who holds the lock."""
        if not self._generation:
            return False
        if not self._unswept:
            self._unswept = [(algorithm, "") for algorithm in self.indexes]
        algorithm, prefix = self._unswept.pop()
        collection = self._collection(self._generation, algorithm)
        values = collection.beginning(prefix)
        if len(values) >= LIMIT:
            self._unswept += [(algorithm, prefix + digit) for digit in _DIGITS]
            return True
        if values:
            values.sort()
            lasting = alive(algorithm, from_octets(b"".join(values), algorithm.bits))
            collection.remove([one for one, lasts in zip(values, lasting, strict=True) if not lasts])
        return False

    def sound(self, *, thoroughly: bool) -> bool:
        """Whether Milvus has what this process goes on from; else it starts over. For who holds the lock."""
        generation, found = self._read()
        self.doubted = False
        return self.last_seq == 0 if found is None else (generation, found) == (self._generation, self._manifest)

    def throw_away(self) -> None:
        """Have all values go into a generation that nobody uses until it is published. For who holds the lock."""
        generation = self._begin()
        for algorithm, index in self.indexes.items():
            index.collection, index.filling = self._collection(generation, algorithm), True
        self._generation = generation

    def fail(self, error: OSError) -> None:
        """Nothing here raises OSError; the folder is for a lock only."""
        log.warning("the index's folder cannot be written: %s", (error.strerror or "").lower())

    @contextmanager
    def writing(self) -> Iterator[bool]:
        """Whether this process may write now, of those of this machine; it may until the block ends."""
        with nullcontext(True) if self._folder is None else locked(self._folder) as may:
            yield may

    def _begin(self) -> str:
        """A new generation, empty, in the place of every other."""
        generation = secrets.token_hex(4)
        with self._milvus.asked() as client:
            for name in client.list_collections():
                if name.startswith(_COLLECTIONS):
                    client.drop_collection(name)
        for algorithm in self.indexes:
            self._collection(generation, algorithm).make()
        return generation

    def _take(self, generation: str, manifest: Manifest) -> None:
        self._generation = generation
        for algorithm, index in self.indexes.items():
            index.collection, index.filling = self._collection(generation, algorithm), False
            index.stored = len(index.collection)
            index.adopt([], manifest.last_seq)
        self._manifest = manifest

    def _collection(self, generation: str, algorithm: Algorithm) -> Collection:
        return Collection(self._milvus, _name(generation, algorithm), algorithm.bits)

    def _fault(self, found: Manifest, epoch: str, head: int, leaf: Leaf) -> str | None:
        if found.epoch != epoch:
            return "it is of another log"
        if found.last_seq > head or found.leaf != leaf(found.last_seq):
            return f"event {found.last_seq:,} is not what it was when it was written: the log was set back"
        if missing := set(self.indexes) - set(found.files):
            return f"it does not have {', '.join(sorted(missing))}"
        return None

    def _read(self) -> tuple[str, Manifest | None]:
        """The generation that is in use, and up to where it has everything; nothing, where there is none."""
        with self._milvus.asked() as client:
            there = client.list_collections()
            rows = client.query(_MANIFEST, 'id == "1"', output_fields=["said"], **_EXACT) if _MANIFEST in there else []
        if not rows:
            return "", None
        said = json.loads(rows[0]["said"])
        files: dict[Algorithm, tuple[str, ...]] = {Algorithm(name): () for name in said["algorithms"]}
        if not {_name(said["generation"], algorithm) for algorithm in files} <= set(there):
            return "", None
        return said["generation"], Manifest(said["epoch"], said["covers"], files, said["leaf"])

    def _publish(self, generation: str, manifest: Manifest) -> None:
        said = {"generation": generation, "epoch": manifest.epoch, "covers": manifest.last_seq}
        said |= {"leaf": manifest.leaf, "algorithms": sorted(manifest.files)}
        with self._milvus.asked() as client:
            made = client.has_collection(_MANIFEST)
        if not made:
            self._milvus.make(_MANIFEST, 8, 8, said=4096)
        with self._milvus.asked() as client:
            client.upsert(_MANIFEST, [{"id": "1", "said": json.dumps(said), "value": b"\0"}])
