"""Wire models of signatures: invalid signatures and scores are rejected."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hashdb.domain.signatures import Kind
from hashdb.errors import InvalidInput
from hashdb.wire.matching import read_queries
from tests.builders import signal, signature
from tests.wire.strategies import CONTEXT

_PDQ = str(signal(1))


def _faults(*query_fields: Any) -> dict[str, str]:
    with pytest.raises(InvalidInput) as error:
        read_queries(json.dumps({"queries": list(query_fields)}).encode(), CONTEXT)
    return {fault.at: fault.reason for fault in error.value.faults}


def test_faults_of_signatures_and_scores_are_reported_at_their_fields() -> None:
    query = {"signals": [_PDQ], "transforms": {"mirror": [_PDQ]}}
    detail, colour = str(signature(1)), str(signature(1, Kind.COLOUR))
    assert _faults(query | {"signatures": {"whole": [detail[:-1]], "mirror": [colour, "taste:00"]}}) == {
        "queries[0].signatures.whole[0]": "detail needs 256 hex digits, got 255",
        "queries[0].signatures.mirror[1]": "must be kind:hex, with one of the kinds detail, colour",
    }
    assert _faults(query | {"signatures": {"flip": [detail]}, "min_score": 20.1, "order": "age"}) == {
        "queries[0].signatures.flip": "must be `whole`, or the name of one of the transforms",
        "queries[0].min_score": "must be at most 20.0",
        "queries[0].order": "must be one of 'distance' or 'score'",
    }
    many = [str(signature(seed)) for seed in range(9)]
    assert _faults(query | {"signatures": {"whole": many}}) == {
        "queries[0].signatures.whole": "must have at most 8 entries"
    }
    names = [f"view-{number}" for number in range(9)]
    wide = {"signals": [_PDQ], "transforms": {name: [_PDQ] for name in names}}
    assert _faults(wide | {"signatures": dict.fromkeys(names, many[:8])}) == {
        "queries[0].signatures": "must be at most 64 signatures in all"
    }
    full = wide | {"signatures": dict.fromkeys(names[:8], many[:8])}
    assert _faults(*[full] * 63) == {"queries": "must be at most 4000 signatures in all"}


def test_a_video_with_signatures_or_a_score_is_rejected() -> None:
    film = {"signals": [], "duration": 1, "frames": [{"at": 0, "signals": [_PDQ]}]}
    picture_fields = {"signatures": {"whole": [str(signature(1))]}, "min_score": 3, "order": "score"}
    reasons = _faults(film | picture_fields)
    assert set(reasons) == {f"queries[0].{name}" for name in picture_fields}
    assert reasons["queries[0].signatures"] == "belong to a picture: an item with frames has none"
