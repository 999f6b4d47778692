"""Rows of the logged tables are read unchanged and in order, also with invalid values."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import create_engine, text

from hashdb.domain.accounts.members import MemberDraft, MemberKind
from hashdb.domain.ledger.records import FIELDS
from hashdb.store import Store
from tests.builders import NOON, draft


@pytest.fixture
def store(database_url: str) -> Store:
    return Store(database_url)


def execute(url: str, statement: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


def test_all_rows_are_read_in_pages_ordered_by_id(store: Store) -> None:
    with store.begin() as tx:
        for number in range(5):
            tx.members.add(MemberDraft(f"Member {number}", MemberKind.PLATFORM), NOON)
    with store.read() as tx:
        for size in (1, 2, 5, 6):
            pages = list(tx.records.pages("member", NOON, size))
            assert max(map(len, pages)) == min(size, 5)
            assert [row for page in pages for row in page] == [(id, ("platform", "active")) for id in range(1, 6)]
    store.close()


def test_the_rows_of_every_kind_have_the_fields_of_that_kind(store: Store) -> None:
    with store.begin() as tx:
        member = tx.members.add(MemberDraft("Member", MemberKind.PLATFORM), NOON)
        expiring = draft(1, labels=("b", "a"), severity=3, expires_at=NOON + timedelta(hours=1))
        (added,) = tx.contributions.add(member, [expiring], NOON)
    assert added.commitment is not None
    with store.read() as tx:
        (row,) = next(tx.records.pages("contribution", NOON))
        assert dict(zip(FIELDS["contribution"], row[1], strict=True)) == {
            "status": "active",
            "withdrawn": False,
            "reason": None,
            "expired": False,
            "standing": "unreviewed",
            "erased": False,
            "member": member.id,
            "labels": ("b", "a"),
            "severity": 3,
            "basis": None,
            "media": "image",
            "commitment": added.commitment.hex(),
        }
        ((_, fields),) = next(tx.records.pages("contribution", NOON + timedelta(hours=1)))
        assert dict(zip(FIELDS["contribution"], fields, strict=True))["expired"] is True
        assert [list(tx.records.pages(kind, NOON)) for kind in FIELDS if kind not in ("member", "contribution")] == [
            []
        ] * (len(FIELDS) - 2)
    store.close()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("value", ["7", "'x'", "x'ff00'", "1.5", "''", "9e99", "4611686018427387904"])
def test_rows_with_invalid_values_are_read_without_an_error(store: Store, database_url: str, value: str) -> None:
    with store.begin() as tx:
        member = tx.members.add(MemberDraft("Member", MemberKind.PLATFORM), NOON)
        tx.contributions.add(member, [draft(1)], NOON)
    for column in ("labels", "severity", "standing", "announced", "expires_at", "withdrawn_at", "erased_at"):
        execute(database_url, f"UPDATE contributions SET {column} = {value}")
    execute(
        database_url,
        f"INSERT INTO incidents (label, start, \"end\", expires, settled) VALUES ('x', {value}, {value}, {value}, 0)",
    )
    execute(
        database_url,
        "INSERT INTO keys (member_id, digest, scopes, created_at, expires_at, hides_distances)"
        f" VALUES (1, x'00', {value}, 0, {value}, {value})",
    )
    with store.read() as tx:
        for kind in ("contribution", "incident", "key"):
            ((id, fields),) = next(tx.records.pages(kind, NOON))
            assert (id, len(fields)) == (1, len(FIELDS[kind]))
    store.close()
