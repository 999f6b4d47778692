"""Proposals: the subject of a proposed change."""

from __future__ import annotations

from hashdb.domain.review.proposals import ProposedChange, TwoPersonAction


def test_the_subject_of_a_proposal_has_the_form_of_the_log() -> None:
    assert ProposedChange(TwoPersonAction.SUSPEND, "member", 3, {"status": "suspended"}).subject == "member:3"
