"""The counts of a day, as they are sealed."""

from __future__ import annotations

import hashlib
import json
from datetime import date

from hashdb.domain.counts import Cell, Count
from hashdb.wire.counts import CountsOut

DAY = date(2026, 11, 20)
COUNTS = (Count(Cell("query", 3, "pdq", "hit"), 2), Count(Cell("hit", 3, "any", "own"), 2))


def test_the_digest_is_of_the_very_lines() -> None:
    said = json.loads(CountsOut.of(DAY, COUNTS, (9, "ab")).json_text())
    text = "".join(f"{line}\n" for line in [said["day"], *said["lines"]])
    assert said["digest"] == hashlib.sha256(text.encode()).hexdigest()
    assert (said["day"], said["sealed"]) == ("2026-11-20", {"seq": 9, "digest": "ab"})


def test_a_day_that_is_not_sealed_says_so() -> None:
    assert json.loads(CountsOut.of(DAY, (), None).json_text())["sealed"] is None
