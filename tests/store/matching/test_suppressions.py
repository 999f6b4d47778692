"""Suppressed signals in SQL: they leave the table of signals, and return to it."""

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


def test_signals_are_suppressed_assigned_to_another_entry_and_restored(store: Store, member: Member) -> None:
    with store.begin() as tx:
        three_signals, one_signal = tx.contributions.add(member, [draft(1, 2, 3), draft(2)], NOON)
        first, second = (tx.benign.add(BenignDraft((signal(9),)), NOON).id for _ in range(2))
        assert tx.suppressions.contributions_with({signal(2), signal(7), near(signal(2), 1)}) == [
            three_signals.id,
            one_signal.id,
        ]
        held = list(
            tx.suppressions.unsuppressed(
                [three_signals.id, one_signal.id], {signal(2), signal(7), signal(3), signal(9)}
            )
        )
        assert held == [
            PlacedSignal(three_signals.id, 1, signal(2)),
            PlacedSignal(three_signals.id, 2, signal(3)),
            PlacedSignal(one_signal.id, 0, signal(2)),
        ]
        tx.suppressions.suppress(held, first)
        assert tx.contributions.signals([three_signals.id, one_signal.id]) == {three_signals.id: (signal(1),)}
        assert tx.suppressions.lock_suppressed(first, 1) == tuple(held[:2])
        tx.suppressions.assign(held[:1], second)
    with store.begin() as tx:
        assert (tx.suppressions.lock_suppressed(first, 9), tx.suppressions.lock_suppressed(second, 9)) == (
            tuple(held[1:]),
            (held[0],),
        )
        contributions = tx.contributions.get([three_signals.id, one_signal.id], NOON)
        assert (contributions[three_signals.id].masked, contributions[one_signal.id].masked) == (2, 1)
        assert tx.suppressions.contributions_with({signal(2)}) == []
        tx.suppressions.restore(
            [*tx.suppressions.lock_suppressed(first, 9), *tx.suppressions.lock_suppressed(second, 9)]
        )
        assert tx.contributions.signals([three_signals.id, one_signal.id]) == {
            three_signals.id: three_signals.signals,
            one_signal.id: one_signal.signals,
        }


def test_many_signals_are_suppressed_at_once(store: Store, member: Member) -> None:
    with store.begin() as tx:
        added = tx.contributions.add(member, [draft(seed, seed + 1) for seed in range(0, 1300, 2)], NOON)
        entry = tx.benign.add(BenignDraft((signal(1),)), NOON).id
        ids = tx.suppressions.contributions_with({signal for contribution in added for signal in contribution.signals})
        assert ids == [contribution.id for contribution in added]
        tx.suppressions.suppress(
            tx.suppressions.unsuppressed(ids, {signal for contribution in added for signal in contribution.signals}),
            entry,
        )
        assert b"".join(tx.matches.all_values(Algorithm.PDQ)) == b""
        assert len(tx.suppressions.lock_suppressed(entry, 5000)) == 1300


def test_signals_are_searched_by_value_and_not_by_contribution_and_value(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'hashdb.sqlite'}"
    statements: list[tuple[str, Any]] = []

    def record(*arguments: Any) -> None:
        if "FROM signals" in arguments[2]:
            statements.append((arguments[2], arguments[3]))

    store = Store(url)
    store.migrate()
    with store.begin() as tx:
        member = tx.members.add(MemberDraft("Member", MemberKind.PLATFORM), NOON)
        first, second = (added.id for added in tx.contributions.add(member, [video(1, 2), video(2, 3)], NOON))
    event.listen(Engine, "before_cursor_execute", record)
    try:
        with store.read() as tx:
            assert len(list(tx.suppressions.unsuppressed([first], {signal(1), signal(2)}))) == 2
            assert len(tx.matches.times({first: {signal(1), signal(2)}, second: {signal(2)}})) == 3
    finally:
        event.remove(Engine, "before_cursor_execute", record)
    store.close()
    engine = create_engine(url)
    with engine.connect() as connection:
        steps = [
            str(row[3])
            for text, values in statements
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values)
        ]
    engine.dispose()
    searches = [step for step in steps if "SEARCH signals" in step]
    assert len(searches) == 2
    assert all(step.endswith("(algorithm=? AND value=?)") for step in searches), steps
