"""Safeguards: what the operator sets of them is in the log, when a service starts with other settings than the last."""

from __future__ import annotations

from hashdb.domain.audit import Action, Details, Entry, type_of_detail
from hashdb.domain.hits import MatchLog
from hashdb.domain.members import SYSTEM
from hashdb.service import HashDB
from hashdb.store import Transaction

_SUBJECT = ("safeguards", 1)
_DEFAULT: Details = {
    "two_persons": "no",
    "flood_cap": None,
    "match_log": str(MatchLog.HITS),
    "max_radius": [],
    "budgets": [],
}
"""What holds of a log that says nothing of it."""


def start(db: HashDB) -> None:
    """Write into the log which of the safeguards' settings are others than it last said, and what they were."""
    chosen = _chosen(db)
    with db.store.read() as tx:
        if _told(tx) == chosen:
            return
    with db.store.begin() as tx:
        tx.audit.hold()
        told = _told(tx)
        if told != chosen:
            before = [f"{name}={_word(told[name])}" for name in sorted(chosen) if told[name] != chosen[name]]
            details: Details = {**chosen, "before": before}
            tx.audit.append(db.now(), SYSTEM, [Entry(Action.SETTINGS_CHANGED, *_SUBJECT, details)])


def _chosen(db: HashDB) -> Details:
    return {
        "two_persons": "yes" if db.rules.two_persons else "no",
        "flood_cap": db.rules.flood_cap,
        "match_log": str(db.match_log),
        "max_radius": [f"{algorithm}={bits}" for algorithm, bits in sorted(db.rules.max_radius.items())],
        "budgets": [f"{budget}={amount}" for budget, amount in sorted(db.rules.budgets.items())],
    }


def _told(tx: Transaction) -> Details:
    events = tx.audit.between(0, tx.audit.head().seq + 1, 1, None, Action.SETTINGS_CHANGED, _SUBJECT)
    return {name: events[0].details.get(name, default) for name, default in _DEFAULT.items()} if events else _DEFAULT


def _word(value: type_of_detail) -> str:
    return (",".join(value) if isinstance(value, list) else str(value or "")) or "none"
