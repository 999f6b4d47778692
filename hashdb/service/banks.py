"""Banks: each member's contributions under the name that HMA gives them, and what of them matches."""

from __future__ import annotations

from collections.abc import Mapping

from hashdb.domain.banks import Hit, bank_names
from hashdb.domain.contributions import Contribution
from hashdb.domain.matches import Query
from hashdb.domain.members import Actor, Member, Scope
from hashdb.domain.testing import TEST_ID
from hashdb.errors import NotFound, NotYours
from hashdb.service import HashDB, contributions, matches
from hashdb.service.contributions import owns

_MANY = 1_000
_TEST_BANK = "HASHDB_TEST"


def names(db: HashDB, actor: Actor) -> Mapping[int, str]:
    """The banks, by member; with the test item's, which has none."""
    actor.require(Scope.MATCH, Scope.CONTRIBUTE)
    found: list[Member] = []
    with db.store.read() as tx:
        while page := tx.members.page(found[-1].id if found else 0, _MANY):
            found += page
    return {TEST_ID: _TEST_BANK, **bank_names(found, _TEST_BANK)}


def own(db: HashDB, actor: Actor, bank: str) -> None:
    """Raise NotFound where there is no such bank, NotYours where it is another member's."""
    member = find(db, actor, bank)
    if actor.member is None or actor.member.id != member:
        raise NotYours("the bank of member", member)


def find(db: HashDB, actor: Actor, bank: str) -> int:
    """The member whose bank it is. Raises NotFound."""
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
    return tuple(Hit(banks[members.get(match.contribution, TEST_ID)], match) for match in result.matches)


def content(db: HashDB, actor: Actor, bank: str, id: int) -> Contribution:
    """A contribution that is in this bank, as much of it as the actor may see. Raises NotFound."""
    member = find(db, actor, bank)
    found = contributions.get(db, actor, id)
    if found.member != member:
        raise NotFound(f"contribution {id} in this bank")
    return found


def remove(db: HashDB, actor: Actor, bank: str, id: int) -> Contribution:
    """Withdraw what a member has in its bank. Raises NotFound, NotYours, AlreadyWithdrawn."""
    found = content(db, actor, bank, id)
    if not owns(actor, found):
        raise NotYours("contribution", id)
    return contributions.withdraw(db, actor, id, "other")
