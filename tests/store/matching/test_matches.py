"""The reads of a match from the store."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from hashdb.domain.accounts.members import SYSTEM, Member, MemberChange, MemberDraft, MemberKind, MemberStatus
from hashdb.domain.contributions import Standing, Status
from hashdb.domain.ledger.events import Action, LogEntry
from hashdb.domain.matching.matches import MatchDetails
from hashdb.domain.review.cases import OpinionDraft, Stance
from hashdb.domain.signals import Algorithm, Signal
from hashdb.store import Store
from hashdb.store.matching import matches
from tests.builders import NOON, draft, signal

ALL_STANDINGS = tuple(Standing)
PHASH = signal(1, Algorithm.PHASH)


def test_holders_returns_each_active_contribution_once_per_signal(store: Store, member: Member) -> None:
    with store.begin() as tx:
        first, second, _ = tx.contributions.add(member, [draft(1, 2, PHASH), draft(2, severity=3), draft(9)], NOON)
        holders = tx.matches.holders({signal(2), PHASH, signal(7)}, NOON, ALL_STANDINGS)
    assert {(holder.contribution, holder.signal) for holder in holders} == {
        (first.id, signal(2)),
        (first.id, PHASH),
        (second.id, signal(2)),
    }
    assert len(holders) == 3
    (holder_of_second,) = (holder for holder in holders if holder.contribution == second.id)
    assert (holder_of_second.member, holder_of_second.severity, holder_of_second.standing) == (
        member.id,
        3,
        Standing.UNREVIEWED,
    )
    assert holder_of_second.details == MatchDetails(second.labels, (), second.removed_at, NOON)


def test_the_same_value_of_another_algorithm_has_no_holders(store: Store, member: Member) -> None:
    with store.begin() as tx:
        tx.contributions.add(member, [draft(signal(1))], NOON)
        assert tx.matches.holders([Signal(Algorithm.PHASH256, signal(1).value)], NOON, ALL_STANDINGS) == []


def test_holders_returns_no_inactive_contributions(store: Store, member: Member) -> None:
    second = timedelta(seconds=1)
    with store.begin() as tx:
        added = tx.contributions.add(member, [draft(1), draft(1), draft(1, expires_at=NOON + second)], NOON)
        ids = [each.id for each in added]

        def holder_ids(now: datetime) -> list[int]:
            return sorted(each.contribution for each in tx.matches.holders([signal(1)], now, ALL_STANDINGS))

        assert holder_ids(NOON) == ids
        tx.contributions.withdraw(ids[0], "other", NOON)
        assert holder_ids(NOON) == ids[1:]
        assert holder_ids(NOON + second) == ids[1:2]
        assert tx.matches.holders([signal(1)], NOON, [Standing.CONFIRMED]) == []
        tx.members.change(member.id, MemberChange(status=MemberStatus.SUSPENDED))
        assert holder_ids(NOON) == []
        assert tx.matches.holders([signal(1)], NOON, ALL_STANDINGS) == []


def test_more_values_than_a_statement_accepts_are_read_in_chunks(store: Store, member: Member) -> None:
    seeds = range(1_200)
    with store.begin() as tx:
        added = tx.contributions.add(member, [draft(seed) for seed in seeds], NOON)
        values = [signal(seed) for seed in seeds]
        ids = [each.id for each in added]
        assert sorted(holder.contribution for holder in tx.matches.holders(values, NOON, ALL_STANDINGS)) == ids
        assert len(tx.matches.holders(values, NOON, ALL_STANDINGS, 700)) == 700
        assert len(tx.matches.holders(values, NOON, ALL_STANDINGS, 500)) == 500
        assert (
            sorted(holder.contribution for holder in tx.matches.holders(values, NOON, ALL_STANDINGS, detailed=False))
            == ids
        )
        assert sorted(tx.matches.match_details(ids)) == ids


def test_details_of_holders_can_be_read_separately(store: Store, member: Member) -> None:
    with store.begin() as tx:
        tx.contributions.add(member, [draft(1, PHASH, severity=3), draft(PHASH, context=("synthetic",))], NOON)
        values = [signal(1), PHASH]
        with_details, without_details = (
            tx.matches.holders(values, NOON, ALL_STANDINGS, detailed=detailed) for detailed in (True, False)
        )
        assert [each.details for each in without_details] == [None] * 3
        details = tx.matches.match_details({each.contribution for each in without_details})
        assert sorted(each._replace(details=details[each.contribution]) for each in without_details) == sorted(
            with_details
        )
        assert tx.matches.match_details([]) == {}


def test_overruling_algorithms_are_returned_by_contribution(store: Store, member: Member) -> None:
    wide, not_overruling = signal(1, Algorithm.PHASH256), signal(1, Algorithm.DHASH)
    with store.begin() as tx:
        drafts = [draft(1, 2, PHASH), draft(wide, PHASH), draft(1, wide), draft(PHASH, not_overruling)]
        ids = [each.id for each in tx.contributions.add(member, drafts, NOON)]
        assert tx.matches.overruling_algorithms(ids) == {
            ids[0]: {Algorithm.PDQ},
            ids[1]: {Algorithm.PHASH256},
            ids[2]: {Algorithm.PDQ, Algorithm.PHASH256},
        }
        assert tx.matches.overruling_algorithms([]) == {}


def test_added_values_returns_the_values_added_between_two_events(store: Store, member: Member) -> None:
    with store.begin() as tx:
        first_item, second_item, third_item = tx.contributions.add(
            member, [draft(1, PHASH), draft(1, 2), draft(3)], NOON
        )
        entries = [
            LogEntry(Action.CONTRIBUTION_ADDED, "contribution", added.id, {})
            for added in (first_item, second_item, third_item)
        ]
        entries[2:2] = [
            LogEntry(Action.CONTRIBUTION_ADDED, "member", third_item.id, {}),
            LogEntry(Action.CONTRIBUTION_WITHDRAWN, "contribution", third_item.id, {}),
            LogEntry(Action.CONTRIBUTION_EXPIRED, "contribution", third_item.id, {}),
        ]
        assert tx.audit.append(NOON, SYSTEM, entries) == 6
    first, second, third, phash = (value.to_bytes() for value in (signal(1), signal(2), signal(3), PHASH))

    def added(after: int, upto: int) -> dict[Algorithm, list[bytes]]:
        with store.read() as tx:
            values = tx.matches.added_values(after, upto)
        return {algorithm: sorted(octets) for algorithm, octets in values.items()}

    assert added(0, 6) == {Algorithm.PDQ: sorted([first, second, third]), Algorithm.PHASH: [phash]}
    assert added(1, 5) == {Algorithm.PDQ: sorted([first, second])}
    assert added(5, 6) == {Algorithm.PDQ: [third]}
    assert added(6, 6) == {}


# Any other event of a contribution may let it match again, also events of later versions.
@pytest.mark.parametrize(
    "action",
    [Action.CONTRIBUTION_AMENDED, Action.CONTRIBUTION_REINSTATED, Action.CONTRIBUTION_CLEARED, "contribution.new"],
)
def test_added_values_returns_the_values_that_may_match_again(store: Store, member: Member, action: Action) -> None:
    with store.begin() as tx:
        first, second = tx.contributions.add(member, [draft(1), draft(2)], NOON)
        entries = [LogEntry(Action.CONTRIBUTION_ADDED, "contribution", added.id, {}) for added in (first, second)]
        assert tx.audit.append(NOON, SYSTEM, [*entries, LogEntry(action, "contribution", first.id, {})]) == 3
        assert tx.matches.added_values(2, 3) == {Algorithm.PDQ: [signal(1).to_bytes()]}


def test_all_values_returns_every_distinct_value_once(store: Store, member: Member) -> None:
    with store.begin() as tx:
        tx.contributions.add(member, [draft(1, PHASH), draft(1, 2), draft(3)], NOON)
    with store.read() as tx:
        assert tx.matches.count_signals() == 5
        octets = b"".join(tx.matches.all_values(Algorithm.PDQ))
        assert sorted(octets[at : at + 32] for at in range(0, len(octets), 32)) == sorted(
            signal(seed).to_bytes() for seed in (1, 2, 3)
        )
        assert b"".join(tx.matches.all_values(Algorithm.PHASH)) == PHASH.to_bytes()
        assert list(tx.matches.all_values(Algorithm.AHASH)) == []


def test_all_values_returns_many_values_in_parts(store: Store, member: Member) -> None:
    values = range(25_000)
    with store.begin() as tx:
        stored = [Signal(Algorithm.PHASH, value) for value in values]
        tx.contributions.add(
            member, [draft(*stored[start : start + 500]) for start in range(0, len(stored), 500)], NOON
        )
    with store.read() as tx:
        parts = list(tx.matches.all_values(Algorithm.PHASH))
        octets = b"".join(parts)
        assert len(parts) > 1
        assert {int.from_bytes(octets[at : at + 8]) for at in range(0, len(octets), 8)} == set(values)
        assert len(octets) == 8 * len(values)
        assert tx.matches.count_signals() == len(values)


def test_a_value_lasts_while_one_of_its_contributions_may_still_match(store: Store, member: Member) -> None:
    with store.begin() as tx:
        added = tx.contributions.add(member, [draft(seed, expires_at=NOON) for seed in [*range(8), 1, 3, 6]], NOON)
        ids = [each.id for each in added]
        values = [signal(seed).to_bytes() for seed in range(9)]
        assert not tx.matches.has_ended_contributions()
        assert tx.matches.lasting_values(Algorithm.PDQ, values) == set(values[:8])
        tx.contributions.withdraw(ids[0], "other", NOON)
        assert tx.matches.has_ended_contributions()
        tx.contributions.withdraw(ids[1], "other", NOON)
        tx.statuses.mark_logged(ids[2:4], Status.EXPIRED)
        tx.audit.append(NOON, SYSTEM, [LogEntry(Action.CONTRIBUTION_EXPIRED, "contribution", ids[2], {})])
        tx.statuses.mark_logged(ids[4:5], Status.SUSPENDED)
        tx.contributions.withdraw(ids[7], "other", NOON)
        tx.erasures.erase(ids[7], NOON, NOON)
        # Values 1 and 3 are also in another contribution; the contribution of value 4 is only suspended.
        lasting = {values[seed] for seed in (1, 3, 4, 5, 6)}
        assert tx.matches.lasting_values(Algorithm.PDQ, values) == lasting
        assert tx.matches.lasting_values(Algorithm.PDQ, values[:2]) == {values[1]}
        assert tx.matches.lasting_values(Algorithm.PHASH256, values) == set()
        assert tx.matches.lasting_values(Algorithm.PDQ, []) == set()
        assert b"".join(tx.matches.all_values(Algorithm.PDQ, lasting=True)) == b"".join(sorted(lasting))


def test_a_value_lasts_if_its_expired_contribution_has_a_later_expiry_now(store: Store, member: Member) -> None:
    times = [NOON, NOON + timedelta(hours=1), None]
    with store.begin() as tx:
        added = tx.contributions.add(member, [draft(seed, expires_at=time) for seed, time in enumerate(times)], NOON)
        tx.statuses.mark_logged([each.id for each in added], Status.EXPIRED)
        values = [signal(seed).to_bytes() for seed in range(3)]
        assert tx.matches.lasting_values(Algorithm.PDQ, values) == set(values)
        for hours, lasting in ((0, values[1:]), (1, values[2:])):
            entry = LogEntry(Action.CONTRIBUTION_EXPIRED, "contribution", added[0].id, {})
            tx.audit.append(NOON + timedelta(hours=hours), SYSTEM, [entry])
            assert tx.matches.lasting_values(Algorithm.PDQ, values) == set(lasting)


def test_a_value_lasts_with_every_standing_until_the_withdrawal(store: Store, member: Member) -> None:
    with store.begin() as tx:
        added = tx.contributions.add(member, [draft(seed) for seed in range(len(Standing))], NOON)
        for contribution, standing in zip(added, Standing, strict=True):
            tx.statuses.set_standing([contribution.id], standing)
        values = {standing: signal(seed).to_bytes() for seed, standing in enumerate(Standing)}
        assert tx.matches.lasting_values(Algorithm.PDQ, list(values.values())) == set(values.values())
        for contribution in added:
            tx.contributions.withdraw(contribution.id, "other", NOON)
        assert tx.matches.lasting_values(Algorithm.PDQ, list(values.values())) == set()
        assert tx.matches.has_ended_contributions()


def test_confirming_members_returns_members_whose_confirmation_counts(store: Store, member: Member) -> None:
    confirm, dispute = OpinionDraft(Stance.CONFIRMS), OpinionDraft(Stance.DISPUTES, "other")
    with store.begin() as tx:
        first, second, third = (added.id for added in tx.contributions.add(member, [draft(i) for i in range(3)], NOON))
        others = [tx.members.add(MemberDraft(f"Other {i}", MemberKind.PLATFORM), NOON).id for i in range(3)]
        for contribution, other, opinion in (
            (first, 0, confirm),
            (first, 1, confirm),
            (first, 2, dispute),
            (second, 0, confirm),
        ):
            tx.opinions.add(contribution, others[other], opinion, None, NOON)
        assert tx.matches.confirming_members([first, second, third]) == {
            first: {others[0], others[1]},
            second: {others[0]},
        }
        tx.opinions.add(first, others[0], dispute, None, NOON)
        tx.members.change(others[1], MemberChange(status=MemberStatus.SUSPENDED))
        assert tx.matches.confirming_members([first, second]) == {second: {others[0]}}


def test_added_values_searches_the_events_by_their_primary_key(tmp_path: Path) -> None:
    """Each worker runs this query after each contribution, so it must not read the whole log."""
    url = f"sqlite:///{tmp_path / 'hashdb.sqlite'}"
    store = Store(url)
    store.migrate()
    store.close()
    engine = create_engine(url)
    for query in matches._ADDED:
        statement = query.params(after=1, upto=2).compile(engine, compile_kwargs={"literal_binds": True})
        with engine.connect() as connection:
            steps = [str(row[3]) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}")]
        assert "SEARCH events USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)" in steps
    engine.dispose()
