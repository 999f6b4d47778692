"""The benign list: what is never accepted and never matched."""

from __future__ import annotations

from collections.abc import Sequence

from hashdb.domain.audit import Action, Details, Entry
from hashdb.domain.benign import Benign, BenignDraft, BenignEffect, BenignFilter
from hashdb.domain.members import SYSTEM, Actor, Scope
from hashdb.domain.proposals import Act, Proposal, Request
from hashdb.domain.signals import Signal
from hashdb.errors import InvalidInput
from hashdb.service import HashDB
from hashdb.service.proposals import second
from hashdb.service.suppressions import settle, within_reach
from hashdb.store import Transaction
from hashdb.store.benign import Near


def page(db: HashDB, actor: Actor, after: int, limit: int, chosen: BenignFilter | None = None) -> tuple[Benign, ...]:
    """At most `limit` entries with ids above `after` that the filter lets through, in order."""
    actor.require(Scope.AUDIT)
    with db.store.read() as tx:
        return tx.benign.page(after, limit, chosen)


def get(db: HashDB, actor: Actor, id: int) -> Benign:
    """One entry. Raises NotFound."""
    actor.require(Scope.AUDIT)
    with db.store.read() as tx:
        return tx.benign.one(id)


def effect(db: HashDB, actor: Actor, draft: BenignDraft) -> BenignEffect:
    """What an entry would keep from matching that matches now. Raises InvalidInput."""
    actor.require(Scope.AUDIT)
    if faults := tuple(db.rules.benign_faults(draft)):
        raise InvalidInput(faults)
    db.index.catch_up()
    with db.store.read() as tx:
        near = [Near(0, signal, draft.radius_of(signal.algorithm)) for signal in draft.signals]
        touched = within_reach(db, tx, near)
        ids = tx.suppressions.holders(touched)
        lost, left = 0, set()
        for one in tx.suppressions.held(ids):
            if one.signal in touched:
                lost += 1
            else:
                left.add(one.contribution)
        return BenignEffect(lost, len(ids), tx.suppressions.members(ids), len(ids) - len(left))


def held_back(db: HashDB, actor: Actor, id: int) -> BenignEffect:
    """What an entry keeps from matching now: without it that matches again, unless another one is near it, too."""
    actor.require(Scope.AUDIT)
    with db.store.read() as tx:
        tx.benign.one(id)
        return BenignEffect(*tx.suppressions.of_entry(id), tx.suppressions.silenced(id))


def add(db: HashDB, actor: Actor, draft: BenignDraft) -> Benign | Proposal:
    """Accept and match nothing within the radius of these signals any more; an event for each contribution touched.

    When this returns an entry, no process matches what it touches. It may take two persons: of the first one's request
    a proposal is made, and answered. Raises InvalidInput, IndexNotReady.
    """
    actor.require(Scope.ADMIN)
    if faults := tuple(db.rules.benign_faults(draft)):
        raise InvalidInput(faults)
    # What the entry touches is searched for in the index: without it nothing is to be stored.
    db.index.catch_up()
    with db.store.begin() as tx:
        now = db.now()
        if waits := second(db, tx, actor, Request(Act.BENIGN, "benign", 0, _content(draft)), now):
            return waits
        added = tx.benign.add(draft, now)
        tx.audit.append(now, actor, [_added(added)])
    settle(db, actor)
    return get(db, actor, added.id)


def delete(db: HashDB, actor: Actor, id: int) -> None:
    """Take an entry away: what it alone kept from matching matches again. Raises NotFound, IndexNotReady."""
    actor.require(Scope.ADMIN)
    db.index.catch_up()
    with db.store.begin() as tx:
        _delete(db, tx, actor, id)
    settle(db, actor)


def spared(db: HashDB, signals: Sequence[Signal], own: int) -> tuple[Signal, ...]:
    """The signals of a picture without those variants that are close to a benign one; the first `own` are no variants.

    Of the picture's own the contributor is to be told.
    """
    touched = db.intake.rules().touched(signals[own:])
    return (*signals[:own], *(one for one in signals[own:] if one not in touched))


def start(db: HashDB, drafts: Sequence[BenignDraft]) -> None:
    """Have the entries that come with hashdb in the list: new ones added, those that differ replaced.

    What somebody deleted stays so. Contributions that are there already go by them once they are settled.
    """
    with db.store.read() as tx:
        if not _differing(tx, drafts):
            return
    with db.store.begin() as tx:
        tx.audit.hold()
        now = db.now()
        for draft, old in _differing(tx, drafts):
            if old is not None:
                _delete(db, tx, SYSTEM, old)
            tx.audit.append(now, SYSTEM, [_added(tx.benign.add(draft, now))])


def _differing(tx: Transaction, drafts: Sequence[BenignDraft]) -> list[tuple[BenignDraft, int | None]]:
    """The drafts that are not in the list as they are, and what of their names is."""
    known = tx.benign.built_in()
    found: list[tuple[BenignDraft, int | None]] = []
    for draft in drafts:
        id, deleted = known.get(draft.built_in or "", (None, False))
        if id is None:
            found.append((draft, None))
        elif not deleted:
            held = {(one.signal, one.radius) for one in tx.benign.signals(id)}
            if held != {(signal, draft.radius_of(signal.algorithm)) for signal in draft.signals}:
                found.append((draft, id))
    return found


def _delete(db: HashDB, tx: Transaction, actor: Actor, id: int) -> None:
    now = db.now()
    tx.benign.delete(id, now)
    tx.audit.append(now, actor, [Entry(Action.BENIGN_DELETED, "benign", id, {})])


def _content(draft: BenignDraft) -> dict[str, object]:
    """What is asked, as it is asked over HTTP."""
    radius = {str(algorithm): bits for algorithm, bits in draft.radius.items()}
    return {"signals": [str(signal) for signal in draft.signals], "radius": radius, "note": draft.note}


def _added(benign: Benign) -> Entry:
    details: Details = {
        "algorithms": sorted({str(signal.algorithm) for signal in benign.signals}),
        "signals": len(benign.signals),
        "built_in": benign.built_in,
    }
    return Entry(Action.BENIGN_ADDED, "benign", benign.id, details)
