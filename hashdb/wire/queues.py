"""The console's queue of cases as a query string."""

from __future__ import annotations

from hashdb.domain.cases import CaseState, Order
from hashdb.wire.pages import Asked, Count


class CasesPageQuery(Asked):
    """Which cases a page of the console lists: the open ones in an order, or the decided ones before a number."""

    state: CaseState = CaseState.OPEN
    order: Order = Order.CLOCK
    before: Count | None = None
