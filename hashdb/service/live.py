"""Live: this process's view of the log (the index, and who the keys are), brought level before each answer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from hashdb.domain.members import Key, Member
from hashdb.domain.signals import Algorithm
from hashdb.errors import IndexNotReady
from hashdb.index import Index
from hashdb.index.shelf import Shelf
from hashdb.index.tiered import ARRAY
from hashdb.index.words import Words, from_octets, to_octets
from hashdb.store import Store, Transaction
from hashdb.store.audit import Head

Progress = Callable[[int], None]
"""Told how many values more have been read."""

_PATIENCE = 1.0
_RETRY_AFTER = 5
log = logging.getLogger("hashdb.index")


def _untold(count: int) -> None:
    pass


class Live:
    """An index an algorithm, and the keys seen lately, as of one number of the log."""

    def __init__(self, store: Store, radii: Mapping[Algorithm, int], folder: Path | None = None) -> None:
        """Empty, at number 0; `level` fills it. Segments stand in `folder` (None: all is kept in memory)."""
        self._store = store
        self._shelf = Shelf(folder, radii)
        self._indexes = self._shelf.indexes
        self._lock = Lock()
        self._head: Head | None = None
        self._keys: dict[bytes, tuple[Key, Member]] = {}
        self._checked = False

    @property
    def head(self) -> Head | None:
        """The last event that this process knows of; None before the first `level`."""
        return self._head

    def level(self) -> Head:
        """Take in what the log has and this process has not, in a transaction of its own; return the head.

        After this, a search finds every contribution that was answered before the call, by any process.
        Raises IndexNotReady while the index is being filled, where that takes long.
        """
        # In this order: a head below what was known before has been set back, by a restore.
        known = self._head
        head = self._store.head()
        if known is not None and (known.seq, known.epoch) == (head.seq, head.epoch):
            return head
        # Catching up takes milliseconds, filling an index of millions does not: then say so instead of waiting.
        if not self._lock.acquire(timeout=_PATIENCE if _starts_over(known, head) else -1):
            raise IndexNotReady(_RETRY_AFTER)
        try:
            return self._catch_up()
        finally:
            self._lock.release()

    def fill(self, progress: Progress) -> Head:
        """The same, and where segments are missing, build them from the store, which takes a while.

        One process does; for the others IndexNotReady is raised until it has.
        """
        with self._shelf.writing() as may, self._lock:
            return self._catch_up(progress, writing=may)

    def backlog(self) -> int:
        """How many signals the store has: what `fill` reads where there are no segments."""
        with self._store.read() as tx:
            return tx.matches.count()

    def index(self, algorithm: Algorithm) -> Index:
        """The index of an algorithm's values."""
        return self._indexes[algorithm]

    def key(self, digest: bytes) -> tuple[Key, Member] | None:
        """The key whose secret has this digest and its member, as of the last `level`."""
        cache = self._keys
        found = cache.get(digest)
        if found is None:
            with self._store.read() as tx:
                key = tx.members.key_with(digest)
                if key is None:
                    return None
                found = key, tx.members.get(key.member)
            cache[digest] = found
        return found

    def maintain(self, at_once: bool = False) -> None:
        """Write what is in memory to segments once it is much (`at_once`: whatever it is), and merge segments.

        One process does it; for the others, and while there is little to do, it costs a look. Searches go on.
        """
        with self._shelf.writing() as may:
            with self._lock, suppress(IndexNotReady):
                self._catch_up(writing=may)
            if may and (at_once or not self._checked or self._shelf.in_memory >= ARRAY):
                self._write(at_once)

    def _write(self, at_once: bool) -> None:
        sound = self._shelf.sound(thoroughly=not self._checked)
        self._checked = True
        with self._lock:
            if not sound:
                self._head = None
            head = self._catch_up(writing=True)
            held = self._shelf.hold()
        if at_once or sum(map(len, held.words.values())) >= ARRAY:
            self._shelf.frozen(head.seq, held)
        while self._shelf.merge(self._alive):
            pass

    def _catch_up(self, progress: Progress = _untold, *, writing: bool = False) -> Head:
        """Take in what is new; with `writing` (the shelf's lock is held) build segments where they are missing."""
        with self._store.read() as tx:
            head = tx.audit.head()
            known = self._head
            if known is None or _starts_over(known, head):
                # Until all is there again: the next one who asks must not take this for level.
                self._head, self._keys = None, {}
                after = self._shelf.start(head.epoch, head.seq)
                if after == 0 and self._shelf.on_disk and tx.matches.count() >= ARRAY:
                    self._build(tx, head, progress, writing)
                    after = head.seq
            else:
                self._shelf.refresh(head.seq)
                after = max(known.seq, self._shelf.covers)
                if tx.audit.kinds(known.seq, head.seq) & {"member", "key"}:
                    # A new dict, not a cleared one: a reader that began before this may still fill the old one.
                    self._keys = {}
            self._take_in(tx, after, head.seq, progress)
        self._indexes = self._shelf.indexes
        self._head = head
        return head

    def _build(self, tx: Transaction, head: Head, progress: Progress, writing: bool) -> None:
        """Fill an index of many values, which one process does for all."""
        if not writing:
            raise IndexNotReady(_RETRY_AFTER)
        log.info("the index is built from the store")
        self._take_in(tx, 0, head.seq, progress)
        self._shelf.frozen(head.seq, self._shelf.hold())

    def _take_in(self, tx: Transaction, after: int, upto: int, progress: Progress) -> None:
        if after == 0:
            for algorithm, index in self._shelf.indexes.items():
                parts = list(_counted(tx.matches.every(algorithm), algorithm.bits // 8, progress))
                index.load(from_octets(b"".join(parts), algorithm.bits), upto)
            return
        for algorithm, values in tx.matches.added(after, upto).items():
            found = self._shelf.indexes.get(algorithm)
            if found is None:
                continue
            if len(values) < ARRAY:
                found.add(map(int.from_bytes, values), upto)
            else:
                found.load(from_octets(b"".join(values), algorithm.bits), upto)

    def _alive(self, algorithm: Algorithm, words: Words) -> NDArray[np.bool_]:
        with self._store.read() as tx:
            if not tx.matches.ended():
                return np.ones(len(words), bool)
            octets = to_octets(words)
            lasting = tx.matches.lasting(algorithm, octets)
        return np.fromiter((one in lasting for one in octets), bool, len(octets))


def _starts_over(known: Head | None, head: Head) -> bool:
    """Whether what is known is not the beginning of the log with this head: nothing yet, or before a restore."""
    return known is None or known.epoch != head.epoch or known.seq > head.seq


def _counted(parts: Iterable[bytes], size: int, progress: Progress) -> Iterable[bytes]:
    for part in parts:
        progress(len(part) // size)
        yield part
