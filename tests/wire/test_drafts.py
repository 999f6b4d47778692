"""Wire models of drafts and amendments."""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashdb.domain.contributions import Amendment, Draft
from hashdb.errors import Fault, InvalidInput, MalformedRequest
from hashdb.wire import read
from hashdb.wire.drafts import AmendmentIn, ContributionsIn, WithdrawalIn, read_drafts, read_metadata
from tests.builders import signal
from tests.wire.strategies import CONTEXT, amendments, drafts


def _draft_with(**fields: Any) -> dict[str, Any]:
    required = {"signals": [str(signal(1))], "labels": ["glorification"], "removed_at": "2026-11-20T10:00:00Z"}
    return {**required, "quality": 97, **fields}


def _faults(*items: Any) -> dict[str, str]:
    with pytest.raises(InvalidInput) as error:
        read_drafts(json.dumps({"contributions": list(items)}).encode(), CONTEXT)
    return {fault.at: fault.reason for fault in error.value.faults}


@given(st.lists(drafts, min_size=1, max_size=3))
def test_drafts_round_trip_unchanged(sent: list[Draft]) -> None:
    text = ContributionsIn.from_domain(sent).model_dump_json().encode()
    assert read_drafts(text, CONTEXT) == tuple(sent)


@given(amendments)
def test_an_amendment_round_trips_unchanged(sent: Amendment) -> None:
    text = AmendmentIn.from_domain(sent).model_dump_json(exclude_unset=True)
    assert read(AmendmentIn, text, CONTEXT).to_domain() == sent


def test_every_fault_of_a_request_is_reported_at_its_field() -> None:
    faults = _faults(
        _draft_with(),
        _draft_with(signals=["phash:d1c4b2a09f8e7d6c", "pdq:f8"], labels=[], severity=5, media="song", colour="red"),
        _draft_with(
            labels=["nonsense"], removed_at="yesterday", basis="whim", tco_ground="9", entity="XX:y", incident="z"
        ),
        _draft_with(expires_at="2026-01-01T00:00:00Z", removed_at="2026-11-20T12:05:01Z", context=["who"], reference=7),
        3,
    )
    assert set(faults) == {
        "contributions[1].signals[1]",
        "contributions[1].labels",
        "contributions[1].severity",
        "contributions[1].media",
        "contributions[1].colour",
        "contributions[2].labels[0]",
        "contributions[2].removed_at",
        "contributions[2].basis",
        "contributions[2].tco_ground",
        "contributions[2].entity",
        "contributions[2].incident",
        "contributions[3].expires_at",
        "contributions[3].removed_at",
        "contributions[3].context[0]",
        "contributions[3].reference",
        "contributions[4]",
    }
    assert faults["contributions[1].signals[1]"] == "pdq needs 64 hex digits, got 2"
    assert faults["contributions[1].colour"] == "is not a field of this request"
    assert faults["contributions[1].severity"] == "must be at most 4"


def test_each_missing_required_field_is_reported() -> None:
    assert _faults({}) == {
        "contributions[0].signals": "is required",
        "contributions[0].labels": "is required",
        "contributions[0].removed_at": "is required",
    }


@pytest.mark.parametrize("invalid_signals", [[], ["pdq:0"]])
def test_a_missing_quality_is_also_reported_beside_an_invalid_signal(invalid_signals: list[str]) -> None:
    fields = _draft_with(signals=[str(signal(1)), *invalid_signals])
    del fields["quality"]
    assert "contributions[0].quality" in _faults(fields)
    assert "contributions[0].quality" in _faults(fields | {"quality": None})


def test_quality_is_not_needed_without_pdq() -> None:
    fields = _draft_with(signals=["phash:d1c4b2a09f8e7d6c"])
    del fields["quality"]
    (draft,) = read_drafts(json.dumps({"contributions": [fields]}).encode(), CONTEXT)
    assert draft.quality is None


@pytest.mark.parametrize("quality", [49, 0, -1, 101, 97.0, "97", True, [97]])
def test_quality_is_a_whole_number_from_50_to_100(quality: object) -> None:
    assert list(_faults(_draft_with(quality=quality))) == ["contributions[0].quality"]


@pytest.mark.parametrize(
    "time",
    ["2026-11-20", "2026-11-20T10:00:00", "2026-11-20T25:00:00Z", "2026-02-30T00:00:00Z", 1763632800, None, ""],
)
def test_a_time_is_rfc_3339_with_a_zone(time: object) -> None:
    assert list(_faults(_draft_with(removed_at=time))) == ["contributions[0].removed_at"]


def test_a_removal_time_can_be_at_most_five_minutes_in_the_future() -> None:
    text = json.dumps({"contributions": [_draft_with(removed_at="2026-11-20T12:05:00Z")]}).encode()
    assert len(read_drafts(text, CONTEXT)) == 1
    assert "contributions[0].removed_at" in _faults(_draft_with(removed_at="2026-11-20T12:05:00.000001Z"))


def test_a_signal_with_few_bits_set_is_rejected_without_quoting_it() -> None:
    (reason,) = _faults(_draft_with(signals=["pdq:" + "0" * 64])).values()
    assert reason.startswith("pdq has 0 of 256 bits set")
    assert "0" * 16 not in reason


@pytest.mark.parametrize("field", ["labels", "context"])
def test_an_error_does_not_quote_a_hash_in_a_wrong_field(field: str) -> None:
    misplaced = str(signal(1))
    faults = _faults(_draft_with(**{field: [misplaced], misplaced: 1}))
    assert len(faults) == 2
    assert misplaced[4:] not in str(faults)


def test_a_long_name_of_an_unknown_field_is_shortened() -> None:
    (at,) = _faults(_draft_with(**{"x" * 10_000: 1}))
    assert len(at) < 100


def test_a_draft_has_1_to_64_signals_and_a_request_1_to_1000_drafts() -> None:
    many = [str(signal(seed)) for seed in range(65)]
    assert _faults(_draft_with(signals=many)) == {"contributions[0].signals": "must have at most 64 entries"}
    assert _faults(_draft_with(signals=[])) == {
        "contributions[0].signals": "must have at least 1 entry, unless there are frames"
    }
    assert _faults(*[_draft_with()] * 1001) == {"contributions": "must have at most 1000 entries"}
    assert _faults() == {"contributions": "must have at least 1 entry"}


def test_the_first_thousand_faults_are_reported_and_the_rest_counted() -> None:
    text = json.dumps({"contributions": [_draft_with(labels=["no", "nor"])] * 1000}).encode()
    with pytest.raises(InvalidInput) as error:
        read_drafts(text, CONTEXT)
    assert (len(error.value.faults), error.value.omitted) == (1000, 1000)
    assert error.value.faults[-1].at == "contributions[499].labels[1]"


def _calls_to_refuse(drafts: list[dict[str, Any]]) -> int:
    """How often Python calls a function, or goes on with a generator, until a request with these drafts is refused."""
    text = json.dumps({"contributions": drafts}).encode()
    events: Counter[str] = Counter()
    sys.setprofile(lambda frame, event, argument: events.update((event,)))
    try:
        with pytest.raises(InvalidInput):
            read_drafts(text, CONTEXT)
    finally:
        sys.setprofile(None)
    return events["call"]


def test_the_work_for_a_draft_does_not_grow_with_the_faults_of_other_drafts() -> None:
    faulty, other = {"signals": ["pdq:x"] * 64}, {"signals": [f"phash:{'d1' * 8}"]}
    # If all faults were searched for each other draft, it would be six times as much work.
    assert _calls_to_refuse([faulty] * 50 + [other] * 50) < 2 * _calls_to_refuse([faulty] * 100)


def test_repeated_signals_and_labels_are_stored_once() -> None:
    fields = _draft_with(signals=[str(signal(1))] * 3, labels=["glorification"] * 2)
    (draft,) = read_drafts(json.dumps({"contributions": [fields]}).encode(), CONTEXT)
    assert (draft.signals, draft.labels) == ((signal(1),), ("glorification",))


def test_a_reference_can_have_any_characters_except_control_characters() -> None:
    unusual = "caf\u00e9 \u3000 \U0001f468\u200d\U0001f469 'x' \u00a0"
    (draft,) = read_drafts(json.dumps({"contributions": [_draft_with(reference=unusual)]}).encode(), CONTEXT)
    assert draft.reference == unusual
    for bad in ("a\u0000b", "a\nb", "x" * 201):
        assert list(_faults(_draft_with(reference=bad))) == ["contributions[0].reference"]


def test_an_amendment_rejects_null_lists_and_fields_that_cannot_change() -> None:
    with pytest.raises(InvalidInput) as error:
        read(AmendmentIn, '{"signals": [], "labels": null, "context": null, "severity": "1"}', CONTEXT)
    assert {fault.at for fault in error.value.faults} == {"signals", "labels", "context", "severity"}


def test_a_withdrawal_needs_a_reason_of_the_vocabulary() -> None:
    assert read(WithdrawalIn, '{"reason": "removal_reversed"}', CONTEXT).reason == "removal_reversed"
    with pytest.raises(InvalidInput) as error:
        read(WithdrawalIn, '{"reason": "boredom"}', CONTEXT)
    assert error.value.faults[0].at == "reason"


_METADATA = {"labels": ["incitement"], "removed_at": "2026-11-20T10:00:00Z"}


def test_metadata_is_one_object_for_all_files_or_one_for_each_file() -> None:
    for_all = read_metadata(json.dumps(_METADATA), 3, CONTEXT)
    for_each = read_metadata(json.dumps([_METADATA, _METADATA | {"severity": 2}]), 2, CONTEXT)
    assert len(for_all) == 3
    assert [draft.severity for draft in for_each] == [None, 2]


@pytest.mark.parametrize(
    ("text", "count", "at"),
    [
        (json.dumps([_METADATA]), 2, ["metadata"]),
        (json.dumps([_METADATA, {"labels": ["no"]}]), 2, ["metadata[1].labels[0]", "metadata[1].removed_at"]),
        (json.dumps(_METADATA | {"signals": [], "quality": 9}), 1, ["metadata.signals", "metadata.quality"]),
        ("3", 1, ["metadata"]),
        ("null", 1, ["metadata"]),
    ],
)
def test_faults_of_metadata_are_reported_at_their_fields(text: str, count: int, at: list[str]) -> None:
    with pytest.raises(InvalidInput) as error:
        read_metadata(text, count, CONTEXT)
    assert [fault.at for fault in error.value.faults] == at


@pytest.mark.parametrize("text", ["", "{", "[" * 5000, '{"severity": NaN}'])
def test_metadata_that_is_not_json_is_malformed(text: str) -> None:
    with pytest.raises(MalformedRequest, match="metadata"):
        read_metadata(text, 1, CONTEXT)


def test_the_text_of_a_fault_is_its_field_and_its_reason() -> None:
    assert str(Fault("contributions[3].labels", "is required")) == "contributions[3].labels: is required"
