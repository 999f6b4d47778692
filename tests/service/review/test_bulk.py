"""Selections of a batch: which rows they freeze, for which user, and how many."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, Actor
from hashdb.domain.accounts.users import Role, UserDraft
from hashdb.domain.contributions import Filter
from hashdb.domain.review.bulk import BatchAction, BatchChoices, BatchState, RowKind, Skip
from hashdb.domain.review.queues import QueueQuery
from hashdb.errors import BatchBegun, InvalidInput, NotFound, ScopeMissing
from hashdb.service import HashDB
from hashdb.service.accounts import users
from hashdb.service.contributions import contributions
from hashdb.service.review import bulk, cases, claims
from tests.builders import contributed, draft


@pytest.fixture
def rosa(db: HashDB) -> Actor:
    """A reviewer of the console."""
    return users.add(db, COMMAND_LINE, UserDraft("rosa", Role.REVIEWER), local=False).user.actor


def test_a_selection_is_frozen_and_belongs_to_its_user(db: HashDB, rosa: Actor, actor: Actor) -> None:
    first, second = contributed(db, actor, draft(1), draft(2))
    batch = bulk.select(db, rosa, BatchAction.HOLD, RowKind.CONTRIBUTION, [second.id, first.id, second.id])
    assert (batch.size, batch.state) == (2, BatchState.DRAFT)
    with pytest.raises(NotFound):
        bulk.get(db, COMMAND_LINE, batch.id)
    assert bulk.preview(db, rosa, batch).changes == 2
    contributions.withdraw(db, actor, first.id, "other")
    assert bulk.preview(db, rosa, batch).skipped[0].why is Skip.INACTIVE
    with pytest.raises(InvalidInput, match="reason"):
        bulk.start(db, rosa, batch.id, BatchChoices())
    bulk.start(db, rosa, batch.id, BatchChoices("other"))
    with pytest.raises(BatchBegun):
        bulk.start(db, rosa, batch.id, BatchChoices("other"))
    with pytest.raises(ScopeMissing):
        bulk.stop(db, replace(rosa, name="user:9"), batch.id)
    bulk.stop(db, COMMAND_LINE, batch.id)
    with pytest.raises(BatchBegun):
        bulk.stop(db, rosa, batch.id)


def test_selecting_all_rows_stops_at_the_last_row_that_was_shown(db: HashDB, rosa: Actor, actor: Actor) -> None:
    for contribution in contributed(db, actor, draft(1), draft(2, severity=3), draft(3)):
        cases.open_case(db, COMMAND_LINE, contribution.id, "other", holds=False)
    assert bulk.contributions_of(db, rosa, Filter(), 2) == (2, 1)
    assert bulk.contributions_of(db, rosa, Filter(severity=3), 3) == (2,)
    assert bulk.cases_of(db, rosa, QueueQuery(), 2) == (1, 2)
    with pytest.raises(InvalidInput, match="select at least one row"):
        bulk.contributions_of(db, rosa, Filter(severity=4), 3)
    claims.take(db, COMMAND_LINE, 1)
    batch = bulk.select(db, rosa, BatchAction.UPHOLD, RowKind.CASE, [1, 2])
    assert [group.why for group in bulk.preview(db, rosa, batch).skipped] == [Skip.TAKEN]


def test_an_action_on_contributions_accepts_cases_and_takes_theirs(db: HashDB, rosa: Actor, actor: Actor) -> None:
    (contribution,) = contributed(db, actor, draft(1))
    cases.open_case(db, COMMAND_LINE, contribution.id, "other", holds=False)
    batch = bulk.select(db, rosa, BatchAction.HOLD, RowKind.CASE, [1])
    assert (batch.row_kind, bulk.items(db, rosa, batch.id, -1, 9)[0].subject) == (RowKind.CONTRIBUTION, contribution.id)
    with pytest.raises(ScopeMissing):
        bulk.select(db, rosa, BatchAction.WITHDRAW, RowKind.CASE, [1])
    with pytest.raises(ScopeMissing):
        bulk.page(db, actor, 0, 9)
