"""Segments of two videos, and the shares that they cover."""

from __future__ import annotations

from hashdb.domain.matching.segments import Segment, covered_share


def test_the_length_of_a_segment_is_that_of_its_stretch_of_the_query() -> None:
    assert Segment((20.0, 30.0), (48.0, 56.0), 0.8, 10, 10, 8).length == 10.0


def test_a_share_counts_overlapping_stretches_once() -> None:
    assert covered_share([(0, 10), (5, 15), (30, 40)], 50) == 0.5
    assert covered_share([], 50) == covered_share([(0, 10)], 0) == 0
    assert covered_share([(0, 90)], 50) == 1


def test_times_are_rounded_to_milliseconds() -> None:
    rounded_segment = Segment((20.00049, 30.0), (48.123456, 56.0), 0.79999, 10, 10, 8).rounded()
    assert (rounded_segment.query, rounded_segment.listed, rounded_segment.speed) == ((20.0, 30.0), (48.123, 56.0), 0.8)
