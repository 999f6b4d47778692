"""Listings: every contribution, for those who answer for the database: chosen, ordered, and exported."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace

from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.contributions import Contribution, Filter, Listed, Listing, Position
from hashdb.domain.ledger.events import Action, Entry
from hashdb.errors import Fault, InvalidInput
from hashdb.service import HashDB
from hashdb.service.contributions.sight import shown

BLOCK = 500


def page(db: HashDB, actor: Actor, asked: Listing, after: Position | None, limit: int) -> Listed:
    """At most `limit` contributions after a position, in the order that is asked for.

    It looks at so many at once that it is answered in a moment: where a page is `unfinished`, ask for what follows.
    """
    actor.require(Scope.AUDIT)
    with db.store.read() as tx:
        found = tx.listings.page(asked, after, limit, db.now())
    return replace(found, contributions=tuple(shown(actor, one) for one in found.contributions))


def export(db: HashDB, actor: Actor, asked: Listing, form: str) -> Iterator[Contribution]:
    """Every contribution of a listing, in its order; who exported is in the log before the first is given away.

    `form` is noted, with the names of the fields by which they are chosen, never their values.
    """
    actor.require(Scope.AUDIT)
    now = db.now()
    chosen = sorted(field.name for field in fields(Filter) if getattr(asked.chosen, field.name) is not None)
    with db.store.begin() as tx:
        told = Entry(Action.LISTING_EXPORTED, "listing", int(f"{now:%Y%m%d}"), {"form": form, "chosen": chosen})
        tx.audit.append(now, actor, [told])
    return _all(db, actor, asked)


def check(chosen: Filter) -> None:
    """Raise InvalidInput where a period ends before it begins."""
    faults = [
        Fault(end, "is before the first day")
        for start, end in (("since", "until"), ("removed_since", "removed_until"))
        if (first := getattr(chosen, start)) and (last := getattr(chosen, end)) and last <= first
    ]
    if faults:
        raise InvalidInput(tuple(faults))


def _all(db: HashDB, actor: Actor, asked: Listing) -> Iterator[Contribution]:
    after: Position | None = None
    while True:
        with db.store.read() as tx:
            found = tx.listings.page(asked, after, BLOCK, db.now(), ahead=None)
        yield from (shown(actor, one) for one in found.contributions)
        if found.next is None:
            return
        after = found.next
