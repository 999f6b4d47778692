"""Costs of the index."""

from __future__ import annotations

import pytest

from hashdb.domain.signals import Algorithm
from hashdb.evaluation.costs import MOST_MEASURED, cost
from hashdb.index.plan import choose_chunks


def test_a_scan_takes_the_bytes_of_the_values_alone() -> None:
    found = cost(Algorithm.PHASH256, 60, 20_000, 2.5, 3)
    assert found.scanned
    assert found.measured_values == 50_000
    assert found.bytes_an_item == pytest.approx(2.5 * 32)


def test_tables_take_more() -> None:
    found = cost(Algorithm.PDQ, 8, 50_000, 1, 1)
    assert not found.scanned
    assert found.bytes_an_item > 32


def test_values_that_stand_in_a_table_count_once() -> None:
    found = cost(Algorithm.PHASH, 4, 50_000, 1, 1)
    assert not found.scanned
    assert found.bytes_an_item == pytest.approx(_built(Algorithm.PHASH, 4, 50_000) / 50_000, rel=0.01)


def _built(algorithm: Algorithm, radius: int, count: int) -> int:
    """What the tables of a segment of so many values take: eight bytes a value and chunk, four a place."""
    cut = choose_chunks(count, algorithm.bits, radius)
    return 8 * count * len(cut.widths) + 4 * cut.bases[-1]


def test_time_grows_with_what_is_asked_and_with_what_is_stored() -> None:
    one, three = (cost(Algorithm.PHASH, 6, 1_000, 1, queries) for queries in (1, 3))
    assert three.microseconds_a_query == pytest.approx(3 * one.microseconds_a_query)
    assert one.microseconds_a_query > 0


def test_only_so_many_values_are_measured() -> None:
    assert cost(Algorithm.PHASH, 4, 50_000_000, 1, 1).measured_values == MOST_MEASURED


def test_the_time_of_more_values_is_foretold_from_how_it_grew() -> None:
    measured, more = (
        cost(Algorithm.PHASH, 4, many, 1, 1).microseconds_a_query for many in (MOST_MEASURED, 8 * MOST_MEASURED)
    )
    assert measured <= more <= 8 * measured


def test_a_scan_of_more_values_takes_as_many_times_longer() -> None:
    measured, more = (cost(Algorithm.PHASH256, 100, many, 1, 1) for many in (MOST_MEASURED, 3 * MOST_MEASURED))
    assert measured.scanned and more.scanned
    assert more.microseconds_a_query == pytest.approx(3 * measured.microseconds_a_query)
