"""The console's queue of cases as a query string, and what is sent to uphold a pile."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hashdb.domain.cases import CaseState, Order
from hashdb.wire import LARGEST_ID, Note, Sent
from hashdb.wire.pages import Asked, Count


class CasesPageQuery(Asked):
    """Which cases a page of the console lists: the open ones in an order, or the decided ones before a number.

    Of the open ones, `pile` are those of the pile of a member.
    """

    state: CaseState = CaseState.OPEN
    order: Order = Order.CLOCK
    before: Count | None = None
    pile: Count | None = None


class UpholdIn(Sent):
    """The reason for which the cases of a pile are upheld, those up to a number."""

    note: Annotated[Note, Field(min_length=1)]
    upto: Annotated[int, Field(ge=1, le=LARGEST_ID)]
