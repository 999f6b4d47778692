"""Refusals are logged once a minute in total, and once an hour for each key."""

from __future__ import annotations

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, Actor, KeyDraft, MemberChange, MemberStatus, Scope
from hashdb.domain.ledger.events import Action, Event
from hashdb.domain.stats.counts import lines
from hashdb.errors import (
    Fault,
    FormRefused,
    HashDBError,
    InvalidInput,
    LimitReached,
    MemberSuspended,
    NameTaken,
    NotAuthenticated,
    ScopeMissing,
    SignInRefused,
    StoreBusy,
)
from hashdb.service import HashDB
from hashdb.service.accounts import members
from hashdb.service.stats import counts, refusals
from tests.builders import NOON, Clock, hashdb, with_new_key


def _logged_refusals(db: HashDB) -> list[Event]:
    counts.flush(db)
    with db.store.read() as tx:
        return [event for event in tx.audit.since(0, 1000) if event.action == Action.AUTH_REFUSED]


def _authenticate_with_invalid(db: HashDB, *secrets: str) -> None:
    for secret in secrets:
        with pytest.raises(NotAuthenticated):
            members.authenticate(db, secret)


def _lines(db: HashDB) -> list[str]:
    counts.flush(db)
    return list(lines(counts.get(db, COMMAND_LINE, NOON.date()).counts))


def test_requests_without_a_valid_key_are_logged_once_a_minute_by_reason(
    database_url: str, db: HashDB, clock: Clock
) -> None:
    second = hashdb(database_url, clock)
    _authenticate_with_invalid(db, "", "hdb_nonsense", "nonsense")
    (first,) = _logged_refusals(db)
    assert (first.actor, first.subject) == ("system:hashdb", "service:1")
    assert first.details == {"no-key": 1, "unknown-key": 2}
    for service in (db, second):
        _authenticate_with_invalid(service, "", "")
        counts.flush(service)
    assert _logged_refusals(db) == [first]
    clock.advance(seconds=60)
    assert _logged_refusals(second)[1].details == {"no-key": 4}
    clock.advance(seconds=600)
    assert len(_logged_refusals(db)) == 2
    second.close()


def test_expired_and_revoked_keys_are_logged_with_their_own_reasons(db: HashDB, actor: Actor, clock: Clock) -> None:
    assert actor.member
    issued = [
        members.issue_key(db, COMMAND_LINE, actor.member.id, KeyDraft(frozenset(), clock.at.replace(hour=hour)))
        for hour in (13, 14)
    ]
    members.revoke_key(db, COMMAND_LINE, issued[1].key.id)
    clock.advance(hours=1)
    _authenticate_with_invalid(db, *(each.secret for each in issued))
    (event,) = _logged_refusals(db)
    assert event.details == {"expired-key": 1, "revoked-key": 1}
    assert _lines(db) == [f"access {actor.member.id} any expired-key 1", f"access {actor.member.id} any revoked-key 1"]


def test_a_key_without_the_scope_is_logged_once_an_hour(database_url: str, db: HashDB, actor: Actor) -> None:
    clock = Clock()
    first, second = hashdb(database_url, clock), hashdb(database_url, clock)
    for service in (first, first, second):
        refusals.note_access(service, actor, ScopeMissing("contribute or admin"))
        counts.flush(service)
    (event,) = _logged_refusals(first)
    assert (event.actor, event.subject) == (str(actor), str(actor))
    assert event.details == {"reason": "scope-missing", "scopes": ["contribute", "admin"]}
    clock.advance(hours=1)
    refusals.note_access(second, actor, ScopeMissing("audit"))
    assert [each.details.get("scopes") for each in _logged_refusals(second)] == [["contribute", "admin"], ["audit"]]
    first.close()
    second.close()


def test_requests_of_a_suspended_member_are_logged_once_per_key(db: HashDB, actor: Actor) -> None:
    assert actor.member
    another = with_new_key(db, actor)
    members.change(db, COMMAND_LINE, actor.member.id, MemberChange(status=MemberStatus.SUSPENDED))
    for key in (actor, another, another):
        refusals.note_access(db, key, MemberSuspended())
    assert {event.subject: event.details for event in _logged_refusals(db)} == {
        str(key): {"reason": "member-suspended"} for key in (actor, another)
    }
    assert f"access {actor.member.id} any member-suspended 3" in _lines(db)


def test_refused_contributions_are_counted_by_reason_and_faulty_field(db: HashDB, actor: Actor) -> None:
    faults = tuple(
        Fault(at, "is wrong")
        for at in (
            "contributions[3].signals[0]",
            "contributions[4].signals",
            "metadata[0].labels[1]",
            "contributions[0].secret",
            "",
        )
    )
    errors: list[HashDBError] = [InvalidInput(faults), InvalidInput(faults[:1]), LimitReached("10 a day", 1)]
    for error in (*errors, StoreBusy(1), NotAuthenticated(), ScopeMissing("contribute")):
        refusals.note_contribution(db, actor, error)
    assert actor.member
    assert _lines(db) == [
        f"refusal {actor.member.id} any {code}"
        for code in ("invalid-input 2", "invalid-input.labels 1", "invalid-input.signals 2", "limit-reached 1")
    ]
    assert _logged_refusals(db) == []


def test_errors_that_are_no_refusal_of_a_key_are_not_counted(db: HashDB, actor: Actor) -> None:
    for client, error in ((None, ScopeMissing(Scope.AUDIT)), (actor, StoreBusy(1)), (COMMAND_LINE, MemberSuspended())):
        refusals.note_access(db, client, error)
    assert not counts.flush(db)


def test_refusals_of_a_console_user_are_logged_hourly_and_all_counted(db: HashDB, clock: Clock) -> None:
    otto, eva = Actor("user:1", frozenset({Scope.AUDIT})), Actor("user:2", frozenset())
    for user in (otto, otto, eva):
        refusals.note_access(db, user, ScopeMissing("admin or review"))
    first, second = _logged_refusals(db)
    assert [(event.actor, event.subject) for event in (first, second)] == [("user:1", "user:1"), ("user:2", "user:2")]
    assert first.details == {"reason": "scope-missing", "scopes": ["admin", "review"]}
    clock.advance(minutes=59)
    refusals.note_access(db, otto, ScopeMissing("admin"))
    assert len(_logged_refusals(db)) == 2
    assert _lines(db) == ["access 0 any scope-missing 4"]


def test_refused_forms_of_the_console_are_counted(db: HashDB) -> None:
    for error in (InvalidInput(()), NameTaken("Alpha"), SignInRefused("no"), LimitReached("x", 1), StoreBusy(1)):
        refusals.note_form(db, error)
    refusals.note_access(db, None, FormRefused())
    assert _lines(db) == ["access 0 any form-refused 1", "form 0 any invalid-input 1", "form 0 any name-taken 1"]
    (event,) = _logged_refusals(db)
    assert (event.subject, event.details) == ("service:1", {"form-refused": 1})
