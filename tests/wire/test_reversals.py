"""Reversals: the two directions are each other's inverse."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hashdb.domain.reversals import Reversal
from hashdb.wire.reversals import ReversalOut
from tests.wire.strategies import ids, moments

reversals = st.builds(Reversal, ids, ids, st.sampled_from(["withdrawn", "retired"]), st.none() | st.text(), moments)


@given(reversals)
def test_a_reversal_comes_back(one: Reversal) -> None:
    assert ReversalOut.model_validate_json(ReversalOut.of(one).json_text()).value() == one
