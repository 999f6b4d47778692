"""Refusals: told to the log once a minute in all, and once an hour a key."""

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
from tests.builders import NOON, Clock, again, hashdb


def _told(db: HashDB) -> list[Event]:
    counts.flush(db)
    with db.store.read() as tx:
        return [one for one in tx.audit.since(0, 1000) if one.action == Action.AUTH_REFUSED]


def _knock(db: HashDB, *secrets: str) -> None:
    for secret in secrets:
        with pytest.raises(NotAuthenticated):
            members.authenticate(db, secret)


def _lines(db: HashDB) -> list[str]:
    counts.flush(db)
    return list(lines(counts.get(db, COMMAND_LINE, NOON.date()).counts))


def test_those_without_a_key_are_told_once_a_minute_by_reason(database_url: str, db: HashDB, clock: Clock) -> None:
    second = hashdb(database_url, clock)
    _knock(db, "", "hdb_nonsense", "nonsense")
    (first,) = _told(db)
    assert (first.actor, first.subject) == ("system:hashdb", "service:1")
    assert first.details == {"no-key": 1, "unknown-key": 2}
    for one in (db, second):
        _knock(one, "", "")
        counts.flush(one)
    assert _told(db) == [first]
    clock.go(seconds=60)
    assert _told(second)[1].details == {"no-key": 4}
    clock.go(seconds=600)
    assert len(_told(db)) == 2
    second.close()


def test_keys_that_are_no_longer_valid_are_told_apart(db: HashDB, actor: Actor, clock: Clock) -> None:
    assert actor.member
    issued = [
        members.issue_key(db, COMMAND_LINE, actor.member.id, KeyDraft(frozenset(), clock.at.replace(hour=hour)))
        for hour in (13, 14)
    ]
    members.revoke_key(db, COMMAND_LINE, issued[1].key.id)
    clock.go(hours=1)
    _knock(db, *(one.secret for one in issued))
    (event,) = _told(db)
    assert event.details == {"expired-key": 1, "revoked-key": 1}
    assert _lines(db) == [f"access {actor.member.id} any expired-key 1", f"access {actor.member.id} any revoked-key 1"]


def test_a_key_without_the_scope_is_told_once_an_hour(database_url: str, db: HashDB, actor: Actor) -> None:
    clock = Clock()
    first, second = hashdb(database_url, clock), hashdb(database_url, clock)
    for one in (first, first, second):
        refusals.note_access(one, actor, ScopeMissing("contribute or admin"))
        counts.flush(one)
    (event,) = _told(first)
    assert (event.actor, event.subject) == (str(actor), str(actor))
    assert event.details == {"reason": "scope-missing", "scopes": ["contribute", "admin"]}
    clock.go(hours=1)
    refusals.note_access(second, actor, ScopeMissing("audit"))
    assert [one.details.get("scopes") for one in _told(second)] == [["contribute", "admin"], ["audit"]]
    first.close()
    second.close()


def test_a_suspended_member_is_told_of_each_of_its_keys(db: HashDB, actor: Actor) -> None:
    assert actor.member
    another = again(db, actor)
    members.change(db, COMMAND_LINE, actor.member.id, MemberChange(status=MemberStatus.SUSPENDED))
    for one in (actor, another, another):
        refusals.note_access(db, one, MemberSuspended())
    assert {one.subject: one.details for one in _told(db)} == {
        str(one): {"reason": "member-suspended"} for one in (actor, another)
    }
    assert f"access {actor.member.id} any member-suspended 3" in _lines(db)


def test_contributions_are_counted_by_the_kind_of_refusal_and_the_fields_at_fault(db: HashDB, actor: Actor) -> None:
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
    assert _told(db) == []


def test_what_is_no_refusal_of_a_key_is_not_told(db: HashDB, actor: Actor) -> None:
    for who, error in ((None, ScopeMissing(Scope.AUDIT)), (actor, StoreBusy(1)), (COMMAND_LINE, MemberSuspended())):
        refusals.note_access(db, who, error)
    assert not counts.flush(db)


def test_a_user_of_the_console_is_told_once_an_hour_and_each_refusal_counted(db: HashDB, clock: Clock) -> None:
    otto, eva = Actor("user:1", frozenset({Scope.AUDIT})), Actor("user:2", frozenset())
    for who in (otto, otto, eva):
        refusals.note_access(db, who, ScopeMissing("admin or review"))
    first, second = _told(db)
    assert [(one.actor, one.subject) for one in (first, second)] == [("user:1", "user:1"), ("user:2", "user:2")]
    assert first.details == {"reason": "scope-missing", "scopes": ["admin", "review"]}
    clock.go(minutes=59)
    refusals.note_access(db, otto, ScopeMissing("admin"))
    assert len(_told(db)) == 2
    assert _lines(db) == ["access 0 any scope-missing 4"]


def test_refused_forms_of_the_console_are_counted(db: HashDB) -> None:
    for error in (InvalidInput(()), NameTaken("Alpha"), SignInRefused("no"), LimitReached("x", 1), StoreBusy(1)):
        refusals.note_form(db, error)
    refusals.note_access(db, None, FormRefused())
    assert _lines(db) == ["access 0 any form-refused 1", "form 0 any invalid-input 1", "form 0 any name-taken 1"]
    (told,) = _told(db)
    assert (told.subject, told.details) == ("service:1", {"form-refused": 1})
