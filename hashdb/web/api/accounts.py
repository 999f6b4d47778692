"""Accounts: /v1/members, their keys, and /v1/me."""

from __future__ import annotations

from flask import Response

from hashdb import __version__
from hashdb.domain.accounts.budgets import Budget
from hashdb.domain.accounts.members import Scope
from hashdb.domain.review.incidents import Proposal
from hashdb.errors import NotAuthenticated
from hashdb.service.accounts import members
from hashdb.service.matching import seeds
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

members_api = ApiBlueprint(
    "members", __name__, url_prefix="/v1/members", tag="Members", about="For administrators: members and their keys."
)

_ADMIN = [Scope.ADMIN]


@members_api.get("")
@operation({200: MembersOut}, scopes=_ADMIN, takes=PageQuery)
def list_members() -> Response:
    """List the members.

    Returns a page of members in the order of their ids.
    """
    params = query(PageQuery)
    rows = members.page(hashdb(), actor(), params.after, params.limit + 1)
    return answer(MembersOut.from_rows(rows, params.limit))


@members_api.post("")
@operation({201: MemberOut}, scopes=_ADMIN, reads=MemberIn, refuses=[409])
def create_member() -> Response:
    """Add a member.

    The programs of the member cannot use the service until you issue a key. If another member has the name, the
    response is 409.
    """
    draft = read(MemberIn, body()).to_domain()
    return answer(MemberOut.from_domain(members.add(hashdb(), actor(), draft)), 201)


@members_api.get("/<id:member_id>")
@operation({200: MemberOut}, scopes=_ADMIN, refuses=[404])
def get_member(member_id: int) -> Response:
    """Get one member.

    Has its kind, status, contact and limits. Its keys have an address of their own.
    """
    return answer(MemberOut.from_domain(members.get(hashdb(), actor(), member_id)))


@members_api.patch("/<id:member_id>")
@operation({200: MemberOut, 202: ProposalOut}, scopes=_ADMIN, reads=MemberChangeIn, refuses=[404, 409])
def update_member(member_id: int) -> Response:
    """Change, suspend or reinstate a member.

    Only the fields in the body change. A suspension takes effect at once: the keys of the member stop working, and its
    contributions stop matching. If a suspension needs two persons, the first request returns 202 with a proposal, and
    nothing changes until a second person sends the same request.
    """
    requested = read(MemberChangeIn, body()).to_domain()
    changed = members.change(hashdb(), actor(), member_id, requested)
    if isinstance(changed, Proposal):
        return answer(ProposalOut.from_domain(changed), 202)
    return answer(MemberOut.from_domain(changed))


@members_api.get("/<id:member_id>/keys")
@operation({200: KeysOut}, scopes=_ADMIN, takes=PageQuery, refuses=[404])
def list_keys(member_id: int) -> Response:
    """List the keys of a member.

    Includes revoked and expired keys. No response has the secret of an existing key.
    """
    params = query(PageQuery)
    rows = members.keys(hashdb(), actor(), member_id, params.after, params.limit + 1)
    return answer(KeysOut.from_rows(rows, params.limit))


@members_api.post("/<id:member_id>/keys")
@operation({201: IssuedKeyOut}, scopes=_ADMIN, reads=KeyIn, refuses=[404])
def issue_key(member_id: int) -> Response:
    """Issue a key to a member.

    Only this response has the secret of the key: the service does not store it.
    """
    draft = read(KeyIn, body()).to_domain()
    issued = members.issue_key(hashdb(), actor(), member_id, draft)
    return answer(IssuedKeyOut.from_issued(issued), 201)


@members_api.delete("/<id:member_id>/keys/<id:key_id>")
@operation({204: None}, scopes=_ADMIN, refuses=[404, 409])
def revoke_key(member_id: int, key_id: int) -> Response:
    """Revoke a key.

    The key stops working from its next request. This cannot be undone. If the key is already revoked, the response is
    409.
    """
    members.revoke_key(hashdb(), actor(), key_id, member_id)
    return no_content()


me_api = ApiBlueprint(
    "me",
    __name__,
    url_prefix="/v1/me",
    tag="Your account",
    about="For members: who you are, your limits, and what the service accepts.",
)


@me_api.get("")
@operation({200: MeOut})
def get_me() -> Response:
    """Get your member, key and limits.

    Also returns what is left of the budgets of the key, the algorithms and the vocabulary of the service, and, to a key
    with scope `contribute` or `match`, the seeds of secret views.
    """
    me = actor()
    if me.member is None or me.key is None:
        raise NotAuthenticated()
    db = hashdb()
    left = db.budgets.left(me, Budget, db.now())
    return answer(MeOut.from_domain(me.member, me.key, db.rules, left, __version__, seeds.known_to(db, me)))
