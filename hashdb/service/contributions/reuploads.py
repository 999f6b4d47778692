"""Re-uploads: a contribution near a retired one, or near one that ended with a case, waits for a reviewer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import groupby
from operator import attrgetter

from hashdb.domain.contributions import Contribution, Recorded, Standing
from hashdb.domain.frames import searched_frames
from hashdb.domain.ledger.events import Details, LogEntry
from hashdb.domain.matching.aligners import LEAST_FRAMES
from hashdb.domain.review.cases import Case, Cause
from hashdb.domain.signals import Signal
from hashdb.service import HashDB
from hashdb.service.review.cases import continue_cases, hold
from hashdb.service.views import NearSignals
from hashdb.store import Transaction


def hold_reuploads(
    db: HashDB, tx: Transaction, recorded: Sequence[Recorded], near: NearSignals, now: datetime
) -> tuple[tuple[Recorded, ...], list[LogEntry]]:
    """Quarantine the newly recorded contributions that are near a retired one.

    `near` has what the index found near their signals; the store decides which of it is of a retired contribution.
    A case on a contribution that the same member withdrew, or that expired, continues on the new one near it.
    Returns the recorded contributions with their new standings, and the events, which the caller appends.
    """
    if not near:
        return tuple(recorded), []
    values = {stored for neighbors in near.values() for stored in neighbors}
    retired = tx.shadows.retired_with(values)
    fresh = {item.contribution.id: item.contribution for item in recorded if not item.known}
    near_details: dict[int, Details] = {}
    for id, contribution in fresh.items():
        if ids := _near_ids(contribution, near, retired):
            near_details[id] = {"near": min(ids)}
    others = [contribution for contribution in fresh.values() if contribution.id not in near_details]
    continued = _continued_cases(tx, others, values, near, now)
    entries = hold(tx, db.rules, [fresh[id] for id in near_details], Cause.NEAR_RETIRED, now, near_details)
    entries += continue_cases(tx, db.rules, [fresh[id] for id in continued], continued, now)
    standings = {id: Standing.QUARANTINED if case.holds else Standing.DISPUTED for id, case in continued.items()}
    standings |= dict.fromkeys(near_details, Standing.QUARANTINED)
    return tuple(
        replace(item, contribution=replace(item.contribution, standing=standings[item.contribution.id]))
        if item.contribution.id in standings
        else item
        for item in recorded
    ), entries


def _near_ids(contribution: Contribution, near: NearSignals, holders: Mapping[Signal, Sequence[int]]) -> set[int]:
    """The ids of the holders that a contribution is near: by a signal of its own, by a page, or by several shots."""
    if not holders:
        return set()
    ids = _holding(contribution.signals, near, holders)
    for unit, group in groupby(searched_frames(contribution.frames), key=attrgetter("unit")):
        frames = list(group)
        counts = Counter(id for frame in frames for id in _holding(frame.signals, near, holders))
        least = min(LEAST_FRAMES[unit], len(frames))
        ids |= {id for id, count in counts.items() if count >= least}
    return ids


def _holding(signals: Sequence[Signal], near: NearSignals, holders: Mapping[Signal, Sequence[int]]) -> set[int]:
    """The ids of the holders of stored signals that are near any of these signals."""
    return {id for signal in signals for stored in near.get(signal, ()) for id in holders.get(stored, ())}


def _continued_cases(
    tx: Transaction, fresh: Sequence[Contribution], values: Collection[Signal], near: NearSignals, now: datetime
) -> dict[int, Case]:
    """By contribution, the case that it continues, if there is one. Of several cases, one that holds comes first.

    `holds` is set on a case if its old contribution no longer matched, by its standing.
    """
    ended_with = tx.shadows.ended_with(fresh[0].member, values, now) if fresh else {}
    ids = {id for group in ended_with.values() for id in group}
    ended = tx.contributions.get(ids, now)
    cases = tx.cases.by_contribution(ids)
    last = {id: replace(cases_on[-1], holds=not ended[id].standing.matches) for id, cases_on in cases.items()}
    continued: dict[int, Case] = {}
    for contribution in fresh:
        if candidates := _near_ids(contribution, near, ended_with) & last.keys():
            continued[contribution.id] = max((last[id] for id in candidates), key=lambda case: (case.holds, case.id))
    return continued
