"""The audit log in SQL."""

from __future__ import annotations

import re
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from hashdb import store as store_layer
from hashdb.domain.accounts.members import COMMAND_LINE, SYSTEM, KeyDraft, Member, Scope
from hashdb.domain.contributions import Amendment
from hashdb.domain.ledger.events import Action, Details, LogEntry
from hashdb.errors import NotFound
from hashdb.store import Store, Transaction
from tests.builders import NOON, draft

ADDED, ISSUED, READ = Action.MEMBER_ADDED, Action.KEY_ISSUED, Action.FEED_READ


def append(store: Store, *entries: LogEntry, seconds: float = 0) -> int:
    with store.begin() as tx:
        return tx.audit.append(NOON + timedelta(seconds=seconds), SYSTEM, entries)


def test_only_the_audit_log_writes_or_locks_the_row_of_the_log() -> None:
    """So the row is locked only in `Audit._take`, which limits how long the transaction may hang.

    `moves.py` writes the row of a database that no service uses.
    """
    writes = re.compile(r"(update|insert|delete)\(log\)|\blog\.(update|insert|delete)\(|(UPDATE|INTO|FROM) log\b.*FOR")
    layer = Path(store_layer.__file__).parent
    modules = [path for path in layer.rglob("*.py") if "migrations" not in path.parts]
    writers = [str(path.relative_to(layer)) for path in modules if writes.search(path.read_text())]
    assert sorted(writers) == ["ledger/events.py", "moves.py"]


def test_the_head_of_an_empty_log_is_0(store: Store) -> None:
    with store.read() as tx:
        head = tx.audit.head()
        assert head.seq == 0
        assert len(head.epoch) == 32
        assert tx.audit.since(0, 10) == ()


def test_events_are_numbered_from_1_and_returned_unchanged(store: Store) -> None:
    details: Details = {"labels": ["b", "a"], "count": 2**52, "basis": None, "text": 'ä"\\\n'}
    assert append(store, LogEntry(ADDED, "member", 1, {}), LogEntry(ISSUED, "key", 2, details)) == 2
    assert append(store, LogEntry(READ, "key", 2**40, {})) == 3
    with store.read() as tx:
        events = tx.audit.since(0, 10)
    assert [(event.seq, event.action, event.subject) for event in events] == [
        (1, "member.added", "member:1"),
        (2, "key.issued", "key:2"),
        (3, "feed.read", f"key:{2**40}"),
    ]
    assert events[1].details == details
    for event in events:
        assert event.leaf == event.computed_leaf


def test_appending_no_entries_returns_the_last_number(store: Store) -> None:
    assert append(store) == 0
    append(store, LogEntry(ADDED, "member", 1, {}))
    assert append(store) == 1


def test_a_transaction_may_append_more_than_once(store: Store) -> None:
    with store.begin() as tx:
        assert tx.audit.append(NOON, SYSTEM, [LogEntry(ADDED, "member", 1, {})]) == 1
        assert tx.audit.append(NOON, SYSTEM, [LogEntry(ADDED, "member", 2, {})] * 2) == 3
    with store.read() as tx:
        assert tx.audit.head()[:2] == (3, NOON)


def test_event_times_never_decrease_when_the_clock_is_set_back(store: Store) -> None:
    for seconds in (0, -3600, 5, 4, 6):
        append(store, LogEntry(ADDED, "member", 1, {}), seconds=seconds)
    with store.read() as tx:
        times = [(event.at - NOON).total_seconds() for event in tx.audit.since(0, 10)]
        assert tx.audit.head().at == NOON + timedelta(seconds=6)
    assert times == [0, 0, 5, 5, 6]
    assert all(earlier <= later for earlier, later in pairwise(times))


def test_a_rollback_uses_no_number(store: Store) -> None:
    append(store, LogEntry(ADDED, "member", 1, {}))
    with pytest.raises(NotFound), store.begin() as tx:
        _append_and_fail(tx)
    assert append(store, LogEntry(ADDED, "member", 3, {})) == 2
    with store.read() as tx:
        assert [event.id for event in tx.audit.since(0, 10)] == [1, 3]


def test_since_returns_pages_and_filters_by_action(store: Store) -> None:
    append(store, *[LogEntry(ISSUED if id % 3 else READ, "key", id, {}) for id in range(1, 11)])
    with store.read() as tx:
        assert [event.seq for event in tx.audit.since(4, 3)] == [5, 6, 7]
        assert [event.seq for event in tx.audit.since(8, 3)] == [9, 10]
        assert tx.audit.since(10, 3) == ()
        assert [event.seq for event in tx.audit.since(3, 2, [READ])] == [6, 9]
        assert tx.audit.since(0, 10, []) == ()


def test_events_are_filtered_by_actor_action_and_subject(store: Store) -> None:
    append(store, LogEntry(ADDED, "member", 1, {}), LogEntry(ISSUED, "key", 1, {}), LogEntry(ISSUED, "key", 2, {}))
    with store.begin() as tx:
        tx.audit.append(NOON, COMMAND_LINE, [LogEntry(ISSUED, "key", 1, {})])

    def event_numbers(after: int = 0, limit: int = 10, **filters: object) -> list[int]:
        all_filters = {"actor": None, "action": None, "subject": None} | filters
        with store.read() as tx:
            return [event.seq for event in tx.audit.events(after, limit, **all_filters)]  # type: ignore[arg-type]

    assert event_numbers() == [1, 2, 3, 4]
    assert event_numbers(after=1, limit=2) == [2, 3]
    assert event_numbers(actor="system:cli") == [4]
    assert event_numbers(action="key.issued", actor="system:hashdb") == [2, 3]
    assert event_numbers(subject=("key", 1)) == [2, 4]
    assert event_numbers(subject=("member", 2)) == []


def test_subject_kinds_returns_the_kinds_between_two_events(store: Store) -> None:
    append(store, *[LogEntry(ADDED, kind, 1, {}) for kind in ("member", "key", "contribution", "key")])
    with store.read() as tx:
        assert tx.audit.subject_kinds(0, 4) == {"member", "key", "contribution"}
        assert tx.audit.subject_kinds(1, 2) == {"key"}
        assert tx.audit.subject_kinds(4, 4) == frozenset()
    append(store, LogEntry(Action.CONTRIBUTION_RETIRED, "contribution", 1, {}))
    with store.read() as tx:
        assert tx.audit.subject_kinds(3, 5) == {"key", "retired"}


def _append_and_fail(tx: Transaction) -> None:
    assert tx.audit.append(NOON, SYSTEM, [LogEntry(ADDED, "member", 2, {})]) == 2
    tx.members.get(2)


def test_last_changes_returns_the_time_of_the_last_event(store: Store) -> None:
    for seconds, kind, id in ((0, "contribution", 1), (1, "contribution", 2), (2, "contribution", 1), (3, "case", 1)):
        append(store, LogEntry(Action.CONTRIBUTION_AMENDED, kind, id, {}), seconds=seconds)
    with store.read() as tx:
        assert tx.audit.last_changes([1, 2, 3]) == {1: NOON + timedelta(seconds=2), 2: NOON + timedelta(seconds=1)}


def test_events_of_subjects_are_in_the_order_of_the_log(store: Store, member: Member) -> None:
    with store.begin() as tx:
        tx.audit.append(NOON, SYSTEM, [LogEntry(Action.CASE_OPENED, "case", id, {}) for id in (2, 1, 3, 2)])
    with store.read() as tx:
        assert [(event.seq, event.id) for event in tx.timelines.events("case", [1, 2])] == [(1, 2), (2, 1), (4, 2)]
        assert tx.timelines.events("opinion", [1]) == []


def test_old_values_are_in_the_order_of_the_amendments(store: Store, member: Member) -> None:
    with store.begin() as tx:
        (contribution,) = tx.contributions.add(member, [draft(1)], NOON)
        for severity in (1, 2):
            tx.contributions.amend(tx.contributions.one(contribution.id, NOON), Amendment(severity=severity), NOON)
        assert tx.timelines.amendments(contribution.id) == [(NOON, {"severity": None}), (NOON, {"severity": 1})]
        assert tx.timelines.amendments(contribution.id + 1) == []


def test_names_returns_the_member_names_of_keys(store: Store, member: Member) -> None:
    with store.begin() as tx:
        key = tx.members.add_key(member.id, bytes(32), KeyDraft(frozenset({Scope.MATCH})), NOON)
        actors = [f"key:{key.id}", "key:99", "user:1", "system:cli", "key:x"]
        assert tx.timelines.names(actors) == {f"key:{key.id}": member.name}
