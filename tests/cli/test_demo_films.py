"""The film of the demonstration: what counts as found."""

from __future__ import annotations

from typing import Any

import pytest

from hashdb.cli.demo_films import FilmTrial

RIGHT: dict[str, Any] = {"contribution": 7, "segments": [{"query": [3.25, 12.75], "listed": [9.0, 19.5]}]}


@pytest.mark.parametrize(
    ("found", "held"),
    [
        (RIGHT, True),
        (None, False),
        (RIGHT | {"contribution": 8}, False),
        ({"contribution": 7, "at": [9.0]}, False),
        ({"contribution": 7, "segments": [{"query": [3.0, 13.0], "listed": [9.0, 20.5]}]}, False),
    ],
)
def test_a_clip_holds_with_its_seconds_only(found: dict[str, Any] | None, held: bool) -> None:
    assert FilmTrial("upload.mp4", "a clip", 7, (3.0, 13.0), (9.0, 19.0), found).held is held


@pytest.mark.parametrize(("at", "held"), [([0.0, 5.75], True), ([6.5], False), ([], False)])
def test_a_still_holds_at_its_second_only(at: list[float], held: bool) -> None:
    found = {"contribution": 7, "at": at}
    assert FilmTrial("still.jpg", "a still", 7, None, (5.0, 5.0), found).held is held
