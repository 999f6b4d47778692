"""Returns: what was retired and is contributed again, by whomever and from whatever crop, waits for a reviewer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from hashdb.domain.audit import Details, Entry
from hashdb.domain.cases import Cause
from hashdb.domain.contributions import Recorded, Standing
from hashdb.service import HashDB
from hashdb.service.cases import hold
from hashdb.service.retired import Near
from hashdb.store import Transaction


def hold_returns(
    db: HashDB, tx: Transaction, recorded: Sequence[Recorded], near: Near, now: datetime
) -> tuple[tuple[Recorded, ...], list[Entry]]:
    """Quarantine those that were recorded now and are near a retired one: the store decides, the index suggests.

    Returns what was recorded as it is then, and the events, for the caller to append.
    """
    if not near:
        return tuple(recorded), []
    retired = tx.retired.among({one for neighbors in near.values() for one in neighbors})
    fresh = {one.contribution.id: one.contribution for one in recorded if not one.known}
    told: dict[int, Details] = {}
    for id, contribution in fresh.items():
        of = {retired[one] for signal in contribution.signals for one in near.get(signal, ()) if one in retired}
        if of:
            told[id] = {"near": min(of)}
    entries = hold(tx, db.rules, [fresh[id] for id in told], Cause.NEAR_RETIRED, now, told)
    seen = tuple(
        replace(one, contribution=replace(one.contribution, standing=Standing.QUARANTINED))
        if one.contribution.id in told
        else one
        for one in recorded
    )
    return seen, entries
