"""The number of recognised photographs of the repository does not change unnoticed."""

from __future__ import annotations

import json

from scripts import recall

MARGIN = 1
"""Photographs of 6. Another version of a decoder or of Pillow may change a distance by one or two bits."""


def test_the_numbers_of_recognised_photographs_are_those_of_the_stored_file() -> None:
    """After an intended change, run `python scripts/recall.py` and review the difference."""
    before, now = json.loads(recall.FILE.read_text("utf-8")), recall.count_recognised()
    assert {way: list(counts) for way, counts in now.items()} == {way: list(counts) for way, counts in before.items()}
    changed = [
        f"{way}, {name}: {before[way][name]} before, {count} now"
        for way, counts in now.items()
        for name, count in counts.items()
        if abs(count - before[way][name]) > MARGIN
    ]
    assert not changed
