"""A member's local copy of the contributions: it returns the matches that the service returns, also offline."""

from __future__ import annotations

import os
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple, Self

from hashdb.configuration import Configuration
from hashdb.domain.matching.evidence import verify_candidates
from hashdb.domain.matching.frames import expand, match_frames, signals_of_framed_items
from hashdb.domain.matching.lookback import Upload
from hashdb.domain.matching.matches import Answer, Holder, Query, Result
from hashdb.domain.matching.selections import build_results, decide
from hashdb.domain.matching.suggestions import Search, suggest_expanded
from hashdb.domain.rules import Rules
from hashdb.domain.seeds import Seed
from hashdb.domain.signals import Algorithm, Signal
from hashdb.errors import NoCopy, reject
from hashdb.index.folder import restrict_access
from hashdb.local.copy_index import CopyIndex
from hashdb.local.remembered import REMEMBERED_FOLDER, Remembered
from hashdb.local.syncing import COPY_FILE, CURRENT, INDEX_FOLDER, Sync, syncing, system_clock
from hashdb.local.tables import CopyState, CopyTables

if TYPE_CHECKING:
    # At run time, a match in the copy needs no client.
    from hashdb.client import Client
    from hashdb.domain.ledger.policies import Policy
    from hashdb.local.approvals import Approval

__all__ = ["LocalIndex", "Sync", "syncing"]


class Copy(NamedTuple):
    """A copy that is open: the name of its folder, its tables, their index, and the rules as the copy was opened."""

    name: str
    tables: CopyTables
    searchable: CopyIndex
    rules: Rules

    def match(
        self,
        queries: Sequence[Query],
        now: datetime,
        search: Search | None = None,
        keep: Callable[[int], bool] | None = None,
    ) -> tuple[Result, ...]:
        """A result for each query, as the service returns it, of what `search` finds (by default the index).

        If `keep` is given, only contributions for whose id it returns True can match.
        """
        expanded = expand(queries)
        # For each query and frame: the signals near it with their distances, and the transforms by which they are near.
        # `thinned` has the positions of the queries of which only some frames were searched for.
        suggested, through, thinned = suggest_expanded(expanded, search or self.searchable.search)
        if not any(suggested):
            return tuple([Result(query.id, (), members=0) for query in queries])
        by_signal: dict[Signal, list[Holder]] = defaultdict(list)
        holder_counts: dict[Signal, int] = defaultdict(int)
        for holder in self.tables.holders({signal for distances in suggested for signal in distances}, now):
            holder_counts[holder.signal] += 1
            if keep is None or keep(holder.contribution):
                by_signal[holder.signal].append(holder)
        shots = self.tables.times(signals_of_framed_items(by_signal))
        read_shots, overruling = cache(self.tables.shots), self.tables.overruling_algorithms
        by_frames = match_frames(
            queries, expanded, suggested, through, by_signal, shots, read_shots, overruling, thinned, holder_counts
        )
        verified = verify_candidates(queries, suggested, through, by_signal, overruling, self.tables.stored)
        decided = decide(queries, suggested, through, by_signal, overruling, by_frames, verified)
        return build_results(queries, decided, shots=shots)


class LocalIndex:
    """The copy in a folder; many threads and processes may match in it while one process syncs it.

    Every method raises NoCopy if no copy was ever complete.
    """

    def __init__(
        self, folder: str | Path, clock: Callable[[], datetime] = system_clock, policy: Policy | None = None
    ) -> None:
        """`hashdb sync` keeps its copy in the folder `local` of HASHDB_HOME. Opens nothing yet.

        With a `policy`, nothing is matched in a copy that its organisations did not sign.
        """
        self._folder, self._now, self._policy = Path(folder), clock, policy
        self._link = os.path.join(folder, CURRENT)
        self.remembered = Remembered(self._folder / REMEMBERED_FOLDER, clock=clock)
        self._approval: tuple[str | None, Approval | None] | None = None
        """The text of the copy's approval as it was last read, and the approval in it if it meets the policy."""
        self._copy: Copy | None = None
        self._replaced: list[CopyTables] = []
        """The tables of earlier copies, in which other threads may still match."""
        self._lock = Lock()

    @classmethod
    def from_environment(cls) -> Self:
        """The copy where `hashdb sync` keeps it: in HASHDB_HOME, or the home of the user's file. Raises BadSetting."""
        return cls(Path(Configuration.read().home.value) / "local")

    def __enter__(self) -> Self:
        """Use the copy in a `with` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the copy."""
        self.close()

    def close(self) -> None:
        """Close the copy."""
        with self._lock:
            for tables in (*self._replaced, *([self._copy.tables] if self._copy else [])):
                tables.close()
            self._copy, self._replaced = None, []
        self.remembered.close()

    @property
    def checkpoint(self) -> int:
        """The seq of the service's log up to which the copy has everything."""
        return self.opened().tables.head().seq

    @property
    def age(self) -> timedelta:
        """How long ago the copy was last up to date with the service."""
        return self._now() - self.opened().tables.state().at

    @property
    def rules(self) -> Rules:
        """The rules of the service when the copy was last synced: its algorithms, labels and radii."""
        return self.opened().tables.state().rules

    @property
    def seeds(self) -> tuple[Seed, ...]:
        """The seeds of secret views at the last sync, newest first, if the key of the sync may know them."""
        return self.opened().tables.state().seeds

    @property
    def state(self) -> CopyState:
        """The checkpoint, rules and seeds, read together, with the epoch, and the member and key of the sync."""
        return self.opened().tables.state()

    def sizes(self) -> dict[Algorithm, int]:
        """How many values of each perceptual algorithm there are."""
        return self.opened().searchable.sizes()

    def contributors(self, contributions: Collection[int]) -> dict[int, int]:
        """The member of each of these contributions (ids); without the contributions that the copy does not have."""
        return self.opened().tables.members(contributions)

    def __len__(self) -> int:
        """How many contributions there are."""
        return self.opened().tables.count()

    def sync(self, client: Client) -> int:
        """Read the new changes from the service; return how many. Raises CopyInUse, and what `Sync.catch_up` raises."""
        with syncing(self._folder, client, clock=self._now, policy=self._policy) as sync:
            return sync.catch_up()

    def remember(self, uploads: Sequence[Upload]) -> None:
        """Remember uploads durably, before they are matched, so that look-back finds what is shared later.

        It needs no copy. An upload with the id of an earlier one replaces it. Raises InvalidInput, NotRemembered.
        """
        self.remembered.remember(uploads)

    def match(self, queries: Sequence[Query], rules: Rules | None = None) -> Answer:
        """A result for each query, as the service returned it at `checkpoint`. Raises InvalidInput.

        `rules` are the current ones, for a program that runs for long; by default those when the copy was opened.
        `members` counts contributors only: confirmations are not in the feed. Raises CopyNotApproved.
        """
        copy = self.opened()
        self.require_approval()
        reject((rules or copy.rules).queries_faults(queries))
        seq = copy.searchable.catch_up().seq
        return Answer(copy.match(queries, self._now()), seq)

    def require_approval(self) -> None:
        """Raise CopyNotApproved if there is a policy, and its organisations did not sign what the copy has now."""
        if self._policy is not None:
            from hashdb.local.approvals import find_approval, require_recent

            text = self.opened().tables.approval()
            if self._approval is None or self._approval[0] != text:
                self._approval = text, find_approval(text, self._policy)
            require_recent(self._approval[1], self._now())

    def opened(self) -> Copy:
        """The current copy, opened if it is not yet."""
        name = self._current_name()
        copy = self._copy
        if copy is not None and copy.name == name:
            return copy
        with self._lock:
            while self._copy is None or self._copy.name != name:
                opened = self._open_sound(name)
                if opened is not None:
                    self._replaced += [self._copy.tables] if self._copy else []
                    self._copy = opened
                # If another copy became the current one meanwhile, that one is opened.
                elif name == (name := self._current_name()):
                    raise NoCopy(str(self._folder))
            return self._copy

    def _current_name(self) -> str:
        try:
            return os.readlink(self._link)
        except OSError:
            raise NoCopy(str(self._folder)) from None

    def _open_sound(self, name: str) -> Copy | None:
        """The copy of that name; None if it is damaged, or was replaced by a newer one and removed."""
        file = self._folder / name / COPY_FILE
        if not file.exists():
            return None
        restrict_access(self._folder)
        try:
            tables = CopyTables(file)
            if tables.sound:
                return Copy(name, tables, CopyIndex(tables, file.parent / INDEX_FOLDER), tables.state().rules)
            tables.close()
        except sqlite3.DatabaseError:
            pass
        return None
