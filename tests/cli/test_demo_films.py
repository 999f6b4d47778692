"""The film of the demonstration: when its trials hold."""

from __future__ import annotations

from typing import Any

import pytest

from hashdb.cli.demo_films import FilmTrial

EXPECTED: dict[str, Any] = {"contribution": 7, "segments": [{"query": [3.25, 12.75], "listed": [9.0, 19.5]}]}


@pytest.mark.parametrize(
    ("answer", "held"),
    [
        (EXPECTED, True),
        (None, False),
        (EXPECTED | {"contribution": 8}, False),
        ({"contribution": 7, "at": [9.0]}, False),
        ({"contribution": 7, "segments": [{"query": [3.0, 13.0], "listed": [9.0, 20.5]}]}, False),
    ],
)
def test_a_trial_of_a_clip_holds_only_with_the_right_seconds(answer: dict[str, Any] | None, held: bool) -> None:
    assert FilmTrial("upload.mp4", "a clip", 7, (3.0, 13.0), (9.0, 19.0), answer).held is held


@pytest.mark.parametrize(("at", "held"), [([0.0, 5.75], True), ([6.5], False), ([], False)])
def test_a_trial_of_a_still_holds_only_at_its_second(at: list[float], held: bool) -> None:
    answer = {"contribution": 7, "at": at}
    assert FilmTrial("still.jpg", "a still", 7, None, (5.0, 5.0), answer).held is held
