"""Masked signals in SQL: out of the table of signals, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event

from hashdb.domain.accounts.members import Member, MemberDraft, MemberKind
from hashdb.domain.matching.benign import BenignDraft
from hashdb.domain.signals import Algorithm
from hashdb.store import Store
from hashdb.store.matching.benign import PlacedSignal
from tests.builders import NOON, draft, near, signal, video


def test_signals_are_masked_assigned_and_unmasked(store: Store, member: Member) -> None:
    with store.begin() as tx:
        one, two = tx.contributions.add(member, [draft(1, 2, 3), draft(2)], NOON)
        first, second = (tx.benign.add(BenignDraft((signal(9),)), NOON).id for _ in range(2))
        assert tx.suppressions.contributions_with({signal(2), signal(7), near(signal(2), 1)}) == [one.id, two.id]
        held = list(tx.suppressions.lock_unsuppressed([one.id, two.id], {signal(2), signal(7), signal(3), signal(9)}))
        assert held == [
            PlacedSignal(one.id, 1, signal(2)),
            PlacedSignal(one.id, 2, signal(3)),
            PlacedSignal(two.id, 0, signal(2)),
        ]
        tx.suppressions.suppress(held, first)
        assert tx.contributions.signals([one.id, two.id]) == {one.id: (signal(1),)}
        assert tx.suppressions.lock_suppressed(first, 1) == tuple(held[:2])
        tx.suppressions.assign(held[:1], second)
    with store.begin() as tx:
        assert (tx.suppressions.lock_suppressed(first, 9), tx.suppressions.lock_suppressed(second, 9)) == (
            tuple(held[1:]),
            (held[0],),
        )
        found = tx.contributions.get([one.id, two.id], NOON)
        assert (found[one.id].masked, found[two.id].masked) == (2, 1)
        assert tx.suppressions.contributions_with({signal(2)}) == []
        tx.suppressions.restore(
            [*tx.suppressions.lock_suppressed(first, 9), *tx.suppressions.lock_suppressed(second, 9)]
        )
        assert tx.contributions.signals([one.id, two.id]) == {one.id: one.signals, two.id: two.signals}


def test_many_are_masked_at_once(store: Store, member: Member) -> None:
    with store.begin() as tx:
        added = tx.contributions.add(member, [draft(seed, seed + 1) for seed in range(0, 1300, 2)], NOON)
        entry = tx.benign.add(BenignDraft((signal(1),)), NOON).id
        ids = tx.suppressions.contributions_with({signal for one in added for signal in one.signals})
        assert ids == [one.id for one in added]
        tx.suppressions.suppress(
            tx.suppressions.lock_unsuppressed(ids, {signal for one in added for signal in one.signals}), entry
        )
        assert b"".join(tx.matches.all_values(Algorithm.PDQ)) == b""
        assert len(tx.suppressions.lock_suppressed(entry, 5000)) == 1300


def test_many_values_of_many_contributions_are_not_looked_up_by_pairs(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'hashdb.sqlite'}"
    asked: list[tuple[str, Any]] = []

    def note(*said: Any) -> None:
        if "FROM signals" in said[2]:
            asked.append((said[2], said[3]))

    store = Store(url)
    store.migrate()
    with store.begin() as tx:
        member = tx.members.add(MemberDraft("Member", MemberKind.PLATFORM), NOON)
        one, two = (added.id for added in tx.contributions.add(member, [video(1, 2), video(2, 3)], NOON))
    event.listen(Engine, "before_cursor_execute", note)
    try:
        with store.read() as tx:
            assert len(list(tx.suppressions.unsuppressed([one], {signal(1), signal(2)}))) == 2
            assert len(tx.matches.times({one: {signal(1), signal(2)}, two: {signal(2)}})) == 3
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    store.close()
    engine = create_engine(url)
    with engine.connect() as connection:
        steps = [
            str(row[3])
            for text, values in asked
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values)
        ]
    engine.dispose()
    found = [step for step in steps if "SEARCH signals" in step]
    assert len(found) == 2
    assert all(step.endswith("(algorithm=? AND value=?)") for step in found), steps
