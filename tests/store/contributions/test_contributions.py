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
FULL = Draft(
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
    reference="own: ид-№1 'quoted' \\ 100 %",
    expires_at=datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC),
)
MINIMAL = Draft(signals=(Signal(Algorithm.PHASH, 0),), labels=("manifesto",), removed_at=None)


def add(store: Store, member: Member, *drafts: Draft, now: datetime = NOON) -> tuple[Contribution, ...]:
    with store.begin() as tx:
        return tx.contributions.add(member, drafts, now)


def stored(store: Store, id: int, now: datetime = NOON) -> Contribution:
    with store.read() as tx:
        return tx.contributions.one(id, now)


def test_every_field_of_a_draft_is_returned(store: Store, member: Member) -> None:
    added = add(store, member, FULL, MINIMAL)
    for sent, contribution in zip((FULL, MINIMAL), added, strict=True):
        read = stored(store, contribution.id)
        assert read == contribution
        assert {field.name: getattr(read, field.name) for field in fields(sent)} == {
            field.name: getattr(sent, field.name) for field in fields(sent)
        }
        assert (read.status, read.standing, read.received_at) == (Status.ACTIVE, Standing.UNREVIEWED, NOON)
        assert (read.member, read.member_name) == (member.id, "Example")


def test_many_drafts_are_stored_in_order(store: Store, member: Member) -> None:
    added = add(store, member, *[draft(seed) for seed in range(1_100)])
    ids = [each.id for each in added]
    assert ids == sorted(set(ids))
    with store.read() as tx:
        contributions = tx.contributions.get(ids, NOON)
    assert {id: contribution.signals for id, contribution in contributions.items()} == {
        id: (signal(seed),) for seed, id in enumerate(ids)
    }


def test_empty_lists_are_accepted(store: Store, member: Member) -> None:
    assert add(store, member) == ()
    with store.read() as tx:
        assert tx.contributions.get([], NOON) == {}
        assert tx.contributions.signals([]) == {}


def test_an_unknown_contribution_is_reported(store: Store, member: Member) -> None:
    add(store, member, draft(1))
    for lock in (False, True):
        with store.begin() as tx, pytest.raises(NotFound, match=r"^contribution 99 does not exist$"):
            tx.contributions.one(99, NOON, lock=lock)
    with store.read() as tx:
        assert list(tx.contributions.get([99, 1, 1], NOON)) == [1]


def test_an_id_is_never_reused(store: Store, member: Member) -> None:
    (erased,) = add(store, member, draft(1))
    with store.begin() as tx:
        tx.erasures.erase(erased.id, NOON, NOON)
    (next_one,) = add(store, member, draft(1))
    assert next_one.id > erased.id


def test_the_status_depends_on_the_time_and_the_member(store: Store, member: Member) -> None:
    (contribution,) = add(store, member, draft(1, expires_at=NOON + timedelta(hours=1)))
    end = NOON + timedelta(hours=1)
    assert stored(store, contribution.id, end - MICROSECOND).status is Status.ACTIVE
    assert stored(store, contribution.id, end).status is Status.EXPIRED
    with store.begin() as tx:
        tx.members.change(member.id, MemberChange(status=MemberStatus.SUSPENDED))
    assert stored(store, contribution.id).status is Status.SUSPENDED
    assert stored(store, contribution.id, end).status is Status.EXPIRED
    with store.begin() as tx:
        tx.contributions.withdraw(contribution.id, "other", NOON)
    for now in (NOON, end):
        read = stored(store, contribution.id, now)
        assert (read.status, read.withdrawn_at, read.withdrawal_reason) == (Status.WITHDRAWN, NOON, "other")


def test_known_returns_the_oldest_active_contribution_of_member_and_set(store: Store, member: Member) -> None:
    with store.begin() as tx:
        other = tx.members.add(MemberDraft("Other", MemberKind.PLATFORM), NOON)
    sets = [draft(1, 2), draft(2, 1), draft(1), draft(3, expires_at=NOON + MICROSECOND)]
    ids = [each.id for each in add(store, member, *sets)]
    add(store, other, draft(4))
    fingerprints = {each.fingerprint() for each in [*sets, draft(4), draft(5)]}

    def known(now: datetime = NOON) -> dict[bytes, int]:
        with store.read() as tx:
            ids_by_set = tx.contributions.known({(member.id, each) for each in fingerprints}, now)
        assert {member_id for member_id, _ in ids_by_set} == {member.id}
        return {fingerprint: id for (_, fingerprint), id in ids_by_set.items()}

    assert known() == {sets[0].fingerprint(): ids[0], sets[2].fingerprint(): ids[2], sets[3].fingerprint(): ids[3]}
    assert known(NOON + MICROSECOND).keys() == {sets[0].fingerprint(), sets[2].fingerprint()}
    with store.begin() as tx:
        tx.contributions.withdraw(ids[0], "other", NOON)
        tx.erasures.erase(ids[2], NOON, NOON)
    assert known(NOON + MICROSECOND) == {sets[0].fingerprint(): ids[1]}


def test_amend_changes_only_differing_fields_and_returns_their_names(store: Store, member: Member) -> None:
    (contribution,) = add(store, member, FULL)
    change = Amendment(
        labels=("incitement",), severity=None, basis="terms", context=(), incident=None, expires_at=NOON + MICROSECOND
    )
    with store.begin() as tx:
        names = tx.contributions.amend(contribution, change, NOON)
        amended = tx.contributions.one(contribution.id, NOON)
        assert tx.contributions.amend(amended, change, NOON) == tx.contributions.amend(amended, Amendment(), NOON) == ()
    assert names == ("context", "expires_at", "incident", "labels", "severity")
    assert amended == stored(store, contribution.id)
    assert amended == replace(
        contribution, labels=("incitement",), severity=None, context=(), incident=None, expires_at=NOON + MICROSECOND
    )


def test_received_since_counts_from_the_given_time_on(store: Store, member: Member) -> None:
    for seconds in range(4):
        add(store, member, draft(1), now=NOON + timedelta(seconds=seconds))
    with store.read() as tx:
        counts = [tx.contributions.received_since(member.id, NOON + timedelta(seconds=s)) for s in (-1, 0, 2, 4)]
        assert tx.contributions.received_since(member.id + 1, NOON) == 0
    assert counts == [4, 4, 2, 0]


class TestPages:
    """Pages of contributions with a filter."""

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
        return [contribution.id for contribution in added]

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
    def test_a_filter_selects_the_expected_contributions(
        self, store: Store, ids: list[int], chosen: Filter, expected: list[int]
    ) -> None:
        with store.read() as tx:
            page = tx.contributions.page(chosen, 0, 100, NOON + timedelta(seconds=1))
        assert [ids.index(contribution.id) for contribution in page] == expected

    def test_a_filter_selects_the_contributions_of_a_member(self, store: Store, ids: list[int], other: Member) -> None:
        with store.read() as tx:
            page = tx.contributions.page(Filter(member=other.id), 0, 100, NOON)
        assert [contribution.id for contribution in page] == [ids[2]]

    def test_consecutive_pages_return_all_contributions_once(self, store: Store, ids: list[int]) -> None:
        read: list[int] = []
        with store.read() as tx:
            while page := tx.contributions.page(Filter(), read[-1] if read else 0, 2, NOON):
                read += [contribution.id for contribution in page]
        assert read == ids


def test_signatures_keep_their_order_and_version_0_1_0_does_not_read_them(store: Store, member: Member) -> None:
    own = (signature(1), signature(1, Kind.COLOUR), signature(2))
    with store.begin() as tx:
        signed, unsigned = tx.contributions.add(member, [draft(1, 2, signatures=own), draft(3)], NOON)
        assert signed.signatures == own
        assert {id: read.signatures for id, read in tx.contributions.get([signed.id, unsigned.id], NOON).items()} == {
            signed.id: own,
            unsigned.id: (),
        }
        assert tx.matches.stored_items([signed.id, unsigned.id]) == {
            signed.id: StoredItem((signal(1), signal(2)), own),
            unsigned.id: StoredItem((signal(3),)),
        }
        assert set(tx.connection.scalars(select(signals.c.algorithm))) == {"pdq"}


def test_digests_keep_their_order_and_version_0_1_0_does_not_read_them(store: Store, member: Member) -> None:
    mixed = [signal(1, Algorithm.MD5), signal(1), signal(1, Algorithm.SHA256), signal(2)]
    with store.begin() as tx:
        with_all, digest_only = tx.contributions.add(member, [draft(*mixed), draft(*mixed[:1])], NOON)
        assert tx.contributions.signals([with_all.id, digest_only.id]) == {
            with_all.id: tuple(mixed),
            digest_only.id: tuple(mixed[:1]),
        }
        assert set(tx.connection.scalars(select(signals.c.algorithm))) == {"pdq"}
        for algorithm, ids in ((Algorithm.MD5, [with_all.id, digest_only.id]), (Algorithm.PDQ, [with_all.id])):
            chosen = tx.contributions.page(Filter(algorithm=algorithm), 0, 10, NOON)
            assert [contribution.id for contribution in chosen] == ids
        assert tx.matches.contributions_with(mixed[:2], 10) == {with_all.id: mixed[:2], digest_only.id: mixed[:1]}
