"""Floods: a contribution that many members hit more often than the operator's cap is quarantined for a reviewer."""

from __future__ import annotations

from hashdb.domain.audit import Details
from hashdb.domain.cases import Cause
from hashdb.domain.floods import WINDOW
from hashdb.domain.members import SYSTEM
from hashdb.service import HashDB
from hashdb.service.cases import hold


def guard(db: HashDB) -> int:
    """Quarantine contributions with more hits within an hour than `HASHDB_FLOOD_CAP`, with a case each; how many.

    By the hits that all processes have flushed. What a reviewer upheld within the last week is left alone.
    """
    cap = db.rules.flood_cap
    if cap is None:
        return 0
    with db.store.read() as tx:
        suspected = [flood.contribution for flood in tx.floods.over(cap, db.now())]
    if not suspected:
        return 0
    with db.store.begin() as tx:
        now = db.now()
        held = {id: tx.contributions.one(id, now, lock=True) for id in suspected}
        # Asked again, now that nobody else decides on them.
        figures: dict[int, Details] = {
            flood.contribution: {
                "hits": flood.hits,
                "cap": cap,
                "seconds": int(WINDOW.total_seconds()),
                "members": flood.members,
            }
            for flood in tx.floods.over(cap, now)
            if flood.contribution in held
        }
        found = [held[id] for id in figures]
        tx.audit.append(now, SYSTEM, hold(tx, db.rules, found, Cause.FLOOD, now, figures))
    return len(found)
