"""The cases that wait, in the order in which they are to be decided."""

from __future__ import annotations

import pytest

from hashdb.domain.cases import Decision, Order
from hashdb.domain.members import COMMAND_LINE, Actor
from hashdb.errors import ScopeMissing
from hashdb.service import HashDB, cases, queues
from tests.builders import Clock, contributed, draft


def test_cases_wait_by_their_clock_or_the_gravest_first(db: HashDB, actor: Actor, clock: Clock) -> None:
    grave = [2, None, 4, 0, 4]
    for one in contributed(db, actor, *(draft(seed, severity=how) for seed, how in enumerate(grave))):
        cases.bring(db, COMMAND_LINE, one.id, "other", holds=False)
        clock.go(hours=1)
    assert [one.case.id for one in queues.of(db, COMMAND_LINE, Order.CLOCK)] == [1, 2, 3, 4, 5]
    found = queues.of(db, COMMAND_LINE, Order.SEVERITY)
    assert [one.case.id for one in found] == [3, 5, 1, 4, 2]
    assert [one.contribution.severity for one in found] == [4, 4, 2, 0, None]
    cases.decide(db, COMMAND_LINE, 5, Decision.UPHOLD)
    assert queues.beside(db, COMMAND_LINE, Order.SEVERITY, 3) == (None, 1)
    assert queues.beside(db, COMMAND_LINE, Order.SEVERITY, 4) == (1, 2)
    assert queues.beside(db, COMMAND_LINE, Order.SEVERITY, 2) == (4, None)
    assert queues.beside(db, COMMAND_LINE, Order.SEVERITY, 5) == (None, 3)
    assert [case.id for case in cases.latest(db, COMMAND_LINE, None, 9)] == [5]
    assert cases.latest(db, COMMAND_LINE, 5, 9) == ()


def test_a_queue_is_for_who_reviews_or_audits(db: HashDB, actor: Actor) -> None:
    assert queues.beside(db, COMMAND_LINE, Order.CLOCK, 1) == (None, None)
    for ask in (
        lambda: queues.of(db, actor, Order.CLOCK),
        lambda: queues.beside(db, actor, Order.CLOCK, 1),
        lambda: cases.latest(db, actor, None, 1),
        lambda: cases.on(db, actor, 1),
    ):
        with pytest.raises(ScopeMissing):
            ask()
