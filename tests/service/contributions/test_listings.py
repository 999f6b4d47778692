"""The lists of all contributions, and their export."""

from __future__ import annotations

import pytest

from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.contributions import Filter
from hashdb.domain.listings import Listing, Place
from hashdb.errors import InvalidInput, ScopeMissing
from hashdb.service import HashDB
from hashdb.service.contributions import listings
from tests.builders import NOON, Clock, contributed, draft

AUDITOR = Actor("user:1", frozenset({Scope.AUDIT}))


def test_an_auditor_reads_all_contributions_page_by_page(db: HashDB, actor: Actor, other: Actor) -> None:
    contributed(db, actor, draft(1, reference="ours"), draft(2))
    contributed(db, other, draft(3))
    first = listings.page(db, AUDITOR, Listing(), Place(), 2)
    rest = listings.page(db, AUDITOR, Listing(), Place(first.next), 2)
    assert [row.id for row in (*first.rows, *rest.rows)] == [3, 2, 1]
    assert rest.next is None
    assert rest.rows[0].reference == "ours"
    assert rest.rows[0].signals
    listing = Listing(Filter(member=other.member.id if other.member else 0))
    assert [row.id for row in listings.page(db, AUDITOR, listing, Place(), 9).rows] == [3]


def test_an_export_has_every_contribution_and_is_logged_before_it_starts(
    db: HashDB, actor: Actor, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    monkeypatch.setattr(listings, "BLOCK", 2)
    contributed(db, actor, *(draft(seed, reference=f"secret-{seed}") for seed in range(5)))
    exported = listings.export(db, AUDITOR, Listing(Filter(reference="secret", severity=None)), "csv")
    with db.store.read() as tx:
        event = tx.audit.events(0, 1_000, str(AUDITOR), None, None)[-1]
    assert (event.action, event.subject) == ("listing.exported", "listing:20261120")
    assert event.details == {"form": "csv", "chosen": ["reference"]}
    assert [row.id for row in exported] == [5, 4, 3, 2, 1]


def test_a_period_must_end_after_its_start() -> None:
    for valid in (Filter(since=NOON, removed_until=NOON), Filter(until=NOON, removed_since=NOON)):
        listings.check(valid)
    with pytest.raises(InvalidInput) as caught:
        listings.check(Filter(since=NOON, until=NOON, removed_since=NOON, removed_until=NOON))
    assert [fault.at for fault in caught.value.faults] == ["until", "removed_until"]


def test_only_an_auditor_can_list_and_export_all_contributions(db: HashDB, actor: Actor) -> None:
    with pytest.raises(ScopeMissing):
        listings.page(db, actor, Listing(), Place(), 1)
    with pytest.raises(ScopeMissing):
        listings.export(db, actor, Listing(), "csv")
