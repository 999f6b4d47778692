"""Counts: their lines, and the digest of a day."""

from __future__ import annotations

import hashlib
from datetime import date
from subprocess import run

from hypothesis import given
from hypothesis import strategies as st

from hashdb.domain.stats.counts import (
    ANY_ALGORITHM,
    Cell,
    Count,
    CountKind,
    QueryOutcome,
    day_of,
    digest,
    lines,
    number_of_day,
)

DAY = date(2026, 11, 20)
COUNTS = [
    Count(Cell(CountKind.QUERY, 3, "pdq", QueryOutcome.HIT), 12),
    Count(Cell(CountKind.QUERY, 10, ANY_ALGORITHM, QueryOutcome.NONE), 1),
    Count(Cell(CountKind.REFUSAL, 0, ANY_ALGORITHM, "invalid-input.signals"), 2),
]


def test_each_count_is_a_line_and_lines_are_sorted_by_their_bytes() -> None:
    assert lines(reversed(COUNTS)) == (
        "query 10 any none 1",
        "query 3 pdq hit 12",
        "refusal 0 any invalid-input.signals 2",
    )


def test_the_digest_equals_sha256sum_of_the_day_and_the_lines() -> None:
    text = "\n".join([DAY.isoformat(), *lines(COUNTS), ""]).encode()
    assert digest(DAY, COUNTS) == hashlib.sha256(text).hexdigest()
    output = run(["sha256sum"], input=text, capture_output=True, check=True).stdout.decode()
    assert digest(DAY, COUNTS) == output.split()[0]


def test_the_digest_depends_on_day_and_counts_but_not_on_their_order() -> None:
    assert digest(DAY, COUNTS) == digest(DAY, COUNTS[::-1])
    others = [digest(date(2026, 11, 21), COUNTS), digest(DAY, COUNTS[1:]), digest(DAY, [])]
    others.append(digest(DAY, [COUNTS[0]._replace(times=13), *COUNTS[1:]]))
    assert len({digest(DAY, COUNTS), *others}) == 5


@given(st.dates())
def test_a_day_is_converted_to_a_number_and_back(day: date) -> None:
    assert day_of(number_of_day(day)) == day
