"""Known: what a process knows of the log without the index: keys, benign list, incidents, what was retired."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from threading import Lock
from typing import TypeVar

from hashdb.domain.members import Key, Member
from hashdb.domain.signals import Algorithm
from hashdb.service.admission import KINDS, Admission, Overtaken
from hashdb.service.retired import Retired
from hashdb.store import Store
from hashdb.store.audit import Head

_Done = TypeVar("_Done")


class Known:
    """Caches of the log as of one number of it; `level` brings them to its end, and never waits for the index."""

    def __init__(self, store: Store, radii: Mapping[Algorithm, int]) -> None:
        """Empty; the first `level` fills it."""
        self._store = store
        self._radii = radii
        self._lock = Lock()
        self._head: Head | None = None
        self._leaf = b""
        self._keys: dict[bytes, tuple[Key, Member]] = {}
        self._admission: list[Admission] = []
        self.retired = Retired(radii)

    @property
    def head(self) -> Head | None:
        """The last event that these caches know of; None before the first `level`."""
        return self._head

    def level(self) -> Head:
        """Drop what the log has changed since, and return the head of the log. Raises StoreBusy."""
        head = self._store.head()
        if self._head == head:
            return head
        with self._lock:
            # Another thread may have done it meanwhile.
            if self._head != head:
                self._catch_up(head)
        return head

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

    def admission(self) -> Admission:
        """The benign list and the incidents, as of the last `level` or later."""
        cache = self._admission
        if not cache:
            with self._store.read() as tx:
                cache.append(Admission(tx.benign.every(), tx.incidents.every()))
        return cache[0]

    def admitting(self, verb: Callable[[Admission, int], _Done]) -> _Done:
        """What a verb does that holds something against the admission of a number of the log (see `append` there).

        It is done again where the admission changes before it is written.
        """
        while True:
            known = self.level().seq
            with suppress(Overtaken):
                return verb(self.admission(), known)

    def _catch_up(self, head: Head) -> None:
        known = self._head
        since = self._store.since(head.seq if known is None else known.seq, head.seq)
        # New caches, not cleared ones: a reader that began before this may still fill the old ones.
        if not head.continues(known) or since.leaves.get(known.seq, b"") != self._leaf:
            # A failure on the way must not leave the old number beside new caches.
            self._head, self._keys, self._admission = None, {}, []
            retired = Retired(self._radii)
            with self._store.read() as tx:
                retired.take_in(tx.retired.every())
            self.retired = retired
        else:
            if since.kinds & {"member", "key"}:
                self._keys = {}
            if since.kinds & KINDS:
                self._admission = []
            if "case" in since.kinds:
                with self._store.read() as tx:
                    self.retired.take_in(tx.retired.since(known.seq, head.seq))
        self._leaf, self._head = since.leaves.get(head.seq, b""), head
