"""The metrics of the sidecar: requests by route, and the copy. They contain no input of clients."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from tests.sidecar.conftest import Pair
from tests.web.callers import pdq


def metrics(pair: Pair) -> dict[str, float]:
    """Return the metrics by name and labels."""
    text = pair.ask("GET", "/metrics").text
    return {
        f"{sample.name}{sorted(sample.labels.values())}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_requests_are_counted_by_route_and_status(pair: Pair) -> None:
    before = metrics(pair)
    assert before["hashdb_sidecar_requests_total['/v1/matches', '500', 'POST']"] == 0
    assert "hashdb_sidecar_copy_events[]" not in before
    secret = pdq(7)
    pair.ask("POST", "/v1/matches", json={"queries": [{"signals": [secret]}]})
    pair.ask("BREW", f"/v1/{secret}")
    pair.ask("GET", f"/hma/c/bank/{secret}")
    after = metrics(pair)
    assert after["hashdb_sidecar_requests_total['/v1/matches', '503', 'POST']"] == 1
    assert after["hashdb_sidecar_requests_total['(any)', '(none)', '404']"] == 1
    assert after["hashdb_sidecar_request_seconds_count['/v1/matches']"] == 1
    assert secret not in str(after)


def test_the_metrics_describe_the_copy_and_look_back(filled: Pair) -> None:
    filled.service.clock.advance(seconds=42)
    values = metrics(filled)
    seq = filled.state.copy_state().seq
    assert values["hashdb_sidecar_copy_age_seconds[]"] == 42
    assert values["hashdb_sidecar_max_age_seconds[]"] == 300
    assert values["hashdb_sidecar_copy_events[]"] == values["hashdb_sidecar_lookback_lag_events[]"] == seq > 0
    assert values["hashdb_sidecar_copy_contributions[]"] == 5
    assert values["hashdb_sidecar_reports_unacknowledged[]"] == 0
