"""Incidents and retention: when contributions expire."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from hashdb.domain.review.incidents import Incident, IncidentChange, Retention, end_fault
from tests.builders import NOON

DAY = timedelta(days=1)
OPEN = Incident(1, "CI:x", NOON, None, True)


def test_an_incident_has_an_expiry_if_it_has_an_end_and_expires() -> None:
    ended = IncidentChange(end=NOON + DAY).apply_to(OPEN)
    assert (OPEN.expiry, ended.expiry) == (None, NOON + DAY)
    assert IncidentChange(expires=False).apply_to(ended).expiry is None


def test_a_change_leaves_other_fields_as_they_are() -> None:
    ended = IncidentChange(end=NOON + DAY).apply_to(OPEN)
    assert IncidentChange().apply_to(ended) == ended
    assert IncidentChange(end=None).apply_to(ended) == OPEN
    assert IncidentChange(start=NOON - DAY).apply_to(OPEN) == Incident(1, "CI:x", NOON - DAY, None, True)


@pytest.mark.parametrize(
    ("end", "wrong"),
    [(None, False), (NOON + timedelta(microseconds=1), False), (NOON, True), (NOON - DAY, True)],
)
def test_an_incident_must_end_after_its_start(end: datetime | None, wrong: bool) -> None:
    assert (end_fault(NOON, end) is not None) == wrong


@pytest.mark.parametrize(
    ("own", "labels", "end", "expected"),
    [
        (None, ("incitement",), None, None),
        (9, ("incitement",), None, 9),
        (None, ("manifesto",), None, 7),
        (9, ("manifesto",), None, 7),
        (6, ("manifesto",), None, 6),
        (None, ("manifesto", "recruitment"), None, 5),
        (None, ("manifesto", "recruitment"), 4, 4),
        (3, ("manifesto", "recruitment"), 4, 3),
        (None, ("incitement",), 4, 4),
    ],
)
def test_a_contribution_expires_at_the_earliest_of_its_expiries(
    own: int | None, labels: tuple[str, ...], end: int | None, expected: int | None
) -> None:
    def at(days: int | None) -> datetime | None:
        return None if days is None else NOON + days * DAY

    incident = IncidentChange(end=at(end)).apply_to(OPEN)
    retention = Retention({"manifesto": 7, "recruitment": 5})
    assert retention.expiry(at(own), labels, NOON, incident) == at(expected)
    assert retention.expiry(at(own), labels, NOON, None) == Retention(retention.days).expiry(
        at(own), labels, NOON, OPEN
    )
