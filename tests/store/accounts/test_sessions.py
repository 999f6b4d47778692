"""Sessions and failed sign-ins in SQL."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hashdb.domain.accounts.users import Role, User, UserDraft
from hashdb.store import Store
from tests.builders import NOON

LATER = NOON + timedelta(minutes=5)
DIGESTS = {"user": b"u" * 32, "address": b"a" * 32}


@pytest.fixture
def user(store: Store) -> User:
    """A user in the store."""
    with store.begin() as tx:
        return tx.users.add(UserDraft("ada", Role.ADMIN), None, NOON, provisional=False)


def test_a_session_is_found_by_its_digest_until_it_ends(store: Store, user: User) -> None:
    with store.begin() as tx:
        complete_session = tx.sessions.add(user, b"1" * 32, NOON, complete=True)
        tx.sessions.add(user, b"2" * 32, NOON, complete=False)
        tx.sessions.mark_used(complete_session.id, LATER)
    with store.begin() as tx:
        session = tx.sessions.with_digest(b"1" * 32)
        assert session is not None
        assert (session.user, session.created_at, session.seen_at) == (user, NOON, LATER)
        assert [session.id for session in tx.sessions.complete_sessions(user.id)] == [complete_session.id]
        assert tx.sessions.end(complete_session.id)
        assert not tx.sessions.end(complete_session.id)
        assert tx.sessions.with_digest(b"1" * 32) is None


def test_all_sessions_of_a_user_or_all_but_one_can_be_ended(store: Store, user: User) -> None:
    with store.begin() as tx:
        ids = [tx.sessions.add(user, bytes([i]) * 32, NOON, complete=True).id for i in range(3)]
        assert tx.sessions.end_all(user.id, besides=ids[0]) == 2
        assert tx.sessions.end_all(user.id) == 1
        tx.sessions.add(user, b"x" * 32, NOON, complete=True)
        tx.sessions.end_old(LATER)
        assert tx.sessions.complete_sessions(user.id) == ()


def test_failed_sign_ins_are_counted_uncounted_and_forgotten(store: Store) -> None:
    with store.begin() as tx:
        for _ in range(3):
            tx.sessions.lock_tries(DIGESTS, NOON)
            tx.sessions.count_try(DIGESTS, NOON)
        tx.sessions.uncount_try(DIGESTS["address"])
        assert {(tries.kind, tries.count, tries.last) for tries in tx.sessions.tries(DIGESTS)} == {
            ("user", 3, NOON),
            ("address", 2, NOON),
        }
        tx.sessions.forget_tries(DIGESTS["user"])
        assert [tries.kind for tries in tx.sessions.tries(DIGESTS)] == ["address"]
        tx.sessions.lock_tries({"user": b"o" * 32}, NOON + timedelta(days=1, seconds=1))
        assert tx.sessions.tries(DIGESTS) == ()
