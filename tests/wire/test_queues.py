"""The console's queue as a query string."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from hashdb.domain.cases import CaseState, Order
from hashdb.wire.queues import CasesPageQuery


def test_the_open_cases_come_by_the_clock_unless_something_else_is_asked() -> None:
    assert CasesPageQuery() == CasesPageQuery(state=CaseState.OPEN, order=Order.CLOCK, before=None)
    asked = CasesPageQuery.model_validate({"state": "decided", "order": "severity", "before": "7"})
    assert (asked.state, asked.order, asked.before) == (CaseState.DECIDED, Order.SEVERITY, 7)
    assert CasesPageQuery.model_validate({"pile": "3"}).pile == 3


@pytest.mark.parametrize("asked", [{"state": "x"}, {"order": "x"}, {"before": "x"}, {"pile": "x"}, {"more": "1"}])
def test_what_is_wrong_is_refused(asked: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        CasesPageQuery.model_validate(asked)
