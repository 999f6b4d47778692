"""The used amounts of budgets, in SQL."""

from __future__ import annotations

from sqlalchemy import create_engine, text

from hashdb.domain.accounts.budgets import Budget, BudgetUse
from hashdb.store import Store
from tests.builders import NOON

MIDNIGHT = Budget.QUERIES.renewal(NOON)


def test_used_amounts_are_added_up_until_the_budget_renews(store: Store) -> None:
    soon = Budget.CHANGES.renewal(NOON)
    with store.begin() as tx:
        tx.budgets.add(
            [BudgetUse("key:1", Budget.QUERIES, MIDNIGHT, 5), BudgetUse("key:1", Budget.CHANGES, soon, 2)], NOON
        )
        tx.budgets.add([BudgetUse("key:2", Budget.QUERIES, MIDNIGHT, 1)], NOON)
        tx.budgets.add([BudgetUse("key:1", Budget.QUERIES, MIDNIGHT, 7)], NOON)
    with store.read() as tx:
        used = {(use.actor, use.budget): use.amount for use in tx.budgets.used(NOON)}
        later = {(use.actor, use.budget): use.amount for use in tx.budgets.used(soon)}
    assert used == {("key:1", "queries"): 12, ("key:1", "changes"): 2, ("key:2", "queries"): 1}
    assert later == {("key:1", "queries"): 12, ("key:2", "queries"): 1}


def test_rows_of_renewed_budgets_are_deleted(store: Store) -> None:
    with store.begin() as tx:
        tx.budgets.add([BudgetUse("key:1", Budget.QUERIES, MIDNIGHT, 5)], NOON)
    with store.begin() as tx:
        # The new row belongs to a budget that has also renewed, so it does not count.
        tx.budgets.add([BudgetUse("key:2", Budget.QUERIES, MIDNIGHT, 1)], MIDNIGHT)
        assert tx.budgets.used(NOON) == []


def test_a_budget_of_an_unknown_kind_is_ignored(store: Store, database_url: str) -> None:
    until = int(MIDNIGHT.timestamp() * 1_000_000)
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text(f"INSERT INTO spent VALUES ('key:1', 'dreams', {until}, 3)"))
    engine.dispose()
    with store.read() as tx:
        assert tx.budgets.used(NOON) == []
