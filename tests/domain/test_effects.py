"""What a decision would make of a contribution."""

from __future__ import annotations

import pytest

from hashdb.domain.contributions import Standing
from hashdb.domain.effects import Outcome


@pytest.mark.parametrize("before", Standing)
@pytest.mark.parametrize("after", Standing)
def test_a_match_ends_or_begins_where_the_standing_says_so(before: Standing, after: Standing) -> None:
    found = Outcome(before, after)
    assert found.ends is (before.matches and not after.matches)
    assert found.begins is (after.matches and not before.matches)
