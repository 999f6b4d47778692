"""Additions in the store: which contributions hold a signal, and what is known by its set."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from pathlib import Path

from sqlalchemy import create_engine

from hashdb.domain.accounts.members import Member
from hashdb.store import Store
from hashdb.store.contributions.contributions import _KNOWN
from tests.builders import NOON, draft, signal


def test_a_set_that_was_added_is_known_while_its_contribution_is_active(store: Store, member: Member) -> None:
    sent = draft(1, 2).fingerprint()
    with store.begin() as tx:
        (one,) = tx.contributions.add(member, [draft(1, expires_at=NOON + timedelta(hours=1))], NOON)
        tx.additions.add({one.id: {1: signal(2)}}, {}, {(one.id, sent)})
        assert tx.contributions.get([one.id], NOON)[one.id].signals == (signal(1), signal(2))
        first = draft(1).fingerprint()
        sets = {(member.id, sent), (member.id, first), (member.id + 1, sent), (member.id, b"0" * 32)}
        assert tx.contributions.known(sets, NOON) == {(member.id, sent): one.id, (member.id, first): one.id}
        assert tx.contributions.known(sets, NOON + timedelta(hours=1)) == {}


def test_the_oldest_contribution_with_a_set_is_the_known_one(store: Store, member: Member) -> None:
    both = draft(1, 2)
    with store.begin() as tx:
        one, two = tx.contributions.add(member, [draft(1), both], NOON)
        tx.additions.add({one.id: {1: signal(2)}}, {}, {(one.id, both.fingerprint())})
        assert tx.contributions.known({(member.id, both.fingerprint())}, NOON) == {
            (member.id, both.fingerprint()): one.id
        }
        assert tx.additions.contributions_with(member.id, [signal(2)], 0, 9, NOON) == (one.id, two.id)
        assert tx.additions.contributions_with(member.id, [signal(2)], one.id, 9, NOON) == (two.id,)
        assert tx.additions.contributions_with(member.id, [signal(1), signal(2)], 0, 1, NOON) == (one.id,)


def test_known_reads_no_other_contributions_of_the_member(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'hashdb.sqlite'}"
    with closing(Store(url)) as store:
        store.migrate()
    engine = create_engine(url)
    asked = {"members": [1], "fingerprints": [draft(1).fingerprint()], "now": NOON}
    with engine.connect() as connection:
        text = str(_KNOWN.params(asked).compile(engine, compile_kwargs={"render_postcompile": True}))
        # A plan does not depend on the values.
        values = (0,) * text.count("?")
        steps = [str(row[3]) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values)]
    engine.dispose()
    read = [step for step in steps if "fingerprints" in step or "contributions" in step]
    assert any("SEARCH fingerprints" in step and "(fingerprint=?" in step for step in read), steps
    assert not any("SCAN" in step or step.endswith("(member_id=?)") for step in read), steps
