"""Banks: each member's contributions under the name that HMA gives them, and what of them matches."""

from __future__ import annotations

from collections.abc import Mapping

from hashdb.domain.banks import Hit, bank_names
from hashdb.domain.contributions import Contribution
from hashdb.domain.matches import Query
from hashdb.domain.members import Actor, Member, Scope
from hashdb.domain.testing import TEST_ID
from hashdb.errors import BankOfMember, NotFound, NotYours
from hashdb.service import HashDB, contributions, matches
from hashdb.service.sight import owns, told_members

_MANY = 1_000
_TEST_BANK = "HASHDB_TEST"
_SHARED, _SHARED_BANK = -1, "HASHDB_SHARED"
"""To who is not told which member contributed: the bank of all other members together."""


def names(db: HashDB, actor: Actor) -> Mapping[int, str]:
    """The banks, by member, and the test item's, whose member is 0.

    An actor that is not told which member contributed has its own bank, and one for all that others contribute.
    """
    actor.require(Scope.MATCH, Scope.CONTRIBUTE)
    found: list[Member] = []
    with db.store.read() as tx:
        while page := tx.members.page(found[-1].id if found else 0, _MANY):
            found += page
    every = bank_names(found, _TEST_BANK, _SHARED_BANK)
    if told_members(actor):
        return {TEST_ID: _TEST_BANK, **every}
    own = {} if actor.member is None else {actor.member.id: every[actor.member.id]}
    return {**own, TEST_ID: _TEST_BANK, _SHARED: _SHARED_BANK}


def own(db: HashDB, actor: Actor, bank: str) -> None:
    """Raise NotFound where there is no such bank, NotYours or BankOfMember where it is not the actor's."""
    member = find(db, actor, bank)
    if member == _SHARED:
        raise BankOfMember()
    if actor.member is None or actor.member.id != member:
        raise NotYours("the bank of member", member)


def find(db: HashDB, actor: Actor, bank: str) -> int:
    """The member whose bank it is, by the number that `names` has. Raises NotFound."""
    found = next((member for member, name in names(db, actor).items() if name == bank), None)
    if found is None:
        raise NotFound("a bank of this name")
    return found


def look_up(db: HashDB, actor: Actor, query: Query) -> tuple[Hit, ...]:
    """What matches a query, nearest first, each with its bank."""
    (result,) = matches.match(db, actor, [query]).results
    if not result.matches:
        return ()
    banks, ids = names(db, actor), [match.contribution for match in result.matches]
    with db.store.read() as tx:
        found = tx.contributions.get(ids, db.now(), hidden=frozenset({"reference"}))
    members = {id: contribution.member for id, contribution in found.items()}
    return tuple(
        Hit(banks.get(members.get(match.contribution, TEST_ID), _SHARED_BANK), match) for match in result.matches
    )


def content(db: HashDB, actor: Actor, bank: str, id: int) -> Contribution:
    """A contribution that is in this bank, as much of it as the actor may see. Raises NotFound."""
    member = find(db, actor, bank)
    found = contributions.get(db, actor, id)
    if (found.member if found.member or id == TEST_ID else _SHARED) != member:
        raise NotFound(f"contribution {id} in this bank")
    return found


def remove(db: HashDB, actor: Actor, bank: str, id: int) -> Contribution:
    """Withdraw what a member has in its bank. Raises NotFound, NotYours, AlreadyWithdrawn."""
    found = content(db, actor, bank, id)
    if not owns(actor, found):
        raise NotYours("contribution", id)
    return contributions.withdraw(db, actor, id, "other")
