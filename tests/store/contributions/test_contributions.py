"""Contributions in SQL."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from hashdb.domain.accounts.members import Member, MemberChange, MemberDraft, MemberKind, MemberStatus
from hashdb.domain.contributions import Amendment, Contribution, Draft, Filter, Media, Standing, Status
from hashdb.domain.matching.matches import StoredItem
from hashdb.domain.signals import Algorithm, Signal
from hashdb.domain.signatures import Kind
from hashdb.errors import NotFound
from hashdb.store import Store
from hashdb.store.tables import signals
from tests.builders import NOON, draft, signal, signature

MICROSECOND = timedelta(microseconds=1)
WHOLE = Draft(
    signals=(signal(1), signal(1, Algorithm.PHASH), signal(2)),
    labels=("glorification", "manifesto"),
    removed_at=datetime(1, 1, 1, tzinfo=UTC),
    quality=97,
    media=Media.VIDEO_FRAME,
    severity=4,
    basis="terms",
    tco_ground="2.7.a",
    entity="UN:example",
    incident="CIP:example",
    context=("synthetic", "contains_victim"),
    notified_at=NOON - timedelta(days=1, microseconds=1),
    reference="our own: ид-№1 'quoted' \\ 100 %",
    expires_at=datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC),
)
BARE = Draft(signals=(Signal(Algorithm.PHASH, 0),), labels=("manifesto",), removed_at=None)


def add(store: Store, member: Member, *drafts: Draft, now: datetime = NOON) -> tuple[Contribution, ...]:
    with store.begin() as tx:
        return tx.contributions.add(member, drafts, now)


def stored(store: Store, id: int, now: datetime = NOON) -> Contribution:
    with store.read() as tx:
        return tx.contributions.one(id, now)


def test_every_field_of_a_draft_comes_back(store: Store, member: Member) -> None:
    added = add(store, member, WHOLE, BARE)
    for sent, contribution in zip((WHOLE, BARE), added, strict=True):
        found = stored(store, contribution.id)
        assert found == contribution
        assert {field.name: getattr(found, field.name) for field in fields(sent)} == {
            field.name: getattr(sent, field.name) for field in fields(sent)
        }
        assert (found.status, found.standing, found.received_at) == (Status.ACTIVE, Standing.UNREVIEWED, NOON)
        assert (found.member, found.member_name) == (member.id, "Example")


def test_drafts_are_recorded_in_order_however_many(store: Store, member: Member) -> None:
    added = add(store, member, *[draft(seed) for seed in range(1_100)])
    ids = [one.id for one in added]
    assert ids == sorted(set(ids))
    with store.read() as tx:
        found = tx.contributions.get(ids, NOON)
    assert list(found) == ids
    assert [one.signals for one in found.values()] == [(signal(seed),) for seed in range(1_100)]


def test_nothing_added_is_nothing(store: Store, member: Member) -> None:
    assert add(store, member) == ()
    with store.read() as tx:
        assert tx.contributions.get([], NOON) == {}
        assert tx.contributions.signals([]) == {}


def test_a_contribution_that_does_not_exist_is_told(store: Store, member: Member) -> None:
    add(store, member, draft(1))
    for lock in (False, True):
        with store.begin() as tx, pytest.raises(NotFound, match=r"^contribution 99 does not exist$"):
            tx.contributions.one(99, NOON, lock=lock)
    with store.read() as tx:
        assert list(tx.contributions.get([99, 1, 1], NOON)) == [1]


def test_an_id_is_never_used_again(store: Store, member: Member) -> None:
    (one,) = add(store, member, draft(1))
    with store.begin() as tx:
        tx.erasures.erase(one.id, NOON, NOON)
    (other,) = add(store, member, draft(1))
    assert other.id > one.id


def test_the_status_follows_the_clock_and_the_member(store: Store, member: Member) -> None:
    (one,) = add(store, member, draft(1, expires_at=NOON + timedelta(hours=1)))
    end = NOON + timedelta(hours=1)
    assert stored(store, one.id, end - MICROSECOND).status is Status.ACTIVE
    assert stored(store, one.id, end).status is Status.EXPIRED
    with store.begin() as tx:
        tx.members.change(member.id, MemberChange(status=MemberStatus.SUSPENDED))
    assert stored(store, one.id).status is Status.SUSPENDED
    assert stored(store, one.id, end).status is Status.EXPIRED
    with store.begin() as tx:
        tx.contributions.withdraw(one.id, "other", NOON)
    for now in (NOON, end):
        found = stored(store, one.id, now)
        assert (found.status, found.withdrawn_at, found.withdrawal_reason) == (Status.WITHDRAWN, NOON, "other")


def test_known_is_the_lowest_active_one_of_the_same_member_and_set(store: Store, member: Member) -> None:
    with store.begin() as tx:
        other = tx.members.add(MemberDraft("Other", MemberKind.PLATFORM), NOON)
    sets = [draft(1, 2), draft(2, 1), draft(1), draft(3, expires_at=NOON + MICROSECOND)]
    ids = [one.id for one in add(store, member, *sets)]
    add(store, other, draft(4))
    prints = {one.fingerprint() for one in [*sets, draft(4), draft(5)]}

    def known(now: datetime = NOON) -> dict[bytes, int]:
        with store.read() as tx:
            found = tx.contributions.known({(member.id, each) for each in prints}, now)
        assert {owner for owner, _ in found} == {member.id}
        return {fingerprint: id for (_, fingerprint), id in found.items()}

    assert known() == {sets[0].fingerprint(): ids[0], sets[2].fingerprint(): ids[2], sets[3].fingerprint(): ids[3]}
    assert known(NOON + MICROSECOND).keys() == {sets[0].fingerprint(), sets[2].fingerprint()}
    with store.begin() as tx:
        tx.contributions.withdraw(ids[0], "other", NOON)
        tx.erasures.erase(ids[2], NOON, NOON)
    assert known(NOON + MICROSECOND) == {sets[0].fingerprint(): ids[1]}


def test_amending_changes_what_differs_and_names_it(store: Store, member: Member) -> None:
    (one,) = add(store, member, WHOLE)
    change = Amendment(
        labels=("incitement",), severity=None, basis="terms", context=(), incident=None, expires_at=NOON + MICROSECOND
    )
    with store.begin() as tx:
        names = tx.contributions.amend(one, change, NOON)
        amended = tx.contributions.one(one.id, NOON)
        assert tx.contributions.amend(amended, change, NOON) == tx.contributions.amend(amended, Amendment(), NOON) == ()
    assert names == ("context", "expires_at", "incident", "labels", "severity")
    assert amended == stored(store, one.id)
    assert amended == replace(
        one, labels=("incitement",), severity=None, context=(), incident=None, expires_at=NOON + MICROSECOND
    )


def test_contributions_are_counted_from_an_instant_on(store: Store, member: Member) -> None:
    for seconds in range(4):
        add(store, member, draft(1), now=NOON + timedelta(seconds=seconds))
    with store.read() as tx:
        counts = [tx.contributions.received_since(member.id, NOON + timedelta(seconds=s)) for s in (-1, 0, 2, 4)]
        assert tx.contributions.received_since(member.id + 1, NOON) == 0
    assert counts == [4, 4, 2, 0]


class TestPages:
    """Lists of contributions, chosen by a filter."""

    @pytest.fixture
    def other(self, store: Store) -> Member:
        with store.begin() as tx:
            return tx.members.add(MemberDraft("Other", MemberKind.PLATFORM), NOON)

    @pytest.fixture
    def ids(self, store: Store, member: Member, other: Member) -> list[int]:
        second = timedelta(seconds=1)
        added = [
            *add(store, member, draft(1), draft(2, labels=("manifesto", "incitement"))),
            *add(store, other, draft(3, labels=("incitement",)), now=NOON + second),
            *add(store, member, draft(4, expires_at=NOON + second), draft(5), now=NOON + 2 * second),
        ]
        with store.begin() as tx:
            tx.contributions.withdraw(added[4].id, "other", NOON)
        return [one.id for one in added]

    @pytest.mark.parametrize(
        ("chosen", "expected"),
        [
            (Filter(), [0, 1, 2, 3, 4]),
            (Filter(status=Status.ACTIVE), [0, 1, 2]),
            (Filter(status=Status.EXPIRED), [3]),
            (Filter(status=Status.WITHDRAWN), [4]),
            (Filter(status=Status.SUSPENDED), []),
            (Filter(standing=Standing.UNREVIEWED), [0, 1, 2, 3, 4]),
            (Filter(standing=Standing.RETIRED), []),
            (Filter(label="incitement"), [1, 2]),
            (Filter(label="incite"), []),
            (Filter(label="%"), []),
            (Filter(label="_______ment"), []),
            (Filter(since=NOON + timedelta(seconds=1)), [2, 3, 4]),
            (Filter(until=NOON + timedelta(seconds=1)), [0, 1]),
            (Filter(since=NOON + timedelta(seconds=1), until=NOON + timedelta(seconds=2)), [2]),
            (Filter(label="incitement", until=NOON + timedelta(seconds=1)), [1]),
        ],
    )
    def test_a_filter_lets_through_what_it_says(
        self, store: Store, ids: list[int], chosen: Filter, expected: list[int]
    ) -> None:
        with store.read() as tx:
            page = tx.contributions.page(chosen, 0, 100, NOON + timedelta(seconds=1))
        assert [ids.index(one.id) for one in page] == expected

    def test_a_member_is_chosen(self, store: Store, ids: list[int], other: Member) -> None:
        with store.read() as tx:
            page = tx.contributions.page(Filter(member=other.id), 0, 100, NOON)
        assert [one.id for one in page] == [ids[2]]

    def test_pages_follow_each_other(self, store: Store, ids: list[int]) -> None:
        seen: list[int] = []
        with store.read() as tx:
            while page := tx.contributions.page(Filter(), seen[-1] if seen else 0, 2, NOON):
                seen += [one.id for one in page]
        assert seen == ids


def test_signatures_come_back_in_their_order_and_apart_from_what_version_0_1_0_reads(
    store: Store, member: Member
) -> None:
    own = (signature(1), signature(1, Kind.COLOUR), signature(2))
    with store.begin() as tx:
        one, other = tx.contributions.add(member, [draft(1, 2, signatures=own), draft(3)], NOON)
        assert one.signatures == own
        assert {id: read.signatures for id, read in tx.contributions.get([one.id, other.id], NOON).items()} == {
            one.id: own,
            other.id: (),
        }
        assert tx.matches.stored_items([one.id, other.id]) == {
            one.id: StoredItem((signal(1), signal(2)), own),
            other.id: StoredItem((signal(3),)),
        }
        assert set(tx.connection.scalars(select(signals.c.algorithm))) == {"pdq"}


def test_digests_are_apart_from_what_version_0_1_0_reads_and_come_back_in_their_order(
    store: Store, member: Member
) -> None:
    mixed = [signal(1, Algorithm.MD5), signal(1), signal(1, Algorithm.SHA256), signal(2)]
    with store.begin() as tx:
        one, other = tx.contributions.add(member, [draft(*mixed), draft(*mixed[:1])], NOON)
        assert tx.contributions.signals([one.id, other.id]) == {one.id: tuple(mixed), other.id: tuple(mixed[:1])}
        assert set(tx.connection.scalars(select(signals.c.algorithm))) == {"pdq"}
        for algorithm, ids in ((Algorithm.MD5, [one.id, other.id]), (Algorithm.PDQ, [one.id])):
            chosen = tx.contributions.page(Filter(algorithm=algorithm), 0, 10, NOON)
            assert [contribution.id for contribution in chosen] == ids
        assert tx.matches.contributions_with(mixed[:2], 10) == {one.id: mixed[:2], other.id: mixed[:1]}
