"""Look-back: contributions that changed are searched among the remembered uploads.

An upload is remembered durably before it is matched. If the match did not see a contribution, then the contribution was
stored in the copy later, and look-back reads the uploads after that. So one of the two finds each match. A match that
was reported *stands* until it is taken back.

Few contributions are compared with the values of all uploads. For very many, as after the first sync, a walk matches
every upload in the copy, some uploads a step. Changes that arrive meanwhile are looked back for first.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

import numpy as np

from hashdb.domain.matching.lookback import Cursor, FoundMatch, TakenBack, Upload
from hashdb.domain.matching.matches import Match, Neighbor, Result
from hashdb.domain.matching.suggestions import Search
from hashdb.domain.matching.testing import TEST_ID
from hashdb.domain.rules import QUERIES_A_REQUEST
from hashdb.domain.signals import Algorithm
from hashdb.index.folder import opener
from hashdb.index.tiered import TieredIndex
from hashdb.index.vectors import from_octets
from hashdb.local import Copy, LocalIndex
from hashdb.local.reports import Reports
from hashdb.local.syncing import system_clock
from hashdb.local.tables import Changed
from hashdb.local.upload_parts import SearchValues
from hashdb.local.upload_scans import Scan

STEP: Final = 1_000
"""The most contributions that are looked back for in one step, after which the cursor is stored."""
PAIRS_A_STEP: Final = 2_500_000_000
"""Comparisons of values in one step, some seconds of a processor, unless one contribution takes more."""
WALKED_FROM: Final = 1_000_000
"""Values of contributions from which to match all uploads takes less time than to compare all values."""
STEP_SECONDS: Final = 2.0
"""How long uploads are matched in one step."""
PACKED_FROM: Final = 4_096
"""How many uploads in memory are packed into a file, once there is nothing else to do."""
AT_ONCE: Final = 10_000
"""The most uploads, and reports, that are in memory at once: a contribution may be near millions of uploads."""
MOST_REQUESTS: Final = 64
"""How often in a row an upload is matched without any result while contributions are left: then `_gather` gives up."""
# The reasons to take a match back, beside those of the feed.
NO_LONGER, EXPIRED, NOT_LISTED = "no longer a match", "expired", "not listed"


@dataclass
class _Batch:
    """The first contributions of some changes, up to a seq, that are compared with all uploads together.

    `search` is among the values of these contributions. `standing` has those of them of which a match stands, by the id
    of the upload; `left` the ids in `standing` that `take` has not returned yet.
    """

    upto: int
    search: Search
    standing: Mapping[str, Collection[int]]
    scan: Scan
    left: list[str]

    def take(self, most: int) -> list[str]:
        """The ids of the next uploads, at most `most`, that are near or have a standing match; none if none is left."""
        if ids := self.scan.take(most):
            return ids
        ids, self.left = self.left[:most], self.left[most:]
        return ids


@dataclass
class _Changes:
    """The changes from one seq to another, which are not looked back for yet."""

    after: int
    upto: int
    batch: _Batch | None = None


@dataclass
class _Walk:
    """All uploads, some at a time, that are matched with the contributions that changed from one seq to another.

    `wanted` has the ids of these contributions, `standing` those of which a match stood at the start, by upload, and
    `done` is how many uploads were matched.
    """

    after: int
    upto: int
    wanted: Set[int]
    standing: Mapping[str, Set[int]]
    uploads: Iterator[tuple[date, list[Upload]]]
    day: date | None
    """The day that is being walked through."""
    done: int = 0


class LookBack:
    """Looks back over the remembered uploads of a copy; one process does it, the one that syncs.

    The contributions that changed are searched among the uploads with all of their signals at the usual radii. Uploads
    near them are matched as `LocalIndex.match` does. A reported match is taken back when its contribution is gone, has
    expired or no longer matches.
    """

    def __init__(self, index: LocalIndex, reports: Reports, clock: Callable[[], datetime] = system_clock) -> None:
        """Opens nothing yet."""
        self._index, self._reports, self._now = index, reports, clock
        self._remembered = index.remembered
        self._remembered.owns = True
        self._copy: Copy | None = None
        self._epoch = ""
        # The seqs up to which the changed, and the gone, contributions were read from the copy.
        self._seq = 0
        self._gone_seq: int | None = None
        # The changes that are not looked back for yet: the walk has the oldest, the last of `_left` the newest.
        self._walk: _Walk | None = None
        self._left: list[_Changes] = []
        self._walk_file = self._remembered.folder / "walk.json"

    @property
    def walked(self) -> tuple[int, int] | None:
        """How many uploads were matched, and of how many, while very many contributions are looked back for."""
        return None if self._walk is None else (self._walk.done, len(self._remembered))

    def step(self) -> tuple[bool, int]:
        """Look back for a part of what changed after the cursor, mostly within seconds.

        Returns whether there is more to do, and the number of new reports. Between two steps the copy may be synced.
        Raises NoCopy, StoreBusy.
        """
        copy = self._index.opened()
        if self._copy is not copy:
            self._begin(copy)
        # Read before the uploads: an upload that is remembered later is matched with these contributions anyway.
        head, changed = copy.tables.head().seq, copy.tables.changed(self._seq, STEP)
        self._remembered.refresh()
        added = self._take_back_gone(copy, head)
        if not len(self._remembered):
            self._left.clear()
        elif changed and self._walk is None and self._are_many(copy, changed):
            self._begin_walk(copy, self._left[0].after if self._left else self._seq, head, day=None)
            return True, added
        elif changed:
            self._left.append(_Changes(self._seq, head))
        self._seq = max(self._seq, head)
        if self._left:
            return True, added + self._scan(copy, self._left[-1])
        if self._walk is not None:
            return True, added + self._walk_on(copy, self._walk)
        if self._reports.cursor() != (self._epoch, self._seq):
            self._record((), ())
        return self._remembered.pack(PACKED_FROM), added

    def _begin(self, copy: Copy) -> None:
        """Start with another copy, perhaps of another log."""
        cursor, self._epoch = self._reports.cursor(), copy.tables.head().epoch
        self._seq = cursor.seq if cursor is not None and cursor.epoch == self._epoch else 0
        self._copy, self._walk, self._left, self._gone_seq = copy, None, [], None
        with suppress(OSError, ValueError, KeyError, TypeError):
            note = json.loads(self._walk_file.read_text("utf-8"))
            if (note["epoch"], note["after"]) == (self._epoch, self._seq):
                self._remembered.refresh()
                self._begin_walk(copy, self._seq, int(note["upto"]), date.fromisoformat(note["day"]))

    def _begin_walk(self, copy: Copy, after: int, upto: int, day: date | None) -> None:
        """Walk through the uploads of the days after `day` (None: of all days)."""
        wanted, standing = frozenset(copy.tables.changed_ids(after, upto)), defaultdict[str, set[int]](set)
        for upload, id in self._reports.standing(wanted):
            standing[upload].add(id)
        self._walk, self._left = _Walk(after, upto, wanted, standing, self._remembered.walk(day), day), []
        self._seq = upto

    def _record(self, found: Sequence[FoundMatch], taken_back: Sequence[TakenBack]) -> int:
        """Store the reports of these, and the cursor: the seq before the oldest change that is left."""
        oldest = self._walk or (self._left[0] if self._left else None)
        return self._reports.record(
            Cursor(self._epoch, self._seq if oldest is None else oldest.after), found, taken_back
        )

    def _are_many(self, copy: Copy, changed: Sequence[Changed]) -> bool:
        """Whether so many contributions changed that a walk takes less time; `changed` are the first of them."""
        if len(changed) < STEP:
            return False
        values_each = sum(contribution.value_count for contribution in changed) / len(changed)
        return copy.tables.count_changed(self._seq) * values_each >= WALKED_FROM

    def _first_of(self, changed: Sequence[Changed]) -> Sequence[Changed]:
        """The first contributions, as many as one step may compare with all uploads, and at least one."""
        room = PAIRS_A_STEP / max([1, *self._remembered.count_values().values()])
        for place, contribution in enumerate(changed):
            room -= contribution.value_count
            if room < 0 and place and contribution.seq != changed[place - 1].seq:
                return changed[:place]
        return changed

    def _scan(self, copy: Copy, changes: _Changes) -> int:
        """Compare the first contributions of the newest changes with all uploads, and match some that are near."""
        batch = changes.batch = changes.batch or self._begin_batch(copy, changes)
        if not batch.scan.go_on(PAIRS_A_STEP):
            return 0
        # Contributions that changed again since then belong to newer changes.
        ids = frozenset(copy.tables.changed_ids(changes.after, batch.upto))
        found, taken_back, compared, until = list[FoundMatch](), list[TakenBack](), 0, time.monotonic() + STEP_SECONDS
        while near := batch.take(AT_ONCE - compared):
            uploads = self._remembered.latest(near)
            newly_found, no_longer = self._compare(copy, uploads.values(), ids, batch.search, batch.standing)
            found, taken_back, compared = found + newly_found, taken_back + no_longer, compared + len(near)
            if compared >= AT_ONCE or time.monotonic() >= until:
                break
        else:
            changes.after, changes.batch = batch.upto, None
            if batch.upto >= changes.upto:
                self._left.remove(changes)
        # If the process is killed before the last upload, the same matches are found again, and not reported again.
        return self._record(found, taken_back)

    def _begin_batch(self, copy: Copy, changes: _Changes) -> _Batch:
        up_to_a_step = [item for item in copy.tables.changed(changes.after, STEP) if item.seq <= changes.upto]
        changed = self._first_of(up_to_a_step)
        are_all = len(changed) == len(up_to_a_step) < STEP
        upto = changes.upto if are_all else changed[-1].seq
        searched = {
            algorithm: SearchValues(from_octets(b"".join(shares), algorithm.bits), np.array(list(shares.values())))
            for algorithm, shares in copy.tables.shares(changes.after, upto).items()
        }
        standing = defaultdict[str, list[int]](list)
        for upload, id in self._reports.standing([contribution.id for contribution in changed]):
            standing[upload].append(id)
        return _Batch(upto, _search_among(searched), standing, self._remembered.scan(searched), list(standing))

    def _walk_on(self, copy: Copy, walk: _Walk) -> int:
        """Match some of the uploads that are left with the contributions of the walk."""
        until, added = time.monotonic() + STEP_SECONDS, 0
        copy.searchable.catch_up()
        for day, uploads in walk.uploads:
            if walk.day not in (None, day):
                self._note_walk(walk)
            walk.day = day
            found, taken_back = self._compare(copy, uploads, walk.wanted, copy.searchable.search, walk.standing)
            added += self._record(found, taken_back) if found or taken_back else 0
            walk.done += len(uploads)
            if time.monotonic() >= until:
                return added
        self._walk = None
        self._record((), ())
        self._walk_file.unlink(missing_ok=True)
        return added

    def _note_walk(self, walk: _Walk) -> None:
        """Store which day is done: after a restart, the walk continues with the next one."""
        note = {"epoch": self._epoch, "after": walk.after, "upto": walk.upto, "day": str(walk.day)}
        unfinished = self._walk_file.with_suffix(".part")
        with open(unfinished, "w", encoding="utf-8", opener=opener) as file:
            json.dump(note, file)
        unfinished.rename(self._walk_file)

    def _take_back_gone(self, copy: Copy, head: int) -> int:
        """Take back the matches of contributions that are gone or expired; return how many reports were added."""
        now = self._now()
        if self._gone_seq is None:
            suspects = self._reports.contributions()
        else:
            suspects = self._reports.expired(now) | copy.tables.gone_after(self._gone_seq)
        standing = self._reports.standing(suspects) if suspects else ()
        self._gone_seq = head
        if not standing:
            return 0
        ids = {id for _, id in standing}
        expiring, reasons = copy.tables.expiring(ids), copy.tables.gone(ids)
        taken_back = []
        for upload, id in standing:
            if id not in expiring:
                taken_back.append(TakenBack(upload, id, reasons.get(id, NOT_LISTED)))
            elif (until := expiring[id]) is not None and until <= now:
                taken_back.append(TakenBack(upload, id, EXPIRED))
        pages = [taken_back[start : start + AT_ONCE] for start in range(0, len(taken_back), AT_ONCE)]
        return sum(self._record((), page) for page in pages)

    def _compare(
        self,
        copy: Copy,
        uploads: Collection[Upload],
        wanted: Set[int],
        search: Search,
        standing: Mapping[str, Collection[int]],
    ) -> tuple[list[FoundMatch], list[TakenBack]]:
        """The matches of these uploads with the wanted contributions, and the standing ones that are matches no longer.

        `uploads` has no upload that was forgotten: what stands of it is not taken back.
        """
        found = self._match(copy, uploads, wanted, search)
        pairs = {(upload, match.contribution) for upload, _, match, _ in found}
        stood = [(upload.id, id) for upload in uploads for id in standing.get(upload.id, ()) if id in wanted]
        return found, [TakenBack(*pair, NO_LONGER) for pair in stood if pair not in pairs]

    def _match(self, copy: Copy, uploads: Collection[Upload], wanted: Set[int], search: Search) -> list[FoundMatch]:
        """The matches of uploads with the contributions that are wanted."""
        found: list[FoundMatch] = []
        # A request compares the signatures of a bounded number of matches, and aligns a bounded number of videos: so
        # each of these uploads is a request of its own.
        together = [upload for upload in uploads if upload.query.is_plain and not upload.query.frames]
        groups = [together[start : start + QUERIES_A_REQUEST] for start in range(0, len(together), QUERIES_A_REQUEST)]
        groups += [[upload] for upload in uploads if upload.query.frames or not upload.query.is_plain]
        for group in groups:
            results = self._results(copy, group, wanted, search)
            for upload, result in zip(group, results, strict=True):
                matches = self._gather(copy, upload, result, wanted, search) if result.truncated else result.matches
                found += [FoundMatch(upload.id, upload.at, match) for match in matches if match.contribution != TEST_ID]
        expiring = copy.tables.expiring({finding.match.contribution for finding in found})
        return [finding._replace(expires_at=expiring.get(finding.match.contribution)) for finding in found]

    def _gather(self, copy: Copy, upload: Upload, result: Result, wanted: Set[int], search: Search) -> Sequence[Match]:
        """All matches of an upload, of which `result` has only the first.

        The upload is matched again with the contributions that are left, until there are no further matches.
        Too many listed videos may be near an upload to align all with it, so that a result has none of them: then half
        of the contributions are matched at a time, `MOST_REQUESTS` times at most.
        """
        matches, requests = list(result.matches), 0
        pending = [wanted - {match.contribution for match in matches}]
        while pending and requests < MOST_REQUESTS:
            requested = pending.pop()
            [result] = self._results(copy, [upload], requested, search)
            matches += result.matches
            left = sorted(requested - {match.contribution for match in result.matches})
            if result.matches:
                requests = 0
            else:
                requests += 1
            if result.truncated and result.matches:
                pending.append(frozenset(left))
            elif result.truncated and len(left) > 1:
                pending += [frozenset(left[: len(left) // 2]), frozenset(left[len(left) // 2 :])]
        return matches

    def _results(self, copy: Copy, uploads: Sequence[Upload], wanted: Set[int], search: Search) -> Sequence[Result]:
        return copy.match([upload.query for upload in uploads], self._now(), search, wanted.__contains__)


def _search_among(searched: Mapping[Algorithm, SearchValues]) -> Search:
    """A search among values, of those algorithms that are compared by distance."""
    indexes = {
        algorithm: TieredIndex(algorithm.bits, algorithm.radius) for algorithm in searched if not algorithm.is_digest
    }
    for algorithm, index in indexes.items():
        index.load(searched[algorithm].words, seq=0)

    def search(algorithm: Algorithm, values: Sequence[int], radius: int) -> list[list[Neighbor]]:
        return indexes[algorithm].search(values, radius) if algorithm in indexes else [[] for _ in values]

    return search
