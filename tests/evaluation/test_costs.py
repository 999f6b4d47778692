"""Costs of the index: bytes and time."""

from __future__ import annotations

import pytest

from hashdb.domain.signals import Algorithm
from hashdb.evaluation.costs import MOST_MEASURED, cost
from hashdb.index.plan import choose_chunks


def test_a_scan_needs_only_the_bytes_of_the_values() -> None:
    scan = cost(Algorithm.PHASH256, 60, 20_000, 2.5, 3)
    assert scan.scanned
    assert scan.measured_values == 50_000
    assert scan.bytes_an_item == pytest.approx(2.5 * 32)


def test_tables_need_more_bytes_than_the_values() -> None:
    tables = cost(Algorithm.PDQ, 8, 50_000, 1, 1)
    assert not tables.scanned
    assert tables.bytes_an_item > 32


def test_values_in_a_table_are_counted_once() -> None:
    tables = cost(Algorithm.PHASH, 4, 50_000, 1, 1)
    assert not tables.scanned
    assert tables.bytes_an_item == pytest.approx(_bytes_of_tables(Algorithm.PHASH, 4, 50_000) / 50_000, rel=0.01)


def _bytes_of_tables(algorithm: Algorithm, radius: int, count: int) -> int:
    """The bytes of the tables of a segment of `count` values: eight for each value and chunk, four for each place."""
    cut = choose_chunks(count, algorithm.bits, radius)
    return 8 * count * len(cut.widths) + 4 * cut.bases[-1]


def test_the_time_of_a_query_grows_with_its_number_of_values() -> None:
    one, three = (cost(Algorithm.PHASH, 6, 1_000, 1, queries) for queries in (1, 3))
    assert three.microseconds_a_query == pytest.approx(3 * one.microseconds_a_query)
    assert one.microseconds_a_query > 0


def test_the_number_of_measured_values_is_limited() -> None:
    assert cost(Algorithm.PHASH, 4, 50_000_000, 1, 1).measured_values == MOST_MEASURED


def test_the_time_for_more_values_is_extrapolated_from_its_growth() -> None:
    measured, more = (
        cost(Algorithm.PHASH, 4, many, 1, 1).microseconds_a_query for many in (MOST_MEASURED, 8 * MOST_MEASURED)
    )
    assert measured <= more <= 8 * measured


def test_the_time_of_a_scan_is_proportional_to_the_number_of_values() -> None:
    measured, more = (cost(Algorithm.PHASH256, 100, many, 1, 1) for many in (MOST_MEASURED, 3 * MOST_MEASURED))
    assert measured.scanned and more.scanned
    assert more.microseconds_a_query == pytest.approx(3 * measured.microseconds_a_query)
