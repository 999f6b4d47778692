"""Proposals: the two directions are each other's inverse."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hashdb.domain.proposals import Act, Proposal, Request
from hashdb.wire.proposals import ProposalOut
from tests.wire.strategies import ids, moments, texts

_content = st.dictionaries(texts, texts | st.integers(0, 9) | st.none())
_requests = st.builds(Request, st.sampled_from(Act), st.sampled_from(["member", "benign"]), ids, _content)


@given(st.builds(Proposal, ids, _requests, texts, moments, moments))
def test_a_proposal_comes_back(answered: Proposal) -> None:
    assert ProposalOut.model_validate_json(ProposalOut.of(answered).json_text()).value() == answered
