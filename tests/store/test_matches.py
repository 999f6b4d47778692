"""What a match asks of the store."""

from __future__ import annotations

from datetime import timedelta

from hashdb.domain.audit import Action, Entry
from hashdb.domain.contributions import Standing, Status
from hashdb.domain.members import SYSTEM, Member, MemberChange, MemberStatus
from hashdb.domain.signals import Algorithm, Signal
from hashdb.store import Store
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
    assert (held.member, held.labels, held.severity) == (member.id, two.labels, 3)
    assert (held.standing, held.context) == (Standing.UNREVIEWED, ())
    assert (held.removed_at, held.received_at) == (two.removed_at, NOON)


def test_equal_values_of_two_algorithms_are_not_the_same(store: Store, member: Member) -> None:
    with store.begin() as tx:
        tx.contributions.add(member, [draft(signal(1))], NOON)
        assert tx.matches.holders([Signal(Algorithm.PHASH256, signal(1).value)], NOON, ANY) == []


def test_what_is_not_active_is_not_held(store: Store, member: Member) -> None:
    second = timedelta(seconds=1)
    with store.begin() as tx:
        added = tx.contributions.add(member, [draft(1), draft(1), draft(1, expires_at=NOON + second)], NOON)
        ids = [one.id for one in added]
        assert tx.matches.holding([signal(1)], [signal(1)], NOON, ANY, 10) == ids
        tx.contributions.withdraw(ids[0], "other", NOON)
        assert tx.matches.holding([signal(1)], [signal(1)], NOON, ANY, 10) == ids[1:]
        assert tx.matches.holding([signal(1)], [signal(1)], NOON + second, ANY, 10) == ids[1:2]
        assert tx.matches.holding([signal(1)], [signal(1)], NOON, [Standing.CONFIRMED], 10) == []
        tx.members.change(member.id, MemberChange(status=MemberStatus.SUSPENDED))
        assert tx.matches.holding([signal(1)], [signal(1)], NOON, ANY, 10) == []
        assert tx.matches.holders([signal(1)], NOON, ANY) == []


def test_more_values_than_a_statement_takes_are_asked_for_in_pieces(store: Store, member: Member) -> None:
    seeds = range(1_200)
    with store.begin() as tx:
        added = tx.contributions.add(member, [draft(seed) for seed in seeds], NOON)
        every = [signal(seed) for seed in seeds]
        ids = [one.id for one in added]
        assert sorted(holder.contribution for holder in tx.matches.holders(every, NOON, ANY)) == ids
        assert tx.matches.holding(every, every, NOON, ANY, 2_000) == ids
        assert tx.matches.holding(every, every, NOON, ANY, 3) == ids[:3]
        assert len(tx.matches.holders(every, NOON, ANY, 700)) == 700
        chosen = tx.matches.holders(every, NOON, ANY, only=ids[100:800])
        assert sorted(holder.contribution for holder in chosen) == ids[100:800]
        assert tx.matches.holders(every, NOON, ANY, only=[]) == []


def test_the_index_gets_what_was_added_between_two_numbers(store: Store, member: Member) -> None:
    with store.begin() as tx:
        one, two, three = tx.contributions.add(member, [draft(1, PHASH), draft(1, 2), draft(3)], NOON)
        entries = [Entry(Action.CONTRIBUTION_ADDED, "contribution", added.id, {}) for added in (one, two, three)]
        entries[2:2] = [
            Entry(Action.CONTRIBUTION_ADDED, "member", three.id, {}),
            Entry(Action.CONTRIBUTION_AMENDED, "contribution", three.id, {}),
        ]
        assert tx.audit.append(NOON, SYSTEM, entries) == 5
    with store.read() as tx:
        octets = {seed: signal(seed).to_bytes() for seed in (1, 2, 3)}
        assert sorted(tx.matches.added(1, 4)[Algorithm.PDQ]) == sorted([octets[1], octets[2]])
        assert tx.matches.added(4, 5) == {Algorithm.PDQ: [octets[3]]}
        assert tx.matches.added(5, 5) == {}
        every = b"".join(tx.matches.every(Algorithm.PDQ))
        assert sorted(every[start : start + 32] for start in range(0, len(every), 32)) == sorted(octets.values())
        assert b"".join(tx.matches.every(Algorithm.PHASH)) == PHASH.to_bytes()
        assert tx.matches.count() == 5


def test_a_value_lasts_while_any_contribution_of_it_may_match_now_or_later(store: Store, member: Member) -> None:
    with store.begin() as tx:
        ids = [one.id for one in tx.contributions.add(member, [draft(1), draft(1), draft(2), draft(3)], NOON)]
        octets = [signal(seed).to_bytes() for seed in (1, 2, 3)]
        assert not tx.matches.ended()
        tx.contributions.withdraw(ids[0], "other", NOON)
        tx.members.change(member.id, MemberChange(status=MemberStatus.SUSPENDED))
        assert tx.matches.ended()
        assert tx.matches.lasting(Algorithm.PDQ, octets) == set(octets)
        tx.contributions.withdraw(ids[1], "other", NOON)
        tx.statuses.announce([ids[2]], Status.EXPIRED)
        assert tx.matches.lasting(Algorithm.PDQ, octets) == {octets[2]}
