"""Health on the wire."""

from __future__ import annotations

from hashdb.wire.health import HealthOut, ReadyOut


def test_health_is_one_word_and_a_number() -> None:
    assert HealthOut(status="alive").json_text() == '{"status":"alive"}'
    assert ReadyOut(status="ready", checkpoint=7).json_text() == '{"status":"ready","checkpoint":7}'
