"""Rules: what a service accepts. Each fault is a sentence at its field."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from hashdb.domain.contributions import Amendment
from hashdb.domain.matching.matches import Query
from hashdb.domain.signals import Algorithm, Signal
from hashdb.errors import Fault
from tests.builders import NOON, RULES, draft, query, signal

MICROSECOND = timedelta(microseconds=1)
SKEW = timedelta(minutes=5)


def faults(**fields: object) -> list[Fault]:
    return list(RULES.draft_faults(draft(1, **fields), NOON))


def test_an_ordinary_draft_has_no_fault() -> None:
    assert faults() == []
    complete = draft(
        signal(1, Algorithm.PHASH),
        signal(1, Algorithm.PHASH256),
        severity=4,
        basis="terms",
        tco_ground="2.7.a",
        entity="UN:example",
        incident="CIP:example",
        context=("synthetic",),
        notified_at=NOON,
        expires_at=NOON + MICROSECOND,
    )
    assert list(RULES.draft_faults(complete, NOON)) == []


def test_an_unknown_removal_time_and_quality_are_accepted() -> None:
    assert faults(removed_at=None, quality=None) == []


def test_every_fault_of_a_draft_is_reported_at_its_field() -> None:
    blank = Signal(Algorithm.PHASH, 0)
    disabled = signal(1, Algorithm.DHASH)
    invalid = draft(
        1,
        blank,
        disabled,
        labels=("glorification", "nice"),
        context=("odd",),
        quality=49,
        removed_at=NOON + SKEW + MICROSECOND,
        notified_at=NOON + SKEW + MICROSECOND,
        expires_at=NOON,
        basis="mood",
        tco_ground="2.7.f",
        entity="example",
        incident="example",
    )
    reasons = {fault.at: fault.reason for fault in RULES.draft_faults(invalid, NOON)}
    assert list(reasons) == [
        "signals[1]",
        "signals[2]",
        "quality",
        "removed_at",
        "notified_at",
        "expires_at",
        "labels[1]",
        "context[0]",
        "basis",
        "tco_ground",
        "entity",
        "incident",
    ]
    assert reasons["signals[1]"] == ("phash has 0 of 64 bits set; an ordinary picture has 24 to 40")
    assert reasons["signals[2]"] == "dhash is not enabled on this service: pdq, phash256, phash"
    assert reasons["quality"] == (
        "quality 49 is too low: the hash would match other pictures by accident; the minimum is 50"
    )
    assert reasons["removed_at"] == reasons["notified_at"] == "must not be in the future"
    assert reasons["expires_at"] == "must be in the future"
    assert reasons["labels[1]"].startswith("'nice' is not a behaviour of this service: ")


def test_values_at_the_limits_are_accepted() -> None:
    assert faults(removed_at=NOON + SKEW, notified_at=NOON + SKEW, expires_at=NOON + MICROSECOND, quality=50) == []


def test_every_fault_of_an_amendment_is_reported_at_its_field() -> None:
    invalid = Amendment(labels=("nice",), basis="mood", context=("odd",), incident="example", expires_at=NOON)
    fields = [fault.at for fault in RULES.amendment_faults(invalid, NOON)]
    assert fields == ["labels[0]", "context[0]", "expires_at", "basis", "incident"]


def test_an_amendment_may_omit_or_clear_a_field() -> None:
    cleared = Amendment(severity=None, basis=None, context=(), incident=None, expires_at=None)
    assert list(RULES.amendment_faults(Amendment(), NOON)) == list(RULES.amendment_faults(cleared, NOON)) == []


def test_a_query_may_have_a_signal_that_may_not_be_contributed() -> None:
    assert list(RULES.query_faults(Query((Signal(Algorithm.PHASH, 0),)))) == []


def test_every_fault_of_a_query_is_reported_at_its_field() -> None:
    invalid = Query((signal(1), signal(1, Algorithm.AHASH)), radius={Algorithm.PDQ: 32, Algorithm.PHASH: -1})
    assert [str(fault) for fault in RULES.query_faults(invalid)] == [
        "signals[1]: ahash is not enabled on this service: pdq, phash256, phash",
        "radius.pdq: the radius of pdq must be 0 to 31 bits on this service",
        "radius.phash: the radius of phash must be 0 to 6 bits on this service",
    ]


@pytest.mark.parametrize(("allowed", "widest"), [({}, 31), ({Algorithm.PDQ: 60}, 60), ({Algorithm.PDQ: 8}, 31)])
def test_the_maximum_radius_is_the_default_or_a_larger_one_of_the_operator(
    allowed: dict[Algorithm, int], widest: int
) -> None:
    rules = replace(RULES, max_radius=allowed)
    assert list(rules.query_faults(query(1, pdq=0))) == list(rules.query_faults(query(1, pdq=widest))) == []
    assert len(list(rules.query_faults(query(1, pdq=widest + 1)))) == 1
