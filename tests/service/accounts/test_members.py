"""Members and keys: how an admin manages them, and how a secret identifies a key."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from hashdb.domain.accounts.members import (
    COMMAND_LINE,
    Actor,
    KeyDraft,
    MemberChange,
    MemberDraft,
    MemberKind,
    MemberLimits,
    MemberStatus,
    Scope,
)
from hashdb.domain.ledger.events import Event, secret_tag
from hashdb.errors import AlreadyRevoked, InvalidInput, NameTaken, NotAuthenticated, NotFound, ScopeMissing
from hashdb.service import HashDB
from hashdb.service.accounts import members
from tests.builders import NOON, Clock, hashdb, member_with
from tests.service.concurrently import run_concurrently

DRAFT = MemberDraft("Example", MemberKind.TRUSTED_FLAGGER, "mail@example.org", MemberLimits(10))
MATCH = KeyDraft(frozenset({Scope.MATCH}))
SUSPENDED, ACTIVE = MemberChange(status=MemberStatus.SUSPENDED), MemberChange(status=MemberStatus.ACTIVE)


def events(db: HashDB) -> tuple[Event, ...]:
    with db.store.read() as tx:
        return tx.audit.since(0, 1_000)


def test_a_member_is_added_and_its_event_does_not_contain_its_name(db: HashDB) -> None:
    member = members.add(db, COMMAND_LINE, DRAFT)
    assert (member.name, member.kind, member.contact, member.limits) == (
        DRAFT.name,
        DRAFT.kind,
        DRAFT.contact,
        DRAFT.limits,
    )
    assert members.get(db, COMMAND_LINE, member.id) == members.named(db, COMMAND_LINE, "Example") == member
    assert members.page(db, COMMAND_LINE, 0, 10) == (member,)
    (event,) = events(db)
    assert (event.action, event.actor, event.subject) == ("member.added", "system:cli", f"member:{member.id}")
    assert event.details == {"kind": "trusted_flagger"}


def test_a_taken_name_is_rejected_and_not_logged(db: HashDB) -> None:
    members.add(db, COMMAND_LINE, DRAFT)
    before = events(db)
    with pytest.raises(NameTaken):
        members.add(db, COMMAND_LINE, DRAFT)
    assert events(db) == before


Verb = Callable[[HashDB, Actor], object]
READS: tuple[Verb, ...] = (
    lambda db, actor: members.get(db, actor, 1),
    lambda db, actor: members.named(db, actor, "Example"),
    lambda db, actor: members.keys(db, actor, 1, 0, 10),
    lambda db, actor: members.key(db, actor, 1),
    lambda db, actor: members.page(db, actor, 0, 10),
    lambda db, actor: members.activity(db, actor, [1]),
    lambda db, actor: members.impact(db, actor, 1),
)
CHANGES_OF_ONE: tuple[Verb, ...] = (
    lambda db, actor: members.change(db, actor, 1, SUSPENDED),
    lambda db, actor: members.issue_key(db, actor, 1, MATCH),
    lambda db, actor: members.revoke_key(db, actor, 1),
)
ADDITIONS: tuple[Verb, ...] = (lambda db, actor: members.add(db, actor, replace(DRAFT, name="Another")),)


@pytest.mark.parametrize("verb", CHANGES_OF_ONE + ADDITIONS)
def test_only_an_admin_can_add_or_change_members_and_keys(db: HashDB, verb: Verb) -> None:
    actor = member_with(db, *(frozenset(Scope) - {Scope.ADMIN}))
    before = events(db)
    with pytest.raises(ScopeMissing, match=r"^this key lacks the scope admin$"):
        verb(db, actor)
    assert events(db) == before


@pytest.mark.parametrize("verb", READS)
def test_an_auditor_can_read_members_and_others_cannot(db: HashDB, verb: Verb) -> None:
    members.issue_key(db, COMMAND_LINE, members.add(db, COMMAND_LINE, DRAFT).id, MATCH)
    verb(db, member_with(db, Scope.AUDIT))
    actor = member_with(db, *(frozenset(Scope) - {Scope.ADMIN, Scope.AUDIT}))
    with pytest.raises(ScopeMissing, match=r"^this key lacks the scope audit$"):
        verb(db, actor)


def test_a_secret_is_stored_only_as_a_digest(db: HashDB) -> None:
    member = members.add(db, COMMAND_LINE, DRAFT)
    issued = members.issue_key(db, COMMAND_LINE, member.id, MATCH)
    assert re.fullmatch(r"hdb_[A-Za-z0-9_-]{43}", issued.secret)
    with db.store.read() as tx:
        assert tx.members.key_by_digest(hashlib.sha256(issued.secret.encode()).digest()) == issued.key
    event = events(db)[-1]
    assert (event.action, event.details) == (
        "key.issued",
        {
            "member": member.id,
            "scopes": ["match"],
            "expires_at": None,
            "secret_tag": secret_tag(hashlib.sha256(issued.secret.encode()).digest()),
        },
    )
    actor = members.authenticate(db, issued.secret)
    assert (str(actor), actor.scopes, actor.member) == (f"key:{issued.key.id}", MATCH.scopes, member)
    assert members.keys(db, COMMAND_LINE, member.id, 0, 10) == (issued.key,)


@pytest.mark.parametrize("secret", ["", "hdb_", "hdb_" + "a" * 43, "nothing", "hdb_\N{SNOWMAN}", "hdb_" + "a" * 10_000])
def test_an_unknown_or_malformed_secret_is_refused(db: HashDB, secret: str) -> None:
    member_with(db)
    with pytest.raises(NotAuthenticated):
        members.authenticate(db, secret)


def test_a_key_expires_at_exactly_its_expiry_time(db: HashDB, clock: Clock) -> None:
    member = members.add(db, COMMAND_LINE, DRAFT)
    expiring = replace(MATCH, expires_at=NOON + timedelta(hours=1))
    secret = members.issue_key(db, COMMAND_LINE, member.id, expiring).secret
    clock.advance(hours=1, microseconds=-1)
    members.authenticate(db, secret)
    clock.advance(microseconds=1)
    with pytest.raises(NotAuthenticated):
        members.authenticate(db, secret)
    with pytest.raises(InvalidInput, match=r"^expires_at: must be in the future$"):
        members.issue_key(db, COMMAND_LINE, member.id, expiring)


def test_a_revoked_key_is_refused_by_every_process(db: HashDB, clock: Clock, database_url: str) -> None:
    member = members.add(db, COMMAND_LINE, DRAFT)
    issued = members.issue_key(db, COMMAND_LINE, member.id, MATCH)
    other_process = hashdb(database_url, clock)
    members.authenticate(other_process, issued.secret)
    revoked = members.revoke_key(db, COMMAND_LINE, issued.key.id)
    assert revoked.revoked_at == NOON
    for service in (db, other_process):
        with pytest.raises(NotAuthenticated):
            members.authenticate(service, issued.secret)
    assert events(db)[-1].action == "key.revoked"
    with pytest.raises(AlreadyRevoked, match=rf"^key {issued.key.id} is already revoked$"):
        members.revoke_key(db, COMMAND_LINE, issued.key.id)
    other_process.close()


def test_concurrent_revocations_revoke_a_key_once(db: HashDB) -> None:
    member = members.add(db, COMMAND_LINE, DRAFT)
    for _ in range(3):
        key = members.issue_key(db, COMMAND_LINE, member.id, MATCH).key

        def revoke(id: int = key.id) -> bool:
            try:
                return members.revoke_key(db, COMMAND_LINE, id).revoked_at is not None
            except AlreadyRevoked:
                return False

        assert sorted(run_concurrently([revoke] * 4)) == [False, False, False, True]
    assert [event.action for event in events(db)].count("key.revoked") == 3


def test_a_key_of_another_member_cannot_be_revoked(db: HashDB) -> None:
    first, second = (members.add(db, COMMAND_LINE, replace(DRAFT, name=name)) for name in ("One", "Two"))
    issued = members.issue_key(db, COMMAND_LINE, first.id, MATCH)
    with pytest.raises(NotFound, match=rf"^key {issued.key.id} of member {second.id} does not exist$"):
        members.revoke_key(db, COMMAND_LINE, issued.key.id, second.id)
    assert members.revoke_key(db, COMMAND_LINE, issued.key.id, first.id).revoked_at == NOON


def test_a_change_of_a_member_applies_to_the_next_request_in_every_process(
    db: HashDB, clock: Clock, database_url: str
) -> None:
    member = members.add(db, COMMAND_LINE, DRAFT)
    secret = members.issue_key(db, COMMAND_LINE, member.id, MATCH).secret
    other_process = hashdb(database_url, clock)
    for change in (SUSPENDED, ACTIVE, MemberChange(name="New"), MemberChange(limits=MemberLimits(1))):
        changed = members.change(db, COMMAND_LINE, member.id, change)
        for service in (db, other_process):
            assert members.authenticate(service, secret).member == changed
    other_process.close()


def test_a_change_is_logged_with_the_names_of_the_changed_fields(db: HashDB) -> None:
    member = members.add(db, COMMAND_LINE, DRAFT)

    def logged(change: MemberChange) -> list[tuple[str, object]]:
        before = len(events(db))
        members.change(db, COMMAND_LINE, member.id, change)
        return [(event.action, event.details) for event in events(db)[before:]]

    assert logged(MemberChange(name="New", contact="c", limits=MemberLimits(1), kind=MemberKind.PLATFORM)) == [
        ("member.amended", {"fields": ["contact", "kind", "limits", "name"], "kind": "platform"})
    ]
    assert logged(MemberChange(name="New")) == logged(MemberChange()) == []
    assert logged(SUSPENDED) == [("member.suspended", {})]
    assert logged(SUSPENDED) == []
    assert logged(replace(ACTIVE, contact="d")) == [
        ("member.amended", {"fields": ["contact"]}),
        ("member.reinstated", {}),
    ]


def test_concurrent_suspensions_suspend_a_member_once(db: HashDB) -> None:
    for name in ("One", "Two", "Three"):
        member = members.add(db, COMMAND_LINE, replace(DRAFT, name=name))
        run_concurrently([partial(members.change, db, COMMAND_LINE, member.id, SUSPENDED)] * 4)
    assert [event.action for event in events(db)].count("member.suspended") == 3


def test_a_missing_member_or_key_is_reported(db: HashDB) -> None:
    for verb in (*READS[:4], *CHANGES_OF_ONE):
        with pytest.raises(NotFound):
            verb(db, COMMAND_LINE)
    assert events(db) == ()
