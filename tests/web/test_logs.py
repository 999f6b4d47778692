"""The log of requests: one line each, and nothing in it that a member sent."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from hashdb.wsgi import log_lines
from tests.web.callers import Caller, item, pdq
from tests.web.pictures import form, photo

LOGGER = logging.getLogger("hashdb")


@pytest.fixture
def log_output(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What would be written to standard error."""
    written = io.StringIO()
    monkeypatch.setattr("sys.stderr", written)
    before = LOGGER.handlers[:], LOGGER.level, LOGGER.propagate
    log_lines.write_json_lines()
    yield written
    LOGGER.handlers[:], LOGGER.level, LOGGER.propagate = before


def test_a_request_is_one_json_line(log_output: io.StringIO, platform: Caller) -> None:
    platform.get("/v1/contributions?limit=7")
    (line,) = log_output.getvalue().splitlines()
    said = json.loads(line)
    assert said["route"] == "/v1/contributions"
    assert (said["method"], said["status"], said["actor"]) == ("GET", 200, f"key:{platform.key}")
    assert said["ms"] >= 0
    assert said["at"].endswith("Z")


def test_neither_secret_nor_hash_nor_text_of_a_request_is_logged(log_output: io.StringIO, platform: Caller) -> None:
    lost, secret = pdq(), str(platform.secret)
    platform.contribute(item(reference="my-reference"), headers={"Idempotency-Key": "my-key"})
    platform.post(
        "/v1/contributions", {"contributions": [item(labels=[lost], signals=["pdq:" + "1" * 64, lost + "0"])]}
    )
    platform.post("/v1/matches", {"queries": [{"id": "my-upload", "signals": [lost]}]})
    platform.post("/v1/signals", **form(photo()))
    for path in (f"/v1/{lost}", f"/v1/contributions?label={lost}", f"/v1/me?{lost}", f"/%0A{secret}%0D", "/v1/me"):
        platform.get(path)
        platform.get(path, headers={"Authorization": f"Basic {secret}"})
    platform.request(lost, "/v1/me")
    platform.request("GET\nX", "/nowhere")
    text = log_output.getvalue()
    assert len(text.splitlines()) == len([json.loads(line) for line in text.splitlines()]) == 16
    for told in (lost[4:], secret, "my-reference", "my-key", "my-upload", "1" * 32, "127.0.0.1"):
        assert told not in text


def test_an_answer_repeats_no_hash_that_it_refuses(platform: Caller) -> None:
    lost = pdq()
    wrong = [lost + "0", lost[:-1], lost.upper(), lost.replace("pdq", "md5"), "pdq:" + "1" * 64, f"{lost} {lost}"]
    said = item(signals=wrong, labels=[lost], basis=lost, entity=lost, incident=lost, media=lost)
    answers = [
        platform.post("/v1/contributions", {"contributions": [{**said, lost: lost}]}),
        platform.post("/v1/matches", {"queries": [{"signals": wrong, "radius": {lost: 1}, lost: 1}]}),
        platform.get(f"/v1/contributions?label={lost}&{lost}={lost}&status={lost}"),
        platform.get(f"/{lost}"),
    ]
    for answer in answers:
        assert answer.status_code in (404, 422)
        for part in (lost[4:40], lost[-40:], "1" * 32):
            assert part not in answer.text.lower()
