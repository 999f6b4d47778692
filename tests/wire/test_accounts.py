"""Members and keys on the wire."""

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
def test_a_member_to_add_comes_back_as_it_was_sent(sent: MemberDraft) -> None:
    assert read(MemberIn, MemberIn.from_domain(sent).model_dump_json()).to_domain() == sent


@given(member_changes)
def test_a_change_comes_back_as_it_was_sent(sent: MemberChange) -> None:
    assert (
        read(MemberChangeIn, MemberChangeIn.from_domain(sent).model_dump_json(exclude_unset=True)).to_domain() == sent
    )


@given(members)
def test_a_member_comes_back(answered: Member) -> None:
    assert MemberOut.model_validate_json(MemberOut.from_domain(answered).json_text()).to_domain() == answered


@given(key_drafts)
def test_a_key_to_issue_comes_back_as_it_was_sent(sent: KeyDraft) -> None:
    assert read(KeyIn, KeyIn.from_domain(sent).model_dump_json()).to_domain() == sent


@given(keys)
def test_only_a_key_just_issued_shows_its_secret(key: Key) -> None:
    shown = json.loads(KeyOut.from_domain(key).json_text())
    issued = json.loads(IssuedKeyOut.from_issued(IssuedKey(key, "hdb_x")).json_text())
    assert issued == {**shown, "secret": "hdb_x"}
    assert shown["id"] == str(key.id)


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
        ('{"name": "A", "kind": "platform", "limits": {"contributions_per_day": -1, "x": 1}, "y": 2}', None),
        ('{"name": "A", "kind": "platform", "limits": {"contributions_per_day": 99999999999999999999}}', None),
    ],
)
def test_every_fault_of_a_member_is_told(text: str, at: list[str] | None) -> None:
    with pytest.raises(InvalidInput) as refusal:
        read(MemberIn, text)
    if at is not None:
        assert [fault.at for fault in refusal.value.faults] == at


@pytest.mark.parametrize("field", ["name", "kind", "contact", "limits", "status"])
def test_a_change_refuses_null_where_something_must_stand(field: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        read(MemberChangeIn, json.dumps({field: None}))
    assert [fault.at for fault in refusal.value.faults] == [field]


def test_a_limit_that_is_not_sent_stays_and_null_lifts_it() -> None:
    assert read(MemberChangeIn, '{"limits": {}}').to_domain() == MemberChange()
    lifted = read(MemberChangeIn, '{"limits": {"contributions_per_day": null}}').to_domain()
    assert lifted == MemberChange(limits=MemberLimits(None))


@pytest.mark.parametrize("text", ["{}", '{"scopes": []}', '{"scopes": ["root"]}', '{"scopes": "match"}'])
def test_a_key_needs_scopes_that_there_are(text: str) -> None:
    with pytest.raises(InvalidInput):
        read(KeyIn, text)
