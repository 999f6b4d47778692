"""What a match asks of the store."""

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

ANY = tuple(Standing)
PHASH = signal(1, Algorithm.PHASH)


def test_every_active_holder_of_a_value_is_found_once_a_signal(store: Store, member: Member) -> None:
    with store.begin() as tx:
        one, two, _ = tx.contributions.add(member, [draft(1, 2, PHASH), draft(2, severity=3), draft(9)], NOON)
        holders = tx.matches.holders({signal(2), PHASH, signal(7)}, NOON, ANY)
    assert {(holder.contribution, holder.signal) for holder in holders} == {
        (one.id, signal(2)),
        (one.id, PHASH),
        (two.id, signal(2)),
    }
    assert len(holders) == 3
    (held,) = (holder for holder in holders if holder.contribution == two.id)
    assert (held.member, held.severity, held.standing) == (member.id, 3, Standing.UNREVIEWED)
    assert held.details == MatchDetails(two.labels, (), two.removed_at, NOON)


def test_equal_values_of_two_algorithms_are_not_the_same(store: Store, member: Member) -> None:
    with store.begin() as tx:
        tx.contributions.add(member, [draft(signal(1))], NOON)
        assert tx.matches.holders([Signal(Algorithm.PHASH256, signal(1).value)], NOON, ANY) == []


def test_what_is_not_active_is_not_held(store: Store, member: Member) -> None:
    second = timedelta(seconds=1)
    with store.begin() as tx:
        added = tx.contributions.add(member, [draft(1), draft(1), draft(1, expires_at=NOON + second)], NOON)
        ids = [one.id for one in added]

        def held(at: datetime) -> list[int]:
            return sorted(one.contribution for one in tx.matches.holders([signal(1)], at, ANY))

        assert held(NOON) == ids
        tx.contributions.withdraw(ids[0], "other", NOON)
        assert held(NOON) == ids[1:]
        assert held(NOON + second) == ids[1:2]
        assert tx.matches.holders([signal(1)], NOON, [Standing.CONFIRMED]) == []
        tx.members.change(member.id, MemberChange(status=MemberStatus.SUSPENDED))
        assert held(NOON) == []
        assert tx.matches.holders([signal(1)], NOON, ANY) == []


def test_more_values_than_a_statement_takes_are_asked_for_in_pieces(store: Store, member: Member) -> None:
    seeds = range(1_200)
    with store.begin() as tx:
        added = tx.contributions.add(member, [draft(seed) for seed in seeds], NOON)
        every = [signal(seed) for seed in seeds]
        ids = [one.id for one in added]
        assert sorted(holder.contribution for holder in tx.matches.holders(every, NOON, ANY)) == ids
        assert len(tx.matches.holders(every, NOON, ANY, 700)) == 700
        assert len(tx.matches.holders(every, NOON, ANY, 500)) == 500
        assert sorted(holder.contribution for holder in tx.matches.holders(every, NOON, ANY, detailed=False)) == ids
        assert sorted(tx.matches.match_details(ids)) == ids


def test_what_is_said_of_holders_may_be_read_later(store: Store, member: Member) -> None:
    with store.begin() as tx:
        tx.contributions.add(member, [draft(1, PHASH, severity=3), draft(PHASH, context=("synthetic",))], NOON)
        found = [signal(1), PHASH]
        whole, thin = (tx.matches.holders(found, NOON, ANY, detailed=detailed) for detailed in (True, False))
        assert [one.details for one in thin] == [None] * 3
        details = tx.matches.match_details({one.contribution for one in thin})
        assert sorted(one._replace(details=details[one.contribution]) for one in thin) == sorted(whole)
        assert tx.matches.match_details([]) == {}


def test_which_algorithms_overrule_phash_is_told_by_contribution(store: Store, member: Member) -> None:
    wide, other = signal(1, Algorithm.PHASH256), signal(1, Algorithm.DHASH)
    with store.begin() as tx:
        drafts = [draft(1, 2, PHASH), draft(wide, PHASH), draft(1, wide), draft(PHASH, other)]
        ids = [one.id for one in tx.contributions.add(member, drafts, NOON)]
        assert tx.matches.overruling_algorithms(ids) == {
            ids[0]: {Algorithm.PDQ},
            ids[1]: {Algorithm.PHASH256},
            ids[2]: {Algorithm.PDQ, Algorithm.PHASH256},
        }
        assert tx.matches.overruling_algorithms([]) == {}


def test_the_index_gets_what_may_match_since_a_number(store: Store, member: Member) -> None:
    with store.begin() as tx:
        one, two, three = tx.contributions.add(member, [draft(1, PHASH), draft(1, 2), draft(3)], NOON)
        entries = [LogEntry(Action.CONTRIBUTION_ADDED, "contribution", added.id, {}) for added in (one, two, three)]
        entries[2:2] = [
            LogEntry(Action.CONTRIBUTION_ADDED, "member", three.id, {}),
            LogEntry(Action.CONTRIBUTION_WITHDRAWN, "contribution", three.id, {}),
            LogEntry(Action.CONTRIBUTION_EXPIRED, "contribution", three.id, {}),
        ]
        assert tx.audit.append(NOON, SYSTEM, entries) == 6
    first, second, third, phash = (one.to_bytes() for one in (signal(1), signal(2), signal(3), PHASH))

    def added(after: int, upto: int) -> dict[Algorithm, list[bytes]]:
        with store.read() as tx:
            found = tx.matches.added_values(after, upto)
        return {algorithm: sorted(values) for algorithm, values in found.items()}

    assert added(0, 6) == {Algorithm.PDQ: sorted([first, second, third]), Algorithm.PHASH: [phash]}
    assert added(1, 5) == {Algorithm.PDQ: sorted([first, second])}
    assert added(5, 6) == {Algorithm.PDQ: [third]}
    assert added(6, 6) == {}


# Whatever else is done to a contribution may let it match again, also what a later version does.
@pytest.mark.parametrize(
    "action",
    [Action.CONTRIBUTION_AMENDED, Action.CONTRIBUTION_REINSTATED, Action.CONTRIBUTION_CLEARED, "contribution.new"],
)
def test_the_index_gets_what_may_match_again(store: Store, member: Member, action: Action) -> None:
    with store.begin() as tx:
        one, two = tx.contributions.add(member, [draft(1), draft(2)], NOON)
        entries = [LogEntry(Action.CONTRIBUTION_ADDED, "contribution", added.id, {}) for added in (one, two)]
        assert tx.audit.append(NOON, SYSTEM, [*entries, LogEntry(action, "contribution", one.id, {})]) == 3
        assert tx.matches.added_values(2, 3) == {Algorithm.PDQ: [signal(1).to_bytes()]}


def test_the_index_is_filled_with_every_distinct_value(store: Store, member: Member) -> None:
    with store.begin() as tx:
        tx.contributions.add(member, [draft(1, PHASH), draft(1, 2), draft(3)], NOON)
    with store.read() as tx:
        assert tx.matches.count_signals() == 5
        every = b"".join(tx.matches.all_values(Algorithm.PDQ))
        assert sorted(every[at : at + 32] for at in range(0, len(every), 32)) == sorted(
            signal(seed).to_bytes() for seed in (1, 2, 3)
        )
        assert b"".join(tx.matches.all_values(Algorithm.PHASH)) == PHASH.to_bytes()
        assert list(tx.matches.all_values(Algorithm.AHASH)) == []


def test_very_many_values_are_read_in_parts(store: Store, member: Member) -> None:
    values = range(25_000)
    with store.begin() as tx:
        some = [Signal(Algorithm.PHASH, value) for value in values]
        tx.contributions.add(member, [draft(*some[start : start + 500]) for start in range(0, len(some), 500)], NOON)
    with store.read() as tx:
        parts = list(tx.matches.all_values(Algorithm.PHASH))
        octets = b"".join(parts)
        assert len(parts) > 1
        assert {int.from_bytes(octets[at : at + 8]) for at in range(0, len(octets), 8)} == set(values)
        assert len(octets) == 8 * len(values)
        assert tx.matches.count_signals() == len(values)


def test_a_value_lasts_as_long_as_one_contribution_of_it_may_match_now_or_later(store: Store, member: Member) -> None:
    with store.begin() as tx:
        added = tx.contributions.add(member, [draft(seed, expires_at=NOON) for seed in [*range(8), 1, 3, 6]], NOON)
        ids = [one.id for one in added]
        everything = [signal(seed).to_bytes() for seed in range(9)]
        assert not tx.matches.has_ended_contributions()
        assert tx.matches.lasting_values(Algorithm.PDQ, everything) == set(everything[:8])
        tx.contributions.withdraw(ids[0], "other", NOON)
        assert tx.matches.has_ended_contributions()
        tx.contributions.withdraw(ids[1], "other", NOON)
        tx.statuses.mark_logged(ids[2:4], Status.EXPIRED)
        tx.audit.append(NOON, SYSTEM, [LogEntry(Action.CONTRIBUTION_EXPIRED, "contribution", ids[2], {})])
        tx.statuses.mark_logged(ids[4:5], Status.SUSPENDED)
        tx.contributions.withdraw(ids[7], "other", NOON)
        tx.erasures.erase(ids[7], NOON, NOON)
        # 1 and 3 have another contribution, 4 is only suspended.
        lasting = {everything[seed] for seed in (1, 3, 4, 5, 6)}
        assert tx.matches.lasting_values(Algorithm.PDQ, everything) == lasting
        assert tx.matches.lasting_values(Algorithm.PDQ, everything[:2]) == {everything[1]}
        assert tx.matches.lasting_values(Algorithm.PHASH256, everything) == set()
        assert tx.matches.lasting_values(Algorithm.PDQ, []) == set()
        assert b"".join(tx.matches.all_values(Algorithm.PDQ, lasting=True)) == b"".join(sorted(lasting))


def test_a_value_lasts_that_the_log_told_to_have_expired_and_that_has_more_time(store: Store, member: Member) -> None:
    times = [NOON, NOON + timedelta(hours=1), None]
    with store.begin() as tx:
        added = tx.contributions.add(member, [draft(seed, expires_at=time) for seed, time in enumerate(times)], NOON)
        tx.statuses.mark_logged([one.id for one in added], Status.EXPIRED)
        everything = [signal(seed).to_bytes() for seed in range(3)]
        assert tx.matches.lasting_values(Algorithm.PDQ, everything) == set(everything)
        for hours, left in ((0, everything[1:]), (1, everything[2:])):
            entry = LogEntry(Action.CONTRIBUTION_EXPIRED, "contribution", added[0].id, {})
            tx.audit.append(NOON + timedelta(hours=hours), SYSTEM, [entry])
            assert tx.matches.lasting_values(Algorithm.PDQ, everything) == set(left)


def test_a_value_lasts_whatever_the_standing(store: Store, member: Member) -> None:
    with store.begin() as tx:
        added = tx.contributions.add(member, [draft(seed) for seed in range(len(Standing))], NOON)
        for one, standing in zip(added, Standing, strict=True):
            tx.statuses.set_standing([one.id], standing)
        values = {standing: signal(seed).to_bytes() for seed, standing in enumerate(Standing)}
        assert tx.matches.lasting_values(Algorithm.PDQ, list(values.values())) == set(values.values())
        for one in added:
            tx.contributions.withdraw(one.id, "other", NOON)
        assert tx.matches.lasting_values(Algorithm.PDQ, list(values.values())) == set()
        assert tx.matches.has_ended_contributions()


def test_confirmations_are_counted_by_member_while_they_count(store: Store, member: Member) -> None:
    confirm, dispute = OpinionDraft(Stance.CONFIRMS), OpinionDraft(Stance.DISPUTES, "other")
    with store.begin() as tx:
        one, two, three = (added.id for added in tx.contributions.add(member, [draft(i) for i in range(3)], NOON))
        others = [tx.members.add(MemberDraft(f"Other {i}", MemberKind.PLATFORM), NOON).id for i in range(3)]
        for contribution, other, said in ((one, 0, confirm), (one, 1, confirm), (one, 2, dispute), (two, 0, confirm)):
            tx.opinions.add(contribution, others[other], said, None, NOON)
        assert tx.matches.confirming_members([one, two, three]) == {one: {others[0], others[1]}, two: {others[0]}}
        tx.opinions.add(one, others[0], dispute, None, NOON)
        tx.members.change(others[1], MemberChange(status=MemberStatus.SUSPENDED))
        assert tx.matches.confirming_members([one, two]) == {two: {others[0]}}


def test_what_was_added_is_looked_up_by_the_numbers_of_its_events(tmp_path: Path) -> None:
    """Not by reading the whole log, which each worker would do after each contribution."""
    url = f"sqlite:///{tmp_path / 'hashdb.sqlite'}"
    store = Store(url)
    store.migrate()
    store.close()
    engine = create_engine(url)
    for query in matches._ADDED:
        asked = query.params(after=1, upto=2).compile(engine, compile_kwargs={"literal_binds": True})
        with engine.connect() as connection:
            steps = [str(row[3]) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {asked}")]
        assert "SEARCH events USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)" in steps
    engine.dispose()
