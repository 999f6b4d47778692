"""Wire models of members and keys."""

from __future__ import annotations

import json

import pytest
from hypothesis import given

from hashdb.domain.accounts.members import IssuedKey, Key, KeyDraft, Member, MemberChange, MemberDraft, MemberLimits
from hashdb.errors import InvalidInput
from hashdb.wire import read
from hashdb.wire.accounts import (
    IssuedKeyOut,
    KeyIn,
    KeyOut,
    MemberChangeIn,
    MemberIn,
    MemberOut,
)
from tests.wire.strategies import key_drafts, keys, member_changes, member_drafts, members


@given(member_drafts)
def test_a_draft_of_a_member_round_trips_unchanged(sent: MemberDraft) -> None:
    assert read(MemberIn, MemberIn.from_domain(sent).model_dump_json()).to_domain() == sent


@given(member_changes)
def test_a_change_of_a_member_round_trips_unchanged(sent: MemberChange) -> None:
    assert (
        read(MemberChangeIn, MemberChangeIn.from_domain(sent).model_dump_json(exclude_unset=True)).to_domain() == sent
    )


@given(members)
def test_a_member_round_trips_unchanged(member: Member) -> None:
    assert MemberOut.model_validate_json(MemberOut.from_domain(member).json_text()).to_domain() == member


@given(key_drafts)
def test_a_draft_of_a_key_round_trips_unchanged(sent: KeyDraft) -> None:
    assert read(KeyIn, KeyIn.from_domain(sent).model_dump_json()).to_domain() == sent


@given(keys)
def test_only_a_newly_issued_key_has_its_secret_in_the_json(key: Key) -> None:
    listed = json.loads(KeyOut.from_domain(key).json_text())
    issued = json.loads(IssuedKeyOut.from_issued(IssuedKey(key, "hdb_x")).json_text())
    assert issued == {**listed, "secret": "hdb_x"}
    assert listed["id"] == str(key.id)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("{}", ["name", "kind"]),
        ('{"name": "", "kind": "platform"}', ["name"]),
        ('{"name": " ", "kind": "platform"}', ["name"]),
        ('{"name": "Alpha ", "kind": "platform"}', ["name"]),
        ('{"name": "17", "kind": "platform"}', ["name"]),
        ('{"name": "a\\u0000", "kind": "platform"}', ["name"]),
        ('{"name": "a\\u202eb", "kind": "platform"}', ["name"]),
        (json.dumps({"name": "x" * 101, "kind": "bank"}), ["name", "kind"]),
        (
            '{"name": "A", "kind": "platform", "limits": {"contributions_per_day": -1, "x": 1}, "y": 2}',
            ["limits.contributions_per_day", "limits.x", "y"],
        ),
        (
            '{"name": "A", "kind": "platform", "limits": {"contributions_per_day": 99999999999999999999}}',
            ["limits.contributions_per_day"],
        ),
    ],
)
def test_every_fault_of_a_member_is_reported_at_its_field(text: str, at: list[str]) -> None:
    with pytest.raises(InvalidInput) as error:
        read(MemberIn, text)
    assert [fault.at for fault in error.value.faults] == at


@pytest.mark.parametrize("field", ["name", "kind", "contact", "limits", "status"])
def test_a_change_of_a_member_rejects_null(field: str) -> None:
    with pytest.raises(InvalidInput) as error:
        read(MemberChangeIn, json.dumps({field: None}))
    assert [fault.at for fault in error.value.faults] == [field]


def test_an_omitted_limit_is_unchanged_and_null_removes_it() -> None:
    assert read(MemberChangeIn, '{"limits": {}}').to_domain() == MemberChange()
    change = read(MemberChangeIn, '{"limits": {"contributions_per_day": null}}').to_domain()
    assert change == MemberChange(limits=MemberLimits(None))


@pytest.mark.parametrize("text", ["{}", '{"scopes": []}', '{"scopes": ["root"]}', '{"scopes": "match"}'])
def test_a_key_needs_at_least_one_existing_scope(text: str) -> None:
    with pytest.raises(InvalidInput):
        read(KeyIn, text)
