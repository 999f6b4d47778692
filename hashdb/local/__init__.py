"""A member's local copy of the contributions: it returns the matches that the service returns, also offline."""

from __future__ import annotations

import os
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import NamedTuple, Self

from hashdb.client import Client
from hashdb.domain.matching.evidence import verify_candidates
from hashdb.domain.matching.matches import Answer, Holder, Query
from hashdb.domain.matching.suggestions import build_results, decide, suggest_expanded
from hashdb.domain.matching.videos import expand, match_videos, of_videos
from hashdb.domain.rules import Rules
from hashdb.domain.seeds import Seed
from hashdb.domain.signals import Signal
from hashdb.errors import NoCopy, reject
from hashdb.index.folder import restrict_access
from hashdb.local.syncing import CURRENT, FILE, INDEX, Sync, syncing, system_clock
from hashdb.local.tables import CopyTables
from hashdb.local.tiers import CopyIndex

__all__ = ["LocalIndex", "Sync", "syncing"]


class _Opened(NamedTuple):
    name: str
    tables: CopyTables
    tiers: CopyIndex
    rules: Rules


class LocalIndex:
    """The copy in a folder; many threads and processes may match in it while one process syncs it.

    Every method raises NoCopy if no copy was ever complete.
    """

    def __init__(self, folder: str | Path, clock: Callable[[], datetime] = system_clock) -> None:
        """`hashdb sync` keeps its copy in the folder `local` of HASHDB_HOME. Opens nothing yet."""
        self._folder, self._now = Path(folder), clock
        self._open: _Opened | None = None
        self._past: list[CopyTables] = []
        self._lock = Lock()

    @classmethod
    def from_environment(cls) -> Self:
        """The copy in HASHDB_HOME, where `hashdb sync` keeps it."""
        return cls(Path(os.environ.get("HASHDB_HOME") or "hashdb-data") / "local")

    def __enter__(self) -> Self:
        """Use the copy in a `with` block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the copy."""
        self.close()

    def close(self) -> None:
        """Close the copy."""
        with self._lock:
            for tables in (*self._past, *([self._open.tables] if self._open else [])):
                tables.close()
            self._open, self._past = None, []

    @property
    def checkpoint(self) -> int:
        """The seq of the service's log up to which the copy has everything."""
        return self._opened().tables.head().seq

    @property
    def age(self) -> timedelta:
        """How long ago the copy was last up to date with the service."""
        return self._now() - self._opened().tables.state().at

    @property
    def rules(self) -> Rules:
        """The rules of the service when the copy was last synced: its algorithms, labels and radii."""
        return self._opened().tables.state().rules

    @property
    def seeds(self) -> tuple[Seed, ...]:
        """The seeds of secret views at the last sync, newest first, if the key of the sync may know them."""
        return self._opened().tables.state().seeds

    def __len__(self) -> int:
        """How many contributions there are."""
        return self._opened().tables.count()

    def sync(self, client: Client) -> int:
        """Read the new changes from the service; return how many. Raises CopyInUse, and what the client raises."""
        with syncing(self._folder, client, clock=self._now) as sync:
            return sync.catch_up()

    def match(self, queries: Sequence[Query]) -> Answer:
        """A result for each query, as the service returned it at `checkpoint`. Raises InvalidInput.

        `members` counts contributors only: confirmations are not in the feed.
        """
        copy = self._opened()
        reject(copy.rules.queries_faults(queries))
        seq = copy.tiers.catch_up().seq
        expanded = expand(queries)
        suggested, through, thinned = suggest_expanded(expanded, copy.tiers.search)
        by_signal: dict[Signal, list[Holder]] = defaultdict(list)
        for holder in copy.tables.holders({signal for distances in suggested for signal in distances}, self._now()):
            by_signal[holder.signal].append(holder)
        shots = copy.tables.times(of_videos(by_signal))
        read, having = cache(copy.tables.shots), copy.tables.having
        by_frames = match_videos(queries, expanded, suggested, through, by_signal, shots, read, having, thinned)
        verified = verify_candidates(queries, suggested, by_signal, having, copy.tables.stored)
        decided = decide(queries, suggested, through, by_signal, having, by_frames, verified)
        return Answer(build_results(queries, decided, shots=shots), seq)

    def _opened(self) -> _Opened:
        name = self._named()
        known = self._open
        if known is not None and known.name == name:
            return known
        with self._lock:
            while self._open is None or self._open.name != name:
                made = self._made(name)
                if made is not None:
                    self._past += [self._open.tables] if self._open else []
                    self._open = made
                elif name == (name := self._named()):
                    raise NoCopy(str(self._folder))
            return self._open

    def _named(self) -> str:
        try:
            return os.readlink(self._folder / CURRENT)
        except OSError:
            raise NoCopy(str(self._folder)) from None

    def _made(self, name: str) -> _Opened | None:
        """The copy of that name; None if it is damaged, or was replaced by a newer one and removed."""
        file = self._folder / name / FILE
        if not file.exists():
            return None
        restrict_access(self._folder)
        try:
            tables = CopyTables(file)
            if tables.sound:
                return _Opened(name, tables, CopyIndex(tables, file.parent / INDEX), tables.state().rules)
            tables.close()
        except sqlite3.DatabaseError:
            pass
        return None
