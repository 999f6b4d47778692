"""Members, keys and actors: who may do what."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from hashdb.domain.accounts.members import (
    COMMAND_LINE,
    SYSTEM,
    Actor,
    IssuedKey,
    Key,
    Member,
    MemberKind,
    MemberLimits,
    MemberStatus,
    Scope,
)
from hashdb.errors import MemberSuspended, ScopeMissing
from tests.builders import NOON

MEMBER = Member(1, "Example", MemberKind.PLATFORM, MemberStatus.ACTIVE, "", MemberLimits(), NOON)
KEY = Key(7, 1, frozenset({Scope.MATCH}), NOON, None, None)


def an_actor(*scopes: Scope, member: Member = MEMBER) -> Actor:
    return Actor("key:7", frozenset(scopes), member, KEY)


@pytest.mark.parametrize("scope", Scope)
def test_a_scope_gives_itself_and_admin_gives_review_and_audit(scope: Scope) -> None:
    given = {other for other in Scope if an_actor(scope).has(other)}
    assert given == ({Scope.ADMIN, Scope.REVIEW, Scope.AUDIT} if scope is Scope.ADMIN else {scope})


def test_one_of_several_scopes_is_enough() -> None:
    an_actor(Scope.MATCH).require(Scope.CONTRIBUTE, Scope.MATCH)
    with pytest.raises(ScopeMissing) as caught:
        an_actor(Scope.FEED).require(Scope.CONTRIBUTE, Scope.MATCH)
    assert str(caught.value) == "this key lacks the scope contribute or match"


def test_a_suspended_member_may_do_nothing_whatever_its_scopes() -> None:
    actor = an_actor(*Scope, member=replace(MEMBER, status=MemberStatus.SUSPENDED))
    for scopes in ((), *((scope,) for scope in Scope)):
        with pytest.raises(MemberSuspended):
            actor.require(*scopes)


def test_the_system_has_every_scope_but_is_no_member() -> None:
    for actor in (SYSTEM, COMMAND_LINE):
        actor.require()
        assert all(actor.has(scope) for scope in Scope)
        with pytest.raises(ScopeMissing):
            actor.require_member(Scope.CONTRIBUTE)
        assert not actor.is_member(MEMBER.id)
        assert not actor.is_member(None)


def test_whoever_acts_for_a_member_is_that_member() -> None:
    assert an_actor(Scope.CONTRIBUTE).require_member(Scope.CONTRIBUTE) is MEMBER
    assert [an_actor().is_member(id) for id in (MEMBER.id, MEMBER.id + 1, None)] == [True, False, False]
    with pytest.raises(ScopeMissing):
        an_actor(Scope.MATCH).require_member(Scope.CONTRIBUTE)


def test_a_key_ends_at_its_instant_or_when_it_is_revoked() -> None:
    ends = replace(KEY, expires_at=NOON)
    assert ends.valid(NOON - timedelta(microseconds=1))
    assert not ends.valid(NOON)
    assert KEY.valid(NOON)
    assert not replace(KEY, revoked_at=NOON).valid(NOON)


def test_a_secret_is_not_in_the_text_of_a_key() -> None:
    assert "hdb_" not in repr(IssuedKey(KEY, "hdb_secret"))
