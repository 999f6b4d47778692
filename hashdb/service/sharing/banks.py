"""Banks: the contributions of each member as a bank of HMA (Hasher-Matcher-Actioner)."""

from __future__ import annotations

from collections.abc import Mapping

from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.contributions import Contribution
from hashdb.domain.listings import read_all
from hashdb.domain.matching.matches import Query
from hashdb.domain.matching.testing import TEST_ID
from hashdb.domain.sharing.exchanges import BankHit, bank_names
from hashdb.errors import BankOfMember, NotFound, NotYours
from hashdb.service import HashDB
from hashdb.service.contributions import contributions
from hashdb.service.contributions.sight import sees_members
from hashdb.service.matching import matches

_TEST_BANK = "HASHDB_TEST"
_SHARED_BANK = "HASHDB_SHARED"
"""The one bank of all other members. An actor gets it who may not see the contributors of contributions."""
_OTHER_MEMBERS = -1
"""What stands for the member of this bank."""


def list_banks(db: HashDB, actor: Actor) -> Mapping[int, str]:
    """The names of HMA's banks, by member: each member has one, and so has the test item (member 0).

    An actor who may not see contributors gets two banks: its own, and one for all other members.
    """
    with db.read(actor, Scope.MATCH, Scope.CONTRIBUTE) as tx:
        every = bank_names(list(read_all(tx.members.page)), _TEST_BANK, _SHARED_BANK)
    if sees_members(actor):
        return {TEST_ID: _TEST_BANK, **every}
    own = {} if actor.member is None else {actor.member.id: every[actor.member.id]}
    return {**own, TEST_ID: _TEST_BANK, _OTHER_MEMBERS: _SHARED_BANK}


def require_own_bank(db: HashDB, actor: Actor, bank: str) -> None:
    """Raise NotFound if there is no such bank, NotYours or BankOfMember if it is not the actor's."""
    member = find_bank(db, actor, bank)
    if member == _OTHER_MEMBERS:
        raise BankOfMember()
    if not actor.is_member(member):
        raise NotYours("the bank of member", member)


def find_bank(db: HashDB, actor: Actor, bank: str) -> int:
    """The member whose bank has this name, as `list_banks` has it. Raises NotFound."""
    for member, name in list_banks(db, actor).items():
        if name == bank:
            return member
    raise NotFound("a bank of this name")


def look_up(db: HashDB, actor: Actor, query: Query) -> tuple[BankHit, ...]:
    """What matches a query, nearest first, each with its bank."""
    (result,) = matches.match(db, actor, [query]).results
    if not result.matches:
        return ()
    banks, ids = list_banks(db, actor), [match.contribution for match in result.matches]
    with db.store.read() as tx:
        members = tx.contributions.contributors(ids)
    return tuple(
        BankHit(banks.get(members.get(match.contribution, TEST_ID), _SHARED_BANK), match) for match in result.matches
    )


def content(db: HashDB, actor: Actor, bank: str | None, id: int) -> Contribution:
    """A contribution of this bank (None: of any), with the fields that the actor may see. Raises NotFound."""
    bank_member = None if bank is None else find_bank(db, actor, bank)
    contribution = contributions.get(db, actor, id)
    # Its member is left out if the actor may not see contributors. The test item never has a member.
    contributor = contribution.member if contribution.member or id == TEST_ID else _OTHER_MEMBERS
    if bank_member not in (None, contributor):
        raise NotFound(f"contribution {id} in this bank")
    return contribution


def remove(db: HashDB, actor: Actor, bank: str | None, id: int) -> Contribution:
    """Withdraw a contribution of the member's own; `bank` is as in `content`.

    Raises NotFound, NotYours, AlreadyWithdrawn.
    """
    if not actor.is_member(content(db, actor, bank, id).member):
        raise NotYours("contribution", id)
    return contributions.withdraw(db, actor, id, "other")
