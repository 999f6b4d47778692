"""What is recognised of the photos in the repo does not get less unnoticed."""

from __future__ import annotations

import json

from scripts import recall

MARGIN = 1
"""Photos of 6: another version of a decoder or of Pillow moves a distance by a bit or two."""


def test_as_many_are_recognised_as_before() -> None:
    """Where this fails by intent, run `python scripts/recall.py` and look at the difference."""
    before, now = json.loads(recall.FILE.read_text("utf-8")), recall.counted()
    assert {way: list(counts) for way, counts in now.items()} == {way: list(counts) for way, counts in before.items()}
    moved = [
        f"{way}, {name}: {before[way][name]} before, {count} now"
        for way, counts in now.items()
        for name, count in counts.items()
        if abs(count - before[way][name]) > MARGIN
    ]
    assert not moved
