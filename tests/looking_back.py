"""Look-back of everything that changed."""

from __future__ import annotations

from hashdb.local.lookback import LookBack


def look_back_to_end(look_back: LookBack) -> int:
    """Look back step by step until nothing is left; return the number of new reports."""
    has_more, added = True, 0
    while has_more:
        has_more, count = look_back.step()
        added += count
    return added
