"""Proposals: what is asked, and of what."""

from __future__ import annotations

from hashdb.domain.review.incidents import ProposedChange, TwoPersonAction


def test_a_request_names_its_subject_as_the_log_does() -> None:
    assert ProposedChange(TwoPersonAction.SUSPEND, "member", 3, {"status": "suspended"}).subject == "member:3"
