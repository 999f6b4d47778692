"""Erasures in SQL."""

from __future__ import annotations

from sqlalchemy import update

from hashdb.domain.accounts.members import Member
from hashdb.domain.contributions import Amendment
from hashdb.domain.times import MICROSECOND
from hashdb.store import Store
from hashdb.store.tables import contributions
from tests.builders import NOON, draft, signature
from tests.store.contributions.test_contributions import WHOLE, add, stored


def test_erasing_leaves_neither_signals_nor_reference(store: Store, member: Member) -> None:
    (one, other) = add(store, member, WHOLE, draft(1, reference="kept"))
    with store.begin() as tx:
        tx.contributions.amend(one, Amendment(severity=1), NOON)
        tx.erasures.erase(one.id, NOON, NOON)
    erased = stored(store, one.id)
    assert (erased.signals, erased.reference, erased.erased) == ((), None, True)
    assert (erased.salt, erased.commitment) == (None, one.commitment)
    assert stored(store, other.id) == other


def test_signals_of_what_is_erased_are_kept_unseen_until_they_are_purged(store: Store, member: Member) -> None:
    one, other = add(store, member, draft(1), draft(2))
    with store.begin() as tx:
        tx.erasures.erase(one.id, NOON, NOON + MICROSECOND)
    with store.begin() as tx:
        assert tx.contributions.signals([one.id]) == {one.id: one.signals}
        assert tx.erasures.due(NOON, 10) == ()
        assert tx.erasures.due(NOON + MICROSECOND, 10) == (one.id,)
        assert tx.erasures.purge([one.id, one.id]) == (one.id,)
        assert tx.erasures.purge([one.id]) == tx.erasures.purge([]) == ()
        assert tx.contributions.signals([one.id, other.id]) == {other.id: other.signals}


def test_what_an_older_version_left_of_an_erased_contribution_is_found_and_deleted(
    store: Store, member: Member
) -> None:
    salted, signed, other = add(store, member, draft(1), draft(2, signatures=(signature(1),)), draft(3))
    with store.begin() as tx:
        for one in (salted, signed):
            old = update(contributions).where(contributions.c.id == one.id).values(erased_at=NOON)
            tx.connection.execute(old if one is salted else old.values(salt=None))
        assert tx.erasures.with_signatures_left() == (salted.id, signed.id)
        tx.erasures.delete_signatures([salted.id, signed.id])
        assert tx.erasures.with_signatures_left() == ()
    assert stored(store, other.id).salt == other.salt is not None
