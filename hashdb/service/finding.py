"""Finding: what a text that a user types in the console may name: a member, user, incident, label or reference."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Generic, NamedTuple, TypeVar

from hashdb.domain.accounts.members import Actor, Member, Scope
from hashdb.domain.accounts.users import User
from hashdb.domain.contributions import Contribution, Filter
from hashdb.domain.listings import Listing, Place, Total, read_all
from hashdb.domain.review.incidents import Incident
from hashdb.domain.spelling import nearest, rank_by_name
from hashdb.service import HashDB
from hashdb.service.contributions import listings
from hashdb.service.contributions.sight import visible_fields

LONGEST_TEXT = 200
"""Characters; a reference has no more."""
_MOST_REFERRING = 10
"""The most contributions that are returned for the beginning of a reference."""
_Row = TypeVar("_Row")


class Found(NamedTuple, Generic[_Row]):
    """A row that the text may name; `exact` if the text is its whole name."""

    row: _Row
    exact: bool


@dataclass(frozen=True, slots=True)
class Findings:
    """What a text may name, by kind, the best first."""

    members: tuple[Found[Member], ...]
    users: tuple[Found[User], ...]
    incidents: tuple[Found[Incident], ...]
    labels: tuple[Found[str], ...]
    contributions: tuple[Found[Contribution], ...]
    """Those whose reference is the text, or begins with it."""
    referring: Total
    """How many contributions these are, also those that are not returned."""
    similar: str | None = None
    """If the text names nothing, the name that is most like it."""


def find(db: HashDB, actor: Actor, text: str) -> Findings:
    """What a text of one line may name. Neither the text nor what was found is stored."""
    with db.read(actor, Scope.AUDIT) as tx:
        members, users = list(read_all(tx.members.page)), list(read_all(tx.users.page))
        incidents = list(read_all(tx.incidents.page))
        exact = [visible_fields(actor, item) for item in tx.listings.referring(text, _MOST_REFERRING, db.now())]
    labels = db.rules.vocabulary.behaviour
    listed = listings.page(db, actor, Listing(Filter(reference=text)), Place(), _MOST_REFERRING)
    known = {contribution.id for contribution in exact}
    others = [contribution for contribution in listed.rows if contribution.id not in known]
    referring = [Found(item, exact=item.id in known) for item in (*exact, *others)][:_MOST_REFERRING]
    findings = Findings(
        _fitting(text, members, lambda member: member.name),
        _fitting(text, users, lambda user: user.name),
        _fitting(text, incidents, lambda incident: incident.label),
        _fitting(text, labels, str),
        tuple(referring),
        listed.total or Total(len(referring)),
    )
    if any((findings.members, findings.users, findings.incidents, findings.labels, findings.contributions)):
        return findings
    people = [*(member.name for member in members), *(user.name for user in users)]
    names = [*people, *(incident.label for incident in incidents), *labels]
    return replace(findings, similar=nearest(text, names))


def _fitting(text: str, rows: Iterable[_Row], name: Callable[[_Row], str]) -> tuple[Found[_Row], ...]:
    """The rows whose name fits the text, best first. The rank 0 is that of the whole name."""
    return tuple(Found(row, exact=rank == 0) for rank, row in rank_by_name(text, rows, name))
