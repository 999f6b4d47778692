"""The console's list of contributions as a query string: a view that can be saved is an address."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from annotated_types import Ge, Le
from pydantic import BeforeValidator

from hashdb.domain.contributions import Filter, Standing, Status
from hashdb.domain.listings import Listing, Position, Sort
from hashdb.domain.signals import Algorithm
from hashdb.wire import Line, Token, ruled
from hashdb.wire.pages import Asked, Count, midnight


def _position(value: Any) -> Any:
    return Position.parse(value) if isinstance(value, str) else value


class ListingQuery(Asked):
    """Which contributions, in which order, and after which one."""

    member: Count | None = None
    status: Status | None = None
    standing: Standing | None = None
    label: Annotated[Token, ruled(lambda terms, code: terms.rules.vocabulary.fault("behaviour", code))] | None = None
    severity: Annotated[Count, Le(4)] | None = None
    algorithm: Algorithm | None = None
    incident: Token | None = None
    reference: Line | None = None
    since: date | None = None
    until: date | None = None
    removed_since: date | None = None
    removed_until: date | None = None
    expires_until: date | None = None
    sort: Sort = Sort.RECEIVED
    order: Annotated[str, ruled(lambda terms, code: None if code in ("down", "up") else "is down or up")] = "down"
    after: Annotated[Position, BeforeValidator(_position)] | None = None
    limit: Annotated[Count, Ge(1), Le(200)] = 50

    def value(self) -> Listing:
        """The listing that this spells; days are whole ones, in UTC."""
        chosen = Filter(
            member=self.member,
            status=self.status,
            standing=self.standing,
            label=self.label,
            since=midnight(self.since, 0),
            until=midnight(self.until, 1),
            severity=self.severity,
            algorithm=self.algorithm,
            incident=self.incident,
            reference=self.reference,
            removed_since=midnight(self.removed_since, 0),
            removed_until=midnight(self.removed_until, 1),
            expires_until=midnight(self.expires_until, 1),
        )
        return Listing(chosen, self.sort, self.order == "down")
