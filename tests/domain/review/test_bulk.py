"""Batches as values: what each act needs, and on what it is done."""

from __future__ import annotations

from hashdb.domain.accounts.members import Scope
from hashdb.domain.review.bulk import BatchAction, BatchItem, BatchProgress, Picks, fields_of
from hashdb.domain.review.cases import Decision


def test_each_decision_has_its_act_for_reviewers() -> None:
    acts = {action.decision: action for action in BatchAction if action.decision}
    assert set(acts) == set(Decision)
    assert {action.scope for action in acts.values()} == {Scope.REVIEW}
    assert BatchAction.WITHDRAW.scope is Scope.ADMIN


def test_only_proposals_are_confirmed_and_only_items_undone() -> None:
    assert BatchAction.CONFIRM.picks == BatchAction.DROP.picks == (Picks.PROPOSAL,)
    assert BatchAction.UNDO.picks == (Picks.ITEM,)
    assert {Picks.CONTRIBUTION, Picks.CASE} == set(BatchAction.BENIGN.picks)


def test_a_reason_of_the_vocabulary_is_for_cases_that_are_opened() -> None:
    assert fields_of(BatchAction.RETIRE, Picks.CONTRIBUTION) == {"note", "reason"}
    assert fields_of(BatchAction.RETIRE, Picks.CASE) == {"note"}
    assert fields_of(BatchAction.UNDO, Picks.ITEM, BatchAction.RETIRE) == {"note", "reason"}
    assert fields_of(BatchAction.UNDO, Picks.ITEM, BatchAction.EXPIRY) == set()
    assert fields_of(BatchAction.DROP, Picks.PROPOSAL) == set()


def test_what_an_item_was_done_on_has_a_kind_and_a_number() -> None:
    done = BatchItem(0, 17, made="case:5")
    assert (done.made_kind, done.made_id) == ("case", 5)
    assert (BatchItem(0, 17).made_kind, BatchItem(0, 17).made_id) == ("", 0)
    assert BatchProgress(done=1, proposed=2, skipped=3, failed=4, waiting=5).finished == 10
