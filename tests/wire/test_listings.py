"""The console's list as a query string."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from hashdb.domain.contributions import Filter, Standing, Status
from hashdb.domain.listings import Listing, Position, Sort
from hashdb.domain.signals import Algorithm
from hashdb.wire import Terms
from hashdb.wire.listings import ListingQuery
from tests.builders import NOON, RULES

TERMS = Terms(RULES, NOON)


def test_everything_can_be_asked_for_and_days_are_whole_ones() -> None:
    asked = {
        "member": "3", "status": "active", "standing": "disputed", "label": "manifesto", "severity": "4",
        "algorithm": "pdq", "incident": "CIP:one", "reference": "t-1", "since": "2026-01-02", "until": "2026-01-03",
        "removed_since": "2026-01-01", "removed_until": "2026-01-01",
        "expires_until": "2026-01-03", "sort": "severity", "order": "up", "after": "4.7",
    }  # fmt: skip
    found = ListingQuery.model_validate(asked, context=TERMS)
    day = [datetime(2026, 1, day, tzinfo=UTC) for day in range(1, 5)]
    first = (3, Status.ACTIVE, Standing.DISPUTED, "manifesto", day[1], day[3])
    chosen = Filter(*first, 4, Algorithm.PDQ, "CIP:one", "t-1", day[0], day[1], day[3])
    assert found.value() == Listing(chosen, Sort.SEVERITY, False)
    assert found.after == Position(4, 7)


def test_nothing_asked_is_all_of_it_the_last_first() -> None:
    assert ListingQuery().value() == Listing()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("member", "-1"), ("member", "x"), ("status", "gone"), ("standing", "good"), ("label", "nonsense"),
        ("severity", "5"), ("algorithm", "md5"), ("since", "yesterday"), ("sort", "size"), ("order", "sideways"),
        ("after", "x"), ("limit", "0"), ("limit", "201"), ("colour", "red"), ("reference", "a\x00"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(name: str, value: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ListingQuery.model_validate({name: value}, context=TERMS)
    assert [one["loc"][0] for one in caught.value.errors()] == [name]
