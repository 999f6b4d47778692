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


def actor_with(*scopes: Scope, member: Member = MEMBER) -> Actor:
    return Actor("key:7", frozenset(scopes), member, KEY)


@pytest.mark.parametrize("scope", Scope)
def test_a_scope_includes_only_itself_and_admin_also_review_and_audit(scope: Scope) -> None:
    held = {other for other in Scope if actor_with(scope).has(other)}
    assert held == ({Scope.ADMIN, Scope.REVIEW, Scope.AUDIT} if scope is Scope.ADMIN else {scope})


def test_one_of_several_scopes_is_enough() -> None:
    actor_with(Scope.MATCH).require(Scope.CONTRIBUTE, Scope.MATCH)
    with pytest.raises(ScopeMissing) as caught:
        actor_with(Scope.FEED).require(Scope.CONTRIBUTE, Scope.MATCH)
    assert str(caught.value) == "this key lacks the scope contribute or match"


def test_a_suspended_member_may_do_nothing_even_with_every_scope() -> None:
    actor = actor_with(*Scope, member=replace(MEMBER, status=MemberStatus.SUSPENDED))
    for scopes in ((), *((scope,) for scope in Scope)):
        with pytest.raises(MemberSuspended):
            actor.require(*scopes)


def test_the_service_and_command_line_have_every_scope_but_no_member() -> None:
    for actor in (SYSTEM, COMMAND_LINE):
        actor.require_not_suspended()
        assert all(actor.has(scope) for scope in Scope)
        with pytest.raises(ScopeMissing):
            actor.require_member(Scope.CONTRIBUTE)
        assert not actor.is_member(MEMBER.id)
        assert not actor.is_member(None)


def test_an_actor_with_a_members_key_is_that_member() -> None:
    assert actor_with(Scope.CONTRIBUTE).require_member(Scope.CONTRIBUTE) is MEMBER
    assert [actor_with().is_member(id) for id in (MEMBER.id, MEMBER.id + 1, None)] == [True, False, False]
    with pytest.raises(ScopeMissing):
        actor_with(Scope.MATCH).require_member(Scope.CONTRIBUTE)


def test_a_key_is_valid_until_it_expires_or_is_revoked() -> None:
    expiring = replace(KEY, expires_at=NOON)
    assert expiring.valid(NOON - timedelta(microseconds=1))
    assert not expiring.valid(NOON)
    assert KEY.valid(NOON)
    assert not replace(KEY, revoked_at=NOON).valid(NOON)


def test_the_repr_of_an_issued_key_hides_the_secret() -> None:
    assert "hdb_" not in repr(IssuedKey(KEY, "hdb_secret"))
