"""Batches as values: the scope, the rows and the fields of each action."""

from __future__ import annotations

from hashdb.domain.accounts.members import Scope
from hashdb.domain.review.bulk import BatchAction, BatchItem, BatchProgress, RowKind, fields_of
from hashdb.domain.review.cases import Decision


def test_reviewers_have_a_batch_action_for_each_decision() -> None:
    actions = {action.decision: action for action in BatchAction if action.decision}
    assert set(actions) == set(Decision)
    assert {action.scope for action in actions.values()} == {Scope.REVIEW}
    assert BatchAction.WITHDRAW.scope is Scope.ADMIN


def test_batch_actions_apply_to_their_own_kinds_of_rows() -> None:
    assert BatchAction.CONFIRM.row_kinds == BatchAction.DROP.row_kinds == (RowKind.PROPOSAL,)
    assert BatchAction.UNDO.row_kinds == (RowKind.ITEM,)
    assert {RowKind.CONTRIBUTION, RowKind.CASE} == set(BatchAction.BENIGN.row_kinds)


def test_a_batch_has_a_reason_only_if_it_opens_cases() -> None:
    assert fields_of(BatchAction.RETIRE, RowKind.CONTRIBUTION) == {"note", "reason"}
    assert fields_of(BatchAction.RETIRE, RowKind.CASE) == {"note"}
    assert fields_of(BatchAction.UNDO, RowKind.ITEM, BatchAction.RETIRE) == {"note", "reason"}
    assert fields_of(BatchAction.UNDO, RowKind.ITEM, BatchAction.EXPIRY) == set()
    assert fields_of(BatchAction.DROP, RowKind.PROPOSAL) == set()


def test_the_result_of_a_batch_item_has_a_kind_and_a_number() -> None:
    item = BatchItem(0, 17, made="case:5")
    assert (item.made_kind, item.made_id) == ("case", 5)
    assert (BatchItem(0, 17).made_kind, BatchItem(0, 17).made_id) == ("", 0)
    assert BatchProgress(done=1, proposed=2, skipped=3, failed=4, waiting=5).finished == 10
