"""The feed: the two directions are each other's inverse."""

from __future__ import annotations

import json

from hypothesis import given

from hashdb.domain.changes import Change, Changes, Gone
from hashdb.wire.changes import ChangesOut
from tests.wire.strategies import changes


@given(changes)
def test_a_page_comes_back(page: Changes) -> None:
    assert ChangesOut.model_validate_json(ChangesOut.of(page).json_text()).value() == page


def test_what_is_gone_is_an_id_and_a_reason() -> None:
    page = Changes((Change(4002, Gone(17, "withdrawn")),), 4002, True, "9f3c")
    assert json.loads(ChangesOut.of(page).json_text()) == {
        "changes": [{"seq": 4002, "gone": 17, "reason": "withdrawn"}],
        "checkpoint": 4002,
        "more": True,
        "epoch": "9f3c",
    }
