"""Returns: what was retired, or was before a reviewer when it ended, and is contributed again waits for a reviewer."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime

from hashdb.domain.contributions import Contribution, Recorded, Standing
from hashdb.domain.ledger.events import Details, Entry
from hashdb.domain.review.cases import Case, Cause
from hashdb.domain.signals import Signal
from hashdb.service import HashDB
from hashdb.service.review.cases import follow, hold
from hashdb.service.views import Close
from hashdb.store import Transaction


def hold_returns(
    db: HashDB, tx: Transaction, recorded: Sequence[Recorded], near: Close, now: datetime
) -> tuple[tuple[Recorded, ...], list[Entry]]:
    """Quarantine those that were recorded now and are near a retired one: the store decides, the index suggests.

    A case on what the same member withdrew, or let expire, goes on with what is near to that.
    Returns what was recorded as it is then, and the events, for the caller to append.
    """
    if not near:
        return tuple(recorded), []
    values = {one for neighbors in near.values() for one in neighbors}
    retired = tx.retired.among(values)
    fresh = {one.contribution.id: one.contribution for one in recorded if not one.known}
    told: dict[int, Details] = {}
    for id, contribution in fresh.items():
        of = {retired[one] for signal in contribution.signals for one in near.get(signal, ()) if one in retired}
        if of:
            told[id] = {"near": min(of)}
    before = _before(tx, [one for one in fresh.values() if one.id not in told], values, near, now)
    entries = hold(tx, db.rules, [fresh[id] for id in told], Cause.NEAR_RETIRED, now, told)
    entries += follow(tx, db.rules, [fresh[id] for id in before], before, now)
    standings = {id: Standing.QUARANTINED if case.holds else Standing.DISPUTED for id, case in before.items()}
    standings |= dict.fromkeys(told, Standing.QUARANTINED)
    seen = tuple(
        replace(one, contribution=replace(one.contribution, standing=standings[one.contribution.id]))
        if one.contribution.id in standings
        else one
        for one in recorded
    )
    return seen, entries


def _before(
    tx: Transaction, fresh: Sequence[Contribution], values: Collection[Signal], near: Close, now: datetime
) -> dict[int, Case]:
    """The case that each of these continues: of several one that holds, else the last; it holds if it is kept out."""
    shed = tx.retired.shed(fresh[0].member, values, now) if fresh else {}
    ids = {id for some in shed.values() for id in some}
    ended = tx.contributions.get(ids, now)
    last = {id: replace(cases[-1], holds=not ended[id].standing.matches) for id, cases in tx.cases.of(ids).items()}
    found: dict[int, Case] = {}
    for one in fresh:
        of = {id for signal in one.signals for stored in near.get(signal, ()) for id in shed.get(stored, ())}
        if continued := [last[id] for id in of if id in last]:
            found[one.id] = max(continued, key=lambda case: (case.holds, case.id))
    return found
