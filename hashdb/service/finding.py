"""What a text may name: members, users, incidents, labels and references."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Generic, NamedTuple, TypeVar

from hashdb.domain.accounts.members import Actor, Member, Scope
from hashdb.domain.accounts.users import User
from hashdb.domain.contributions import Contribution, Filter
from hashdb.domain.listings import Listing, Place, Total
from hashdb.domain.review.incidents import Incident
from hashdb.domain.spelling import fit, nearest
from hashdb.service import HashDB
from hashdb.service.accounts.members import all_members
from hashdb.service.contributions import listings
from hashdb.service.contributions.sight import visible_fields

LONGEST = 200
"""Characters of the longest text: a reference has no more."""
REFERENCES = 10
"""The most contributions that are returned for the beginning of a reference."""
_PAGE = 1_000
_Row = TypeVar("_Row")
_Numbered = TypeVar("_Numbered", User, Incident)


class Found(NamedTuple, Generic[_Row]):
    """What the text may name; `exact` if it is the whole name."""

    thing: _Row
    exact: bool


@dataclass(frozen=True, slots=True)
class Findings:
    """What a text may name, by kind, the best first. `referring` is how many references begin with it.

    If it names nothing, `similar` is the name that is most like it.
    """

    members: tuple[Found[Member], ...]
    users: tuple[Found[User], ...]
    incidents: tuple[Found[Incident], ...]
    labels: tuple[Found[str], ...]
    contributions: tuple[Found[Contribution], ...]
    referring: Total
    similar: str | None = None


def find(db: HashDB, actor: Actor, text: str) -> Findings:
    """What a text of one line may name. Neither the text nor what was found is stored."""
    actor.require(Scope.AUDIT)
    with db.store.read() as tx:
        members = tuple(all_members(tx))
        users, incidents = _all(tx.users.page), _all(tx.incidents.page)
        exact = [visible_fields(actor, each) for each in tx.listings.referring(text, REFERENCES, db.now())]
    labels = db.rules.vocabulary.behaviour
    listed = listings.page(db, actor, Listing(Filter(reference=text)), Place(), REFERENCES)
    known = {each.id for each in exact}
    others = [each for each in listed.rows if each.id not in known]
    referring = [Found(each, each.id in known) for each in (*exact, *others)][:REFERENCES]
    found = Findings(
        _fitting(text, members, lambda member: member.name),
        _fitting(text, users, lambda user: user.name),
        _fitting(text, incidents, lambda incident: incident.label),
        _fitting(text, labels, str),
        tuple(referring),
        listed.total or Total(len(referring)),
    )
    if any((found.members, found.users, found.incidents, found.labels, found.contributions)):
        return found
    people = [*(member.name for member in members), *(user.name for user in users)]
    names = [*people, *(incident.label for incident in incidents), *labels]
    return replace(found, similar=nearest(text, names))


def _all(page: Callable[[int, int], tuple[_Numbered, ...]]) -> list[_Numbered]:
    rows = list[_Numbered]()
    while more := page(rows[-1].id if rows else 0, _PAGE):
        rows += more
    return rows


def _fitting(text: str, rows: Iterable[_Row], name: Callable[[_Row], str]) -> tuple[Found[_Row], ...]:
    fits = [(rank, name(row).casefold(), row) for row in rows if (rank := fit(text, name(row))) is not None]
    return tuple(Found(row, not rank) for rank, _, row in sorted(fits, key=lambda one: one[:2]))
