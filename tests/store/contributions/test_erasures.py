"""Erasures in SQL."""

from __future__ import annotations

from sqlalchemy import update

from hashdb.domain.accounts.members import Member
from hashdb.domain.contributions import Amendment
from hashdb.domain.times import MICROSECOND
from hashdb.store import Store
from hashdb.store.tables import contributions
from tests.builders import NOON, draft, signature
from tests.store.contributions.test_contributions import FULL, add, stored


def test_an_erased_contribution_has_no_signals_reference_and_salt(store: Store, member: Member) -> None:
    (contribution, other) = add(store, member, FULL, draft(1, reference="kept"))
    with store.begin() as tx:
        tx.contributions.amend(contribution, Amendment(severity=1), NOON)
        tx.erasures.erase(contribution.id, NOON, NOON)
    erased = stored(store, contribution.id)
    assert (erased.signals, erased.reference, erased.erased) == ((), None, True)
    assert (erased.salt, erased.commitment) == (None, contribution.commitment)
    assert stored(store, other.id) == other


def test_signals_of_an_erased_contribution_are_kept_until_they_are_purged(store: Store, member: Member) -> None:
    erased, other = add(store, member, draft(1), draft(2))
    with store.begin() as tx:
        tx.erasures.erase(erased.id, NOON, NOON + MICROSECOND)
    with store.begin() as tx:
        assert tx.contributions.signals([erased.id]) == {erased.id: erased.signals}
        assert tx.erasures.due(NOON, 10) == ()
        assert tx.erasures.due(NOON + MICROSECOND, 10) == (erased.id,)
        assert tx.erasures.purge([erased.id, erased.id]) == (erased.id,)
        assert tx.erasures.purge([erased.id]) == tx.erasures.purge([]) == ()
        assert tx.contributions.signals([erased.id, other.id]) == {other.id: other.signals}


def test_salts_and_signatures_left_by_an_older_version_are_deleted(store: Store, member: Member) -> None:
    salted, signed, other = add(store, member, draft(1), draft(2, signatures=(signature(1),)), draft(3))
    with store.begin() as tx:
        for erased in (salted, signed):
            old = update(contributions).where(contributions.c.id == erased.id).values(erased_at=NOON)
            tx.connection.execute(old if erased is salted else old.values(salt=None))
        assert tx.erasures.with_signatures_left() == (salted.id, signed.id)
        tx.erasures.delete_signatures([salted.id, signed.id])
        assert tx.erasures.with_signatures_left() == ()
    assert stored(store, other.id).salt == other.salt is not None
