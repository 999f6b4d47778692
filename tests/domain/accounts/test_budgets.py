"""Budgets: what a request costs, and when a budget renews."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hashdb.domain.accounts.budgets import Budget, budget_amounts, query_cost
from hashdb.domain.frames import Frame
from hashdb.domain.matching.matches import Query
from hashdb.domain.signals import Algorithm
from tests.builders import NOON, signal

PDQ = signal(1)
PHASH256 = signal(1, Algorithm.PHASH256)
PHASH = signal(1, Algorithm.PHASH)
DHASH = signal(1, Algorithm.DHASH)


@pytest.mark.parametrize(
    ("query", "signals", "short"),
    [
        (Query((PDQ, PHASH256, PHASH)), 3, 0),
        (Query((PDQ, PHASH)), 2, 0),
        (Query((PHASH,)), 1, 1),
        (Query((PHASH,) * 64), 64, 64),
        (Query((PDQ, PHASH, DHASH)), 3, 1),
        (Query((), frames=(Frame(0.0, (PHASH, DHASH)), Frame(1.0, (PDQ,), transforms={"mirrored": (PHASH,)}))), 4, 2),
        (Query((PDQ, PHASH), transforms={"mirrored": (PDQ, PHASH), "cropped": (PHASH, DHASH)}), 6, 2),
    ],
)
def test_a_query_costs_its_signals_and_its_short_signals_beyond_its_long_ones(
    query: Query, signals: int, short: int
) -> None:
    cost = dict(query_cost([query]))
    assert cost.pop(Budget.QUERIES) == 1
    assert cost.pop(Budget.SIGNALS) == signals
    assert cost == ({Budget.SHORT_SIGNALS: short} if short else {})


def test_long_signals_of_one_query_do_not_offset_short_signals_of_another() -> None:
    assert dict(query_cost([Query((PHASH,)), Query((PDQ, PHASH256))])) == {
        Budget.QUERIES: 2,
        Budget.SIGNALS: 3,
        Budget.SHORT_SIGNALS: 1,
    }


def test_budgets_renew_at_the_day_and_hour_of_utc() -> None:
    at = NOON.replace(hour=23, minute=59, second=58)
    assert Budget.QUERIES.renewal(at) == NOON.replace(hour=0) + timedelta(days=1)
    assert Budget.DISPUTES.renewal(at) == Budget.QUERIES.renewal(at)
    assert Budget.DISPUTES.renewal(NOON) == NOON + timedelta(hours=1)


def test_a_budget_that_the_operator_does_not_set_keeps_its_default() -> None:
    amounts = budget_amounts({Budget.QUERIES: 5})
    assert amounts[Budget.QUERIES] == 5
    assert amounts[Budget.DISPUTES] == Budget.DISPUTES.amount
    assert set(amounts) == set(Budget)
