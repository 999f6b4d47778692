"""Fixtures of the tests of the store."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hashdb.domain.accounts.members import Member, MemberDraft, MemberKind
from hashdb.store import Store
from tests.builders import NOON


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    """An open store with an empty schema."""
    store = Store(database_url)
    yield store
    store.close()


@pytest.fixture
def member(store: Store) -> Member:
    """A member in the store."""
    with store.begin() as tx:
        return tx.members.add(MemberDraft("Example", MemberKind.PLATFORM), NOON)
