"""Records: the rows that the events add up to, fields that no event logs, and malformed events."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from hashdb.domain.ledger.events import Action
from hashdb.domain.ledger.records import FIELDS, NOT_LOGGED, ExpectedRecords

ADDED = {"member": 1, "labels": ["b", "a"], "severity": 2, "basis": None, "media": "image", "seconds_to_share": 4}


def replayed(*events: tuple[str, int, Mapping[str, object]], actor: str = "system:cli") -> ExpectedRecords:
    """The records after these events, each with its action, the id of its subject and its details."""
    records = ExpectedRecords()
    for action, id, details in events:
        records.replay(0, actor, action, action.partition(".")[0], id, json.dumps(details))
    return records


def fields(records: ExpectedRecords, kind: str, id: int) -> dict[str, object]:
    return dict(zip(FIELDS[kind], records.record(kind, id), strict=True))


def test_a_new_contribution_is_active_and_has_the_fields_of_its_event() -> None:
    records = replayed((Action.CONTRIBUTION_ADDED, 7, ADDED))
    assert fields(records, "contribution", 7) == {
        "status": "active",
        "withdrawn": False,
        "reason": None,
        "expired": NOT_LOGGED,
        "standing": "unreviewed",
        "erased": False,
        "member": 1,
        "labels": ("b", "a"),
        "severity": 2,
        "basis": None,
        "media": "image",
        "commitment": None,
    }
    assert [list(records.ids(kind)) for kind in FIELDS] == [[7] if kind == "contribution" else [] for kind in FIELDS]


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([(Action.CONTRIBUTION_WITHDRAWN, {"reason": "other"})], {"status": "withdrawn", "reason": "other"}),
        ([(Action.CONTRIBUTION_EXPIRED, {})], {"status": "expired", "expired": True}),
        ([(Action.CONTRIBUTION_EXPIRED, {}), (Action.CONTRIBUTION_REINSTATED, {})], {"expired": NOT_LOGGED}),
        ([(Action.CONTRIBUTION_EXPIRED, {}), (Action.CONTRIBUTION_WITHDRAWN, {})], {"expired": NOT_LOGGED}),
        ([(Action.CONTRIBUTION_SUSPENDED, {})], {"status": "suspended"}),
        ([(Action.CONTRIBUTION_SUSPENDED, {}), (Action.CONTRIBUTION_REINSTATED, {})], {"status": "active"}),
        ([(Action.CONTRIBUTION_ERASED, {})], {"erased": True, "status": "active"}),
        ([(Action.CONTRIBUTION_RETIRED, {})], {"standing": "retired"}),
        ([(Action.CONTRIBUTION_RETIRED, {}), (Action.CONTRIBUTION_CLEARED, {})], {"standing": "unreviewed"}),
        ([(Action.CONTRIBUTION_AMENDED, {"fields": ["severity"], "severity": None})], {"severity": None}),
        ([(Action.CONTRIBUTION_AMENDED, {"fields": ["labels"], "labels": ["c"]})], {"labels": ("c",)}),
        # An event without the new value leaves the field unknown.
        ([(Action.CONTRIBUTION_AMENDED, {"fields": ["severity"]})], {"severity": NOT_LOGGED, "labels": ("b", "a")}),
        # The clock of another host may be behind.
        (
            [(Action.CONTRIBUTION_EXPIRED, {}), (Action.CONTRIBUTION_AMENDED, {"fields": ["expires_at"]})],
            {"status": "expired", "expired": NOT_LOGGED},
        ),
    ],
)
def test_later_events_change_the_fields_of_a_contribution(
    events: list[tuple[Action, dict[str, object]]], expected: dict[str, object]
) -> None:
    records = replayed((Action.CONTRIBUTION_ADDED, 7, ADDED), *((action, 7, details) for action, details in events))
    assert fields(records, "contribution", 7).items() >= expected.items()


def test_a_field_missing_in_an_older_event_is_not_logged() -> None:
    records = replayed(
        (Action.KEY_ISSUED, 1, {"member": 3, "scopes": ["match"]}),
        (Action.INCIDENT_ADDED, 1, {"label": "CI:x", "expires": "no"}),
        (Action.MEMBER_ADDED, 1, {"kind": "platform"}),
        (Action.MEMBER_AMENDED, 1, {"fields": ["kind", "name"]}),
    )
    assert records.record("key", 1) == (3, ("match",), NOT_LOGGED, False, NOT_LOGGED, False)
    assert records.record("incident", 1) == ("CI:x", NOT_LOGGED, NOT_LOGGED, "no")
    assert records.record("member", 1) == (NOT_LOGGED, "active")


def test_an_opinion_belongs_to_its_keys_member_and_is_replaced_by_the_next() -> None:
    details = {"contribution": 5, "opinion": "confirms", "reason": None, "case": None}
    events = [
        (Action.KEY_ISSUED, 8, {"member": 3, "scopes": []}),
        *(
            (Action.OPINION_GIVEN, id, {**details, "contribution": contribution})
            for id, contribution in ((1, 5), (2, 5), (3, 6))
        ),
    ]
    records = replayed(*events, actor="key:8")
    assert [fields(records, "opinion", id)["replaced"] for id in (1, 2, 3)] == [True, False, False]
    assert {fields(records, "opinion", id)["member"] for id in (1, 2, 3)} == {3}


SIGN_INS: list[tuple[Action, dict[str, object]]] = [
    (Action.USER_ADDED, {"role": "admin"}),
    (Action.USER_SIGNED_IN, {"session": "one"}),
    (Action.USER_SIGNED_IN, {"session": "two"}),
]


@pytest.mark.parametrize(
    ("ending_event", "open_sessions"),
    [
        ((Action.USER_SIGNED_OUT, {"session": "one"}), "two"),
        ((Action.USER_SIGNED_OUT, {"kept": "one"}), "one"),
        ((Action.USER_SIGNED_OUT, {"sessions": 1}), "one two"),
        ((Action.USER_AMENDED, {"fields": ["password"], "kept": "two"}), "two"),
        ((Action.USER_AMENDED, {"fields": ["second_factor"], "kept": "two"}), "two"),
        ((Action.USER_AMENDED, {"fields": ["second_factor"]}), "one two"),
        ((Action.USER_AMENDED, {"fields": ["password", "second_factor"]}), ""),
        ((Action.USER_DISABLED, {}), ""),
    ],
)
def test_a_session_is_open_from_sign_in_until_an_event_ends_it(
    ending_event: tuple[Action, dict[str, object]], open_sessions: str
) -> None:
    events = [*SIGN_INS, ending_event]
    records = replayed(*((action, 1, details) for action, details in events))
    still_open = [session for session in ("one", "two") if records.sessions.begun_at(1, session) is not None]
    assert " ".join(still_open) == open_sessions
    assert records.sessions.begun_at(2, "one") is None


def test_sessions_older_than_the_longest_lifetime_are_forgotten() -> None:
    records, day = ExpectedRecords(), 86_400_000_000
    for at in range(100):
        records.replay(at * day, "user:1", Action.USER_SIGNED_IN, "user", 1, json.dumps({"session": str(at)}))
    known = [at for at in range(100) if records.sessions.begun_at(1, str(at)) is not None]
    assert known == list(range(69, 100))


def test_a_closed_proposal_and_a_deleted_webhook_have_no_record() -> None:
    details = {"act": "member.suspend", "member": 4}
    for action in (Action.PROPOSAL_APPROVED, Action.PROPOSAL_DROPPED, Action.PROPOSAL_EXPIRED):
        records = replayed((Action.PROPOSAL_MADE, 1, details), (Action.PROPOSAL_MADE, 2, details), (action, 1, {}))
        assert list(records.ids("proposal")) == [2]
        assert records.record("proposal", 2) == ("member.suspend", "member:4", "system:cli", "system:cli")
    records = replayed((Action.WEBHOOK_ADDED, 1, {"member": 1}), (Action.WEBHOOK_DELETED, 1, {}))
    assert list(records.ids("webhook")) == []


def test_ids_may_be_far_apart_and_in_any_order() -> None:
    ids = [3, 4_096, 1, 2**40, 4_095, -2]
    records = replayed(*((Action.MEMBER_ADDED, id, {"kind": "platform"}) for id in ids))
    assert list(records.ids("member")) == sorted(ids)
    assert records.record("member", 2**41) == records.record("member", 2) == ()


def test_events_on_unknown_subjects_are_ignored() -> None:
    records = replayed((Action.MEMBER_SUSPENDED, 1, {}), ("member.elected", 1, {}), (Action.FEED_READ, 1, {}))
    records.replay(0, "x", Action.MEMBER_ADDED, "key", 1, "{}")
    records.replay(0, "x", Action.MEMBER_ADDED, "member", 1.5, "{}")
    assert [list(records.ids(kind)) for kind in FIELDS] == [[]] * len(FIELDS)


@pytest.mark.parametrize("text", ["", "[]", "{", "7"])
def test_details_that_are_not_an_object_are_rejected(text: str) -> None:
    with pytest.raises(ValueError, match=r"object|Expecting"):
        ExpectedRecords().replay(0, "x", Action.MEMBER_ADDED, "member", 1, text)


@pytest.mark.parametrize("value", [1.5, {"a": 1}, [[1], {}], True, "ä\0"])
def test_details_with_values_of_any_type_raise_no_error(value: object) -> None:
    for action in Action:
        names = {name: value for names in FIELDS.values() for name in names}
        for details in ({}, {**names, "fields": value}, {**names, "fields": list(names)}):
            first_action = f"{action.partition('.')[0]}.added"
            records = replayed((first_action, 1, details), (action, 1, details), actor="key:1")
            assert all(len(list(records.ids(kind))) < 2 for kind in FIELDS)
