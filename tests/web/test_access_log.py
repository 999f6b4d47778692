"""The request id in the log is the one in the answer."""

from __future__ import annotations

import io
import json
import logging

import pytest

from hashdb.http_server import log_lines
from hashdb.service.matching import matches
from tests.web.callers import Service, item, pdq


def test_every_log_line_has_the_request_id_of_the_answer(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    platform, log_output = service.caller(), io.StringIO()
    platform.contribute(item(1))
    monkeypatch.setattr("sys.stderr", log_output)
    logger = logging.getLogger("hashdb")
    before = logger.handlers[:], logger.level, logger.propagate
    log_lines.write_json_lines()
    try:
        answers = [
            platform.post("/v1/matches", {"queries": [{"signals": [pdq(1)]}]}),
            platform.post("/v1/matches?include=quarantined", {"queries": [{"signals": [pdq(1)]}]}),
            platform.get("/nowhere"),
        ]
        monkeypatch.setattr(matches, "match", _fail)
        answers.append(platform.post("/v1/matches", {"queries": [{"signals": [pdq(1)]}]}))
    finally:
        logger.handlers[:], logger.level, logger.propagate = before
    lines = [json.loads(line) for line in log_output.getvalue().splitlines()]
    ids = [answer.headers["X-Request-ID"] for answer in answers]
    assert len(set(ids)) == 4
    # The error has a log line of its own, with the same id.
    assert [line["request_id"] for line in lines] == [*ids, ids[-1]]
    assert [line["message"].partition(" ")[0] for line in lines[-2:]] == ["unexpected", "request"]


def _fail(*_: object, **__: object) -> None:
    raise RuntimeError
