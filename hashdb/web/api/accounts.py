"""Accounts: /v1/members, their keys, and /v1/me."""

from __future__ import annotations

from flask import Response

from hashdb import __version__
from hashdb.domain.accounts.budgets import Budget
from hashdb.domain.accounts.members import Scope
from hashdb.domain.review.incidents import Proposal
from hashdb.errors import NotAuthenticated
from hashdb.service.accounts import members
from hashdb.web.context import actor, answer, body, hashdb, no_content, query
from hashdb.web.openapi import ApiBlueprint, operation
from hashdb.wire import read
from hashdb.wire.accounts import (
    IssuedKeyOut,
    KeyIn,
    KeysOut,
    MemberChangeIn,
    MemberIn,
    MemberOut,
    MembersOut,
    MeOut,
)
from hashdb.wire.pages import PageQuery
from hashdb.wire.review import ProposalOut

members_api = ApiBlueprint("members", __name__, url_prefix="/v1/members", tag="Administer")

_ADMIN = [Scope.ADMIN]


@members_api.get("")
@operation({200: MembersOut}, scopes=_ADMIN, takes=PageQuery)
def browse() -> Response:
    """List the members."""
    params = query(PageQuery)
    rows = members.page(hashdb(), actor(), params.after, params.limit + 1)
    return answer(MembersOut.of(rows, params.limit))


@members_api.post("")
@operation({201: MemberOut}, scopes=_ADMIN, reads=MemberIn, refuses=[409])
def add() -> Response:
    """Take a member in."""
    draft = read(MemberIn, body()).to_domain()
    return answer(MemberOut.from_domain(members.add(hashdb(), actor(), draft)), 201)


@members_api.get("/<id:member_id>", endpoint="show")
@operation({200: MemberOut}, scopes=_ADMIN, refuses=[404])
def show_member(member_id: int) -> Response:
    """Show one member."""
    return answer(MemberOut.from_domain(members.get(hashdb(), actor(), member_id)))


@members_api.patch("/<id:member_id>")
@operation({200: MemberOut, 202: ProposalOut}, scopes=_ADMIN, reads=MemberChangeIn, refuses=[404, 409])
def change(member_id: int) -> Response:
    """Change a member, suspend or reinstate it. A suspension acts at once.

    Where two persons are needed to suspend one, the first one's request is answered with 202 and waits for the
    second one's.
    """
    requested = read(MemberChangeIn, body()).to_domain()
    changed = members.change(hashdb(), actor(), member_id, requested)
    if isinstance(changed, Proposal):
        return answer(ProposalOut.from_domain(changed), 202)
    return answer(MemberOut.from_domain(changed))


@members_api.get("/<id:member_id>/keys")
@operation({200: KeysOut}, scopes=_ADMIN, takes=PageQuery, refuses=[404])
def keys(member_id: int) -> Response:
    """List a member's keys, without their secrets."""
    params = query(PageQuery)
    rows = members.keys(hashdb(), actor(), member_id, params.after, params.limit + 1)
    return answer(KeysOut.of(rows, params.limit))


@members_api.post("/<id:member_id>/keys")
@operation({201: IssuedKeyOut}, scopes=_ADMIN, reads=KeyIn, refuses=[404])
def issue_key(member_id: int) -> Response:
    """Issue a key. Its secret is in this answer and nowhere else."""
    draft = read(KeyIn, body()).to_domain()
    issued = members.issue_key(hashdb(), actor(), member_id, draft)
    return answer(IssuedKeyOut.from_issued(issued), 201)


@members_api.delete("/<id:member_id>/keys/<id:key_id>")
@operation({204: None}, scopes=_ADMIN, refuses=[404, 409])
def revoke_key(member_id: int, key_id: int) -> Response:
    """Revoke a key: it opens nothing from the next request on."""
    members.revoke_key(hashdb(), actor(), key_id, member_id)
    return no_content()


me_api = ApiBlueprint("me", __name__, url_prefix="/v1/me", tag="Who you are")


@me_api.get("", endpoint="show")
@operation({200: MeOut})
def show_me() -> Response:
    """Show who you are here, and what this service takes."""
    me = actor()
    if me.member is None or me.key is None:
        raise NotAuthenticated()
    db = hashdb()
    return answer(MeOut.from_domain(me.member, me.key, db.rules, db.budgets.left(me, Budget, db.now()), __version__))
