"""Lists of contributions in SQL: filters, orders, and pages that follow each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from hashdb.domain.accounts.members import Member, MemberDraft, MemberKind
from hashdb.domain.contributions import Contribution, Filter, Standing, Status
from hashdb.domain.listings import Listing, Place, Position, Sort, Total
from hashdb.domain.signals import Algorithm
from hashdb.domain.tiers import Tier, tier_of
from hashdb.store import Store
from hashdb.store.contributions import listings
from tests.builders import NOON, draft, signal

HOUR = timedelta(hours=1)
LATER = NOON + 100 * HOUR
LABELS: dict[int, tuple[str, ...]] = defaultdict(
    tuple,
    {1: ("branded_propaganda",), 2: ("imminent_threat",), 6: ("imminent_threat",), 7: ("instruction",)},
)


@pytest.fixture(params=[10_000, -1], ids=["few", "many"])
def few(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the test twice: all rows are few enough to sort, or none are. The results must be equal."""
    monkeypatch.setattr(listings, "FEW", request.param)


@pytest.fixture
def other(store: Store) -> Member:
    with store.begin() as tx:
        return tx.members.add(MemberDraft("Other", MemberKind.PLATFORM), NOON)


@pytest.fixture
def stored(store: Store, member: Member, other: Member) -> list[Contribution]:
    """Twelve contributions that differ in all fields by which lists are filtered or sorted."""
    with store.begin() as tx:
        for number in range(12):
            new = draft(
                signal(number, Algorithm.PHASH if number % 4 == 3 else Algorithm.PDQ),
                labels=("manifesto",) if number % 5 == 0 else ("glorification", "incitement", *LABELS[number]),
                entity="UN:example" if number in (1, 6, 10) else None,
                severity=(None, 2, 4, 0)[number % 4],
                removed_at=None if number % 6 == 5 else NOON - (number * 7 % 12) * HOUR,
                incident="CIP:one" if number in (3, 4) else None,
                reference=(None, "Ticket-1", "ticket-1", "Ticket-22", "100%")[number % 5],
                expires_at=LATER if number == 8 else None,
            )
            tx.contributions.add(other if number % 3 == 2 else member, [new], NOON + (number // 2) * HOUR)
        tx.contributions.withdraw(2, "other", LATER)
        tx.statuses.set_standing([4, 5, 6], Standing.DISPUTED)
        tx.statuses.set_standing([7], Standing.RETIRED)
    with store.read() as tx:
        return list(tx.contributions.page(Filter(), 0, 100, LATER))


def sort_key(contribution: Contribution, sort: Sort) -> datetime | int | None:
    return {
        Sort.RECEIVED: contribution.received_at,
        Sort.REMOVED: contribution.removed_at,
        Sort.SEVERITY: contribution.severity,
        Sort.ID: contribution.id,
    }[sort]


def sort_ids(contributions: list[Contribution], sort: Sort, *, descending: bool) -> list[int]:
    """Sort in plain Python, with the contributions without a value last; return the ids."""
    known = [each for each in contributions if sort_key(each, sort) is not None]
    known.sort(key=lambda each: (sort_key(each, sort), each.id), reverse=descending)
    unknown = sorted(
        (each for each in contributions if sort_key(each, sort) is None), key=lambda each: each.id, reverse=descending
    )
    return [each.id for each in (*known, *unknown)]


def pages(store: Store, listing: Listing, limit: int, ahead: int | None = listings.AHEAD) -> Iterator[list[int]]:
    """Read all pages forward and return them; reading them backward must give the same rows."""
    place, forward, backward = Place(), list[list[int]](), list[list[int]]()
    with store.read() as tx:
        for _ in range(100):
            page = tx.listings.page(listing, place, limit, LATER, ahead)
            forward.append([each.id for each in page.rows])
            if page.next is None:
                break
            place = Place(Position.parse(str(page.next)))
        while page.previous is not None:
            page = tx.listings.page(listing, Place(page.previous, back=True), limit, LATER, ahead)
            backward.append([each.id for each in page.rows])
            assert len(backward) < 100, "the list has no start"
    assert page.next is not None or len(forward) == 1
    assert [id for page_ids in reversed(backward) for id in page_ids] == [
        id for page_ids in forward[:-1] for id in page_ids
    ]
    return iter(forward)


FILTERS: list[tuple[Filter, Callable[[Contribution], bool]]] = [
    (Filter(), lambda item: True),
    (Filter(member=2), lambda item: item.member == 2),
    (Filter(member=9), lambda item: False),
    (Filter(status=Status.WITHDRAWN), lambda item: item.status is Status.WITHDRAWN),
    (Filter(status=Status.EXPIRED), lambda item: item.id == 9),
    (Filter(status=Status.ACTIVE), lambda item: item.id not in (2, 9)),
    (Filter(standing=Standing.DISPUTED), lambda item: item.id in (4, 5, 6)),
    (Filter(standing=Standing.UNREVIEWED), lambda item: item.id not in (4, 5, 6, 7)),
    (Filter(label="manifesto"), lambda item: "manifesto" in item.labels),
    (Filter(label="manifest"), lambda item: False),
    (Filter(severity=0), lambda item: item.severity == 0),
    (Filter(algorithm=Algorithm.PHASH), lambda item: item.signals[0].algorithm is Algorithm.PHASH),
    (Filter(incident="CIP:one"), lambda item: item.incident == "CIP:one"),
    *(
        (
            Filter(tier=tier),
            lambda item, tier=tier: tier_of(item.labels, item.severity, item.entity, item.incident) in tier.within(),
        )
        for tier in Tier
    ),
    (Filter(reference="Ticket"), lambda item: (item.reference or "").startswith("Ticket")),
    (Filter(reference="100%"), lambda item: item.reference == "100%"),
    (Filter(reference="_"), lambda item: False),
    (Filter(since=NOON + HOUR, until=NOON + 3 * HOUR), lambda item: item.id in (3, 4, 5, 6)),
    (
        Filter(removed_since=NOON - 5 * HOUR, removed_until=NOON),
        lambda item: item.removed_at is not None and NOON - 5 * HOUR <= item.removed_at < NOON,
    ),
    (
        Filter(expires_until=NOON + 2 * HOUR),
        lambda item: item.expires_at is not None and item.expires_at < NOON + 2 * HOUR,
    ),
    (Filter(member=1, severity=2, label="incitement"), lambda item: item.member == 1 and item.severity == 2),
]


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(
    ("sort", "descending"),
    [(Sort.RECEIVED, True), (Sort.REMOVED, True), (Sort.REMOVED, False), (Sort.SEVERITY, False), (Sort.ID, True)],
)
def test_every_filter_and_order_gives_the_same_rows_as_plain_python(
    store: Store, stored: list[Contribution], sort: Sort, descending: bool
) -> None:
    for filter_, matches_filter in FILTERS:
        expected = sort_ids([each for each in stored if matches_filter(each)], sort, descending=descending)
        if filter_.label == "incitement":
            expected = [id for id in expected if "incitement" in stored[id - 1].labels]
        listed = [id for page in pages(store, Listing(filter_, sort, descending), 5) for id in page]
        assert listed == expected, filter_
        with store.read() as tx:
            total = tx.listings.page(Listing(filter_, sort, descending), Place(), 1, LATER).total
            assert tx.listings.count(filter_, LATER) == len(expected)
        assert total is not None
        assert total.count == len(expected) or total == Total(listings.FEW, more=True)


@pytest.mark.parametrize("sort", Sort)
def test_an_unfinished_search_continues_where_it_stopped(
    store: Store, stored: list[Contribution], sort: Sort, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listings, "FEW", -1)
    for filter_ in (
        Filter(label="manifesto"),
        Filter(member=1, label="glorification"),
        Filter(standing=Standing.DISPUTED, label="glorification"),
    ):
        label, member, standing = filter_.label, filter_.member or 0, filter_.standing
        matching = [
            each
            for each in stored
            if label in each.labels and member in (0, each.member) and standing in (None, each.standing)
        ]
        expected = sort_ids(matching, sort, descending=True)
        assert len(expected) > 1
        for ahead in (1, 2, 5, None):
            listed = list(pages(store, Listing(filter_, sort), 2, ahead))
            assert [id for page in listed for id in page] == expected
    with store.read() as tx:
        first = tx.listings.page(Listing(Filter(label="manifesto"), sort), Place(), 100, LATER, 1)
    assert first.unfinished
    assert first.next is not None


@pytest.mark.usefixtures("few")
def test_a_full_page_is_finished(store: Store, stored: list[Contribution]) -> None:
    with store.read() as tx:
        page = tx.listings.page(Listing(), Place(), 3, LATER, 5)
        whole = tx.listings.page(replace(Listing(), descending=False), Place(), 12, LATER)
    assert not page.unfinished
    assert page.next is not None
    assert (whole.next, whole.unfinished, len(whole.rows)) == (None, False, 12)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(
    "chosen", [Filter(), Filter(member=1), Filter(standing=Standing.DISPUTED), Filter(since=NOON, until=LATER)]
)
def test_a_page_that_an_index_fully_covers_does_not_stop_early(
    store: Store, stored: list[Contribution], chosen: Filter
) -> None:
    with store.read() as tx:
        page = tx.listings.page(Listing(chosen), Place(), 3, LATER, 1)
    assert (len(page.rows), page.unfinished) == (3, False)
