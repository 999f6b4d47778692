"""Proposals in SQL."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hashdb.domain.review.proposals import ProposedChange, TwoPersonAction
from hashdb.errors import NotFound
from hashdb.store import Store
from hashdb.store.review.incidents import PendingProposal
from tests.builders import NOON

REQUEST = ProposedChange(
    TwoPersonAction.SUSPEND, "member", 3, {"status": "suspended", "limits": {"contributions_per_day": None}}
)
ACTS = tuple(TwoPersonAction)
UNTIL = NOON + timedelta(hours=1)


def test_a_proposal_is_found_by_its_request_until_it_expires(store: Store) -> None:
    with store.begin() as tx:
        proposal = tx.proposals.add(REQUEST, "key:1", "member:1", NOON, UNTIL)
    with store.read() as tx:
        assert tx.proposals.find_same(
            ProposedChange(TwoPersonAction.SUSPEND, "member", 3, dict(REQUEST.content)), NOON
        ) == PendingProposal(proposal, "member:1")
        for other_request in (
            ProposedChange(TwoPersonAction.RETIRE, "member", 3, REQUEST.content),
            ProposedChange(TwoPersonAction.SUSPEND, "member", 4, REQUEST.content),
            ProposedChange(TwoPersonAction.SUSPEND, "member", 3, {"status": "suspended"}),
        ):
            assert tx.proposals.find_same(other_request, NOON) is None
        assert tx.proposals.page(0, 9, NOON, ACTS) == (proposal,)
        assert tx.proposals.page(proposal.id, 9, NOON, ACTS) == ()
        assert tx.proposals.one(proposal.id, NOON, ACTS) == proposal
        assert tx.proposals.page(0, 9, NOON, [TwoPersonAction.RETIRE]) == ()
        with pytest.raises(NotFound):
            tx.proposals.one(proposal.id, NOON, [TwoPersonAction.RETIRE])
        assert tx.proposals.expired(NOON) == ()
        assert tx.proposals.find_same(REQUEST, UNTIL) is None
        assert tx.proposals.page(0, 9, UNTIL, ACTS) == ()
        assert tx.proposals.expired(UNTIL) == (proposal.id,)
        with pytest.raises(NotFound):
            tx.proposals.one(proposal.id, UNTIL, ACTS)


def test_a_removed_proposal_is_not_found_and_its_id_not_reused(store: Store) -> None:
    with store.begin() as tx:
        tx.audit.lock()
        proposal = tx.proposals.add(REQUEST, "key:1", "member:1", NOON, UNTIL)
        tx.proposals.remove(proposal.id)
        assert tx.proposals.find_same(REQUEST, NOON) is None
        assert tx.proposals.add(REQUEST, "key:1", "member:1", NOON, UNTIL).id > proposal.id
