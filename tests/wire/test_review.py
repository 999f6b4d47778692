"""Wire models of opinions, cases, proposals, incidents and reversals."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashdb.domain.contributions import UNSET
from hashdb.domain.review.cases import Case, Decision, Opinion, OpinionDraft
from hashdb.domain.review.incidents import Incident, IncidentChange, IncidentDraft
from hashdb.domain.review.proposals import Proposal, ProposedChange, TwoPersonAction
from hashdb.domain.stats.counts import Reversal
from hashdb.errors import InvalidInput
from hashdb.wire import read
from hashdb.wire.review import (
    CaseOut,
    DecisionIn,
    IncidentChangeIn,
    IncidentIn,
    IncidentOut,
    OpinionIn,
    OpinionOut,
    ProposalOut,
    ReversalOut,
)
from tests.builders import NOON
from tests.wire.strategies import CONTEXT, cases, ids, moments, opinion_drafts, opinions, texts


def _faults(fields: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(InvalidInput) as error:
        read(OpinionIn, json.dumps(fields), CONTEXT)
    return {fault.at: fault.reason for fault in error.value.faults}


@given(opinion_drafts)
def test_a_draft_of_an_opinion_round_trips_unchanged(sent: OpinionDraft) -> None:
    assert read(OpinionIn, OpinionIn.from_domain(sent).model_dump_json(), CONTEXT).to_domain() == sent


@given(opinions())
def test_an_opinion_round_trips_with_its_hidden_fields(opinion: Opinion) -> None:
    assert OpinionOut.model_validate_json(OpinionOut.from_domain(opinion).json_text()).to_domain() == opinion


def test_only_a_dispute_has_a_reason_and_it_needs_one() -> None:
    expected = {"reason": "is required for a dispute: `hashdb opinion --help` and the API document list the reasons"}
    assert _faults({"opinion": "disputes"}) == _faults({"opinion": "disputes", "reason": None}) == expected
    assert _faults({"opinion": "confirms", "reason": "other"}) == {
        "reason": "is for disputes only: leave it out to confirm"
    }
    assert read(OpinionIn, '{"opinion": "confirms", "reason": null}', CONTEXT).reason is None


def test_every_fault_of_an_opinion_is_reported_at_its_field() -> None:
    faults = _faults({"opinion": "likes", "reason": "boredom", "note": "x" * 2001, "member": 3})
    assert set(faults) == {"opinion", "reason", "note", "member"}
    assert faults["note"] == "must have at most 2000 characters"
    assert list(_faults({})) == ["opinion"]


@pytest.mark.parametrize("note", ["a\x00b", "\x1b[1m", "\x7f", 7])
def test_a_note_has_line_breaks_and_no_other_control_characters(note: object) -> None:
    assert list(_faults({"opinion": "confirms", "note": note})) == ["note"]
    assert read(OpinionIn, '{"opinion": "confirms", "note": "one\\n\\ttwo\\r\\n"}', CONTEXT).note == "one\n\ttwo\r\n"


@given(cases())
def test_a_case_round_trips_with_its_hidden_fields(case: Case) -> None:
    assert CaseOut.model_validate_json(CaseOut.from_domain(case).json_text()).to_domain() == case


def test_a_decision_is_read_and_each_fault_is_reported_at_its_field() -> None:
    decision = read(DecisionIn, '{"decision": "retire", "note": "a news report"}')
    assert (decision.decision, decision.note) == (Decision.RETIRE, "a news report")
    with pytest.raises(InvalidInput) as error:
        read(DecisionIn, '{"decision": "burn", "note": 7, "case": 1}')
    assert {fault.at for fault in error.value.faults} == {"decision", "note", "case"}


_content = st.dictionaries(texts, texts | st.integers(0, 9) | st.none())
_requests = st.builds(
    ProposedChange, st.sampled_from(TwoPersonAction), st.sampled_from(["member", "benign"]), ids, _content
)


@given(st.builds(Proposal, ids, _requests, texts, moments, moments))
def test_a_proposal_round_trips_unchanged(proposal: Proposal) -> None:
    assert ProposalOut.model_validate_json(ProposalOut.from_domain(proposal).json_text()).to_domain() == proposal


_ends = st.none() | moments.filter(lambda at: at > NOON)
_drafts = st.builds(IncidentDraft, st.sampled_from(["CIP:x", "CI:a-b"]), st.just(NOON), _ends, st.booleans())
_changes = st.builds(
    IncidentChange, st.just(UNSET) | st.just(NOON), st.just(UNSET) | _ends, st.just(UNSET) | st.booleans()
)
_incidents = st.builds(Incident, ids, st.just("CI:x"), moments, st.none() | moments, st.booleans())


@given(_drafts)
def test_a_draft_of_an_incident_round_trips_unchanged(sent: IncidentDraft) -> None:
    assert read(IncidentIn, IncidentIn.from_domain(sent).model_dump_json()).to_domain() == sent


@given(_changes)
def test_a_change_of_an_incident_round_trips_unchanged(sent: IncidentChange) -> None:
    text = IncidentChangeIn.from_domain(sent).model_dump_json(exclude_unset=True)
    assert read(IncidentChangeIn, text).to_domain() == sent


@given(_incidents)
def test_an_incident_round_trips_unchanged(incident: Incident) -> None:
    assert IncidentOut.model_validate_json(IncidentOut.from_domain(incident).json_text()).to_domain() == incident


@pytest.mark.parametrize(
    ("fields", "at"),
    [
        ({}, ["label", "start"]),
        ({"label": "example", "start": "2026-11-20T10:00:00Z"}, ["label"]),
        ({"label": "CI:x", "start": "now"}, ["start"]),
        ({"label": "CI:x", "start": "2026-11-20T10:00:00Z", "end": "2026-11-20T10:00:00Z"}, ["end"]),
        ({"label": "CI:x", "start": "2026-11-20T10:00:00Z", "expires": 1, "id": 2}, ["expires", "id"]),
    ],
)
def test_every_fault_of_an_incident_is_reported_at_its_field(fields: dict[str, object], at: list[str]) -> None:
    with pytest.raises(InvalidInput) as error:
        read(IncidentIn, json.dumps(fields))
    assert [fault.at for fault in error.value.faults] == at


@pytest.mark.parametrize("field", ["start", "expires"])
def test_a_change_of_an_incident_rejects_null_in_required_fields(field: str) -> None:
    with pytest.raises(InvalidInput):
        read(IncidentChangeIn, json.dumps({field: None}))
    assert read(IncidentChangeIn, '{"end": null}').to_domain() == IncidentChange(end=None)


reversals = st.builds(Reversal, ids, ids, st.sampled_from(["withdrawn", "retired"]), st.none() | st.text(), moments)


@given(reversals)
def test_a_reversal_round_trips_unchanged(reversal: Reversal) -> None:
    assert ReversalOut.model_validate_json(ReversalOut.from_domain(reversal).json_text()).to_domain() == reversal
