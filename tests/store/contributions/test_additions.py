"""Additions in SQL: which contributions have a signal, and which sets of signals are known."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from pathlib import Path

from sqlalchemy import create_engine

from hashdb.domain.accounts.members import Member
from hashdb.store import Store
from hashdb.store.contributions.contributions import _KNOWN
from tests.builders import NOON, draft, signal


def test_an_added_set_is_known_while_its_contribution_is_active(store: Store, member: Member) -> None:
    added_set = draft(1, 2).fingerprint()
    with store.begin() as tx:
        (contribution,) = tx.contributions.add(member, [draft(1, expires_at=NOON + timedelta(hours=1))], NOON)
        tx.additions.add({contribution.id: {1: signal(2)}}, {}, {(contribution.id, added_set)})
        assert tx.contributions.get([contribution.id], NOON)[contribution.id].signals == (signal(1), signal(2))
        original_set = draft(1).fingerprint()
        sets = {(member.id, added_set), (member.id, original_set), (member.id + 1, added_set), (member.id, b"0" * 32)}
        assert tx.contributions.known(sets, NOON) == {
            (member.id, added_set): contribution.id,
            (member.id, original_set): contribution.id,
        }
        assert tx.contributions.known(sets, NOON + timedelta(hours=1)) == {}


def test_known_returns_the_oldest_contribution_with_the_set(store: Store, member: Member) -> None:
    both = draft(1, 2)
    with store.begin() as tx:
        older, newer = tx.contributions.add(member, [draft(1), both], NOON)
        tx.additions.add({older.id: {1: signal(2)}}, {}, {(older.id, both.fingerprint())})
        assert tx.contributions.known({(member.id, both.fingerprint())}, NOON) == {
            (member.id, both.fingerprint()): older.id
        }
        assert tx.additions.contributions_with(member.id, [signal(2)], 0, 9, NOON) == (older.id, newer.id)
        assert tx.additions.contributions_with(member.id, [signal(2)], older.id, 9, NOON) == (newer.id,)
        assert tx.additions.contributions_with(member.id, [signal(1), signal(2)], 0, 1, NOON) == (older.id,)


def test_known_searches_by_fingerprint_and_not_by_member(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'hashdb.sqlite'}"
    with closing(Store(url)) as store:
        store.migrate()
    engine = create_engine(url)
    parameters = {"members": [1], "fingerprints": [draft(1).fingerprint()], "now": NOON}
    with engine.connect() as connection:
        text = str(_KNOWN.params(parameters).compile(engine, compile_kwargs={"render_postcompile": True}))
        # A plan does not depend on the values.
        values = (0,) * text.count("?")
        steps = [str(row[3]) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values)]
    engine.dispose()
    relevant = [step for step in steps if "fingerprints" in step or "contributions" in step]
    assert any("SEARCH fingerprints" in step and "(fingerprint=?" in step for step in relevant), steps
    assert not any("SCAN" in step or step.endswith("(member_id=?)") for step in relevant), steps
