"""Accounts: /v1/members, their keys, and /v1/me."""

from __future__ import annotations

from functools import partial

from hashdb import __version__
from hashdb.domain.accounts.budgets import Budget
from hashdb.domain.accounts.members import Scope
from hashdb.domain.review.proposals import Proposal
from hashdb.errors import NotAuthenticated
from hashdb.service.accounts import members
from hashdb.service.matching import seeds
from hashdb.web.context import actor, body, hashdb, list_page, query
from hashdb.web.routes import ApiBlueprint, operation
from hashdb.wire import read
from hashdb.wire.accounts import IssuedKeyOut, KeyIn, KeysOut, MemberChangeIn, MemberIn, MemberOut, MembersOut, MeOut
from hashdb.wire.pages import PageQuery
from hashdb.wire.review import ProposalOut

members_api = ApiBlueprint("members", tag="Members", about="For administrators: members and their keys.")

_ADMIN = [Scope.ADMIN]


@members_api.get("")
@operation({200: MembersOut}, any_scope=_ADMIN, query=PageQuery)
def list_members() -> MembersOut:
    """List the members.

    Returns a page of members in the order of their ids.
    """
    return list_page(MembersOut, query(PageQuery), partial(members.page, hashdb(), actor()))


@members_api.post("")
@operation({201: MemberOut}, any_scope=_ADMIN, body=MemberIn, errors=[409])
def create_member() -> MemberOut:
    """Add a member.

    The programs of the member cannot use the service until you issue a key. If another member has the name, the
    response is 409.
    """
    draft = read(MemberIn, body()).to_domain()
    return MemberOut.from_domain(members.add(hashdb(), actor(), draft))


@members_api.get("/<id:member_id>")
@operation({200: MemberOut}, any_scope=_ADMIN, errors=[404])
def get_member(member_id: int) -> MemberOut:
    """Get one member.

    Has its kind, status, contact and limits. Its keys have an address of their own.
    """
    return MemberOut.from_domain(members.get(hashdb(), actor(), member_id))


@members_api.patch("/<id:member_id>")
@operation({200: MemberOut, 202: ProposalOut}, any_scope=_ADMIN, body=MemberChangeIn, errors=[404, 409])
def update_member(member_id: int) -> MemberOut | ProposalOut:
    """Change, suspend or reinstate a member.

    Only the fields in the body change. A suspension takes effect at once: the keys of the member stop working, and its
    contributions stop matching. If a suspension needs two persons, the first request returns 202 with a proposal, and
    nothing changes until a second person sends the same request.
    """
    requested = read(MemberChangeIn, body()).to_domain()
    changed = members.change(hashdb(), actor(), member_id, requested)
    if isinstance(changed, Proposal):
        return ProposalOut.from_domain(changed)
    return MemberOut.from_domain(changed)


@members_api.get("/<id:member_id>/keys")
@operation({200: KeysOut}, any_scope=_ADMIN, query=PageQuery, errors=[404])
def list_keys(member_id: int) -> KeysOut:
    """List the keys of a member.

    Includes revoked and expired keys. No response has the secret of an existing key.
    """
    return list_page(KeysOut, query(PageQuery), partial(members.keys, hashdb(), actor(), member_id))


@members_api.post("/<id:member_id>/keys")
@operation({201: IssuedKeyOut}, any_scope=_ADMIN, body=KeyIn, errors=[404])
def issue_key(member_id: int) -> IssuedKeyOut:
    """Issue a key to a member.

    Only this response has the secret of the key: the service does not store it.
    """
    draft = read(KeyIn, body()).to_domain()
    issued = members.issue_key(hashdb(), actor(), member_id, draft)
    return IssuedKeyOut.from_issued(issued)


@members_api.delete("/<id:member_id>/keys/<id:key_id>")
@operation({204: None}, any_scope=_ADMIN, errors=[404, 409])
def revoke_key(member_id: int, key_id: int) -> None:
    """Revoke a key.

    The key stops working from its next request. This cannot be undone. If the key is already revoked, the response is
    409.
    """
    members.revoke_key(hashdb(), actor(), key_id, member_id)


me_api = ApiBlueprint(
    "me", tag="Your account", about="For members: who you are, your limits, and what the service accepts."
)


@me_api.get("")
@operation({200: MeOut})
def get_me() -> MeOut:
    """Get your member, key and limits.

    Also returns what is left of the budgets of the key, the algorithms and the vocabulary of the service, and, to a key
    with scope `contribute` or `match`, the seeds of secret views.
    """
    me = actor()
    if me.member is None or me.key is None:
        raise NotAuthenticated()
    db = hashdb()
    left = db.budgets.left(me, Budget, db.now())
    return MeOut.from_domain(me.member, me.key, db.rules, left, __version__, seeds.known_to(db, me))
