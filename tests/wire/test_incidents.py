"""Incidents: the two directions are each other's inverse, and a change names what it changes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashdb.domain.contributions import UNSET
from hashdb.domain.incidents import Incident, IncidentChange, IncidentDraft
from hashdb.errors import InvalidInput
from hashdb.wire import read
from hashdb.wire.incidents import IncidentChangeIn, IncidentIn, IncidentOut
from tests.builders import NOON
from tests.wire.strategies import ids, moments

_ends = st.none() | moments.filter(lambda at: at > NOON)
_drafts = st.builds(IncidentDraft, st.sampled_from(["CIP:x", "CI:a-b"]), st.just(NOON), _ends, st.booleans())
_changes = st.builds(
    IncidentChange, st.just(UNSET) | st.just(NOON), st.just(UNSET) | _ends, st.just(UNSET) | st.booleans()
)
_incidents = st.builds(Incident, ids, st.just("CI:x"), moments, st.none() | moments, st.booleans())


@given(_drafts)
def test_an_incident_to_open_comes_back_as_it_was_sent(sent: IncidentDraft) -> None:
    assert read(IncidentIn, IncidentIn.of(sent).model_dump_json()).value() == sent


@given(_changes)
def test_a_change_comes_back_as_it_was_sent(sent: IncidentChange) -> None:
    text = IncidentChangeIn.of(sent).model_dump_json(exclude_unset=True)
    assert read(IncidentChangeIn, text).value() == sent


@given(_incidents)
def test_an_incident_comes_back(answered: Incident) -> None:
    assert IncidentOut.model_validate_json(IncidentOut.of(answered).json_text()).value() == answered


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ({}, ["label", "start"]),
        ({"label": "example", "start": "2026-11-20T10:00:00Z"}, ["label"]),
        ({"label": "CI:x", "start": "now"}, ["start"]),
        ({"label": "CI:x", "start": "2026-11-20T10:00:00Z", "end": "2026-11-20T10:00:00Z"}, ["end"]),
        ({"label": "CI:x", "start": "2026-11-20T10:00:00Z", "expires": 1, "id": 2}, ["expires", "id"]),
    ],
)
def test_every_fault_is_told_at_its_field(text: dict[str, object], at: list[str]) -> None:
    with pytest.raises(InvalidInput) as refusal:
        read(IncidentIn, json.dumps(text))
    assert [fault.at for fault in refusal.value.faults] == at


@pytest.mark.parametrize("field", ["start", "expires"])
def test_a_change_refuses_null_where_something_must_stand(field: str) -> None:
    with pytest.raises(InvalidInput):
        read(IncidentChangeIn, json.dumps({field: None}))
    assert read(IncidentChangeIn, '{"end": null}').value() == IncidentChange(end=None)
