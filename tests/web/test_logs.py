"""The request log has one line for each request and nothing that a member sent."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from hashdb.http_server import log_lines
from tests.web.callers import Caller, item, pdq
from tests.web.pictures import form, photo

LOGGER = logging.getLogger("hashdb")


@pytest.fixture
def log_output(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """The log as it would be written to standard error."""
    output = io.StringIO()
    monkeypatch.setattr("sys.stderr", output)
    before = LOGGER.handlers[:], LOGGER.level, LOGGER.propagate
    log_lines.write_json_lines()
    yield output
    LOGGER.handlers[:], LOGGER.level, LOGGER.propagate = before


def test_a_request_is_one_json_line(log_output: io.StringIO, platform: Caller) -> None:
    platform.get("/v1/contributions?limit=7")
    (line,) = log_output.getvalue().splitlines()
    fields = json.loads(line)
    assert fields["route"] == "/v1/contributions"
    assert (fields["method"], fields["status"], fields["actor"]) == ("GET", 200, f"key:{platform.key}")
    assert fields["ms"] >= 0
    assert fields["at"].endswith("Z")


def test_no_secret_hash_or_text_of_a_request_is_logged(log_output: io.StringIO, platform: Caller) -> None:
    signal, secret = pdq(), str(platform.secret)
    platform.contribute(item(reference="my-reference"), headers={"Idempotency-Key": "my-key"})
    platform.post(
        "/v1/contributions", {"contributions": [item(labels=[signal], signals=["pdq:" + "1" * 64, signal + "0"])]}
    )
    platform.post("/v1/matches", {"queries": [{"id": "my-upload", "signals": [signal]}]})
    platform.post("/v1/signals", **form(photo()))
    for path in (
        f"/v1/{signal}",
        f"/v1/contributions?label={signal}",
        f"/v1/me?{signal}",
        f"/%0A{secret}%0D",
        "/v1/me",
    ):
        platform.get(path)
        platform.get(path, headers={"Authorization": f"Basic {secret}"})
    platform.request(signal, "/v1/me")
    platform.request("GET\nX", "/nowhere")
    text = log_output.getvalue()
    assert len(text.splitlines()) == len([json.loads(line) for line in text.splitlines()]) == 16
    for value in (signal[4:], secret, "my-reference", "my-key", "my-upload", "1" * 32, "127.0.0.1"):
        assert value not in text


def test_a_rejection_does_not_repeat_the_hash_that_was_sent(platform: Caller) -> None:
    signal = pdq()
    invalid = [
        signal + "0",
        signal[:-1],
        signal.upper(),
        signal.replace("pdq", "md5"),
        "pdq:" + "1" * 64,
        f"{signal} {signal}",
    ]
    draft = item(signals=invalid, labels=[signal], basis=signal, entity=signal, incident=signal, media=signal)
    responses = [
        platform.post("/v1/contributions", {"contributions": [{**draft, signal: signal}]}),
        platform.post("/v1/matches", {"queries": [{"signals": invalid, "radius": {signal: 1}, signal: 1}]}),
        platform.get(f"/v1/contributions?label={signal}&{signal}={signal}&status={signal}"),
        platform.get(f"/{signal}"),
    ]
    for response in responses:
        assert response.status_code in (404, 422)
        for part in (signal[4:40], signal[-40:], "1" * 32):
            assert part not in response.text.lower()
