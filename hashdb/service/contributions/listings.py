"""Listings: pages and exports of all contributions, filtered and ordered, for auditors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace

from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.contributions import Contribution, Filter
from hashdb.domain.ledger.events import Action, Details, LogEntry
from hashdb.domain.listings import Listing, Paged, Place
from hashdb.domain.stats.counts import number_of_day
from hashdb.errors import Fault, reject
from hashdb.service import HashDB
from hashdb.service.contributions.sight import visible_fields

BLOCK = 500
"""Contributions that one statement of an export reads."""


def page(db: HashDB, actor: Actor, listing: Listing, place: Place, limit: int) -> Paged[Contribution]:
    """At most `limit` contributions at a place of the listing, in its order, with the total.

    Each call examines a limited number of rows, so it is quick. If the page is `unfinished`, request the next one.
    """
    with db.read(actor, Scope.AUDIT) as tx:
        listed = tx.listings.page(listing, place, limit, db.now())
    return replace(listed, rows=tuple(visible_fields(actor, item) for item in listed.rows))


def export(db: HashDB, actor: Actor, listing: Listing, form: str) -> Iterator[Contribution]:
    """Every contribution of a listing, in its order; the export is logged before the first one is returned.

    The event has `form`, which is the format of the export, and the names of the fields of the filter, never their
    values.
    """
    actor.require(Scope.AUDIT)
    now = db.now()
    chosen = sorted(field.name for field in fields(Filter) if getattr(listing.filter, field.name) is not None)
    with db.store.begin() as tx:
        details: Details = {"form": form, "chosen": chosen}
        tx.audit.append(now, actor, [LogEntry(Action.LISTING_EXPORTED, "listing", number_of_day(now.date()), details)])
    return _read_all(db, actor, listing)


def count(db: HashDB, actor: Actor, chosen: Filter) -> int:
    """How many contributions a filter selects, exactly. It may read all of them, so it can take seconds."""
    with db.read(actor, Scope.AUDIT) as tx:
        return tx.listings.count(chosen, db.now())


def check(chosen: Filter) -> None:
    """Raise InvalidInput if a period ends before it begins."""
    reject(
        Fault(end, "must not be before the first day")
        for start, end in (("since", "until"), ("removed_since", "removed_until"))
        if (first := getattr(chosen, start)) and (last := getattr(chosen, end)) and last <= first
    )


def _read_all(db: HashDB, actor: Actor, listing: Listing) -> Iterator[Contribution]:
    place = Place()
    while True:
        with db.store.read() as tx:
            # Without a limit of the rows that are examined, and without the total.
            listed = tx.listings.page(listing, place, BLOCK, db.now(), ahead=None)
        yield from (visible_fields(actor, item) for item in listed.rows)
        if listed.next is None:
            return
        place = Place(listed.next)
