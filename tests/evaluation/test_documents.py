"""The JSON of an evaluation."""

from __future__ import annotations

import json
from pathlib import Path

from hashdb.evaluation.documents import spelled
from hashdb.evaluation.evaluations import Evaluation
from tests.evaluation.photos import PHOTOS


def test_it_is_json_and_tells_what_was_measured(small: Evaluation) -> None:
    said = json.loads(json.dumps(spelled(small), allow_nan=False))
    assert said["pictures"] == 7
    assert [alteration["name"] for alteration in said["alterations"]] == ["JPEG 50", "JPEG 10", "mirrored"]
    assert {Path(name).name for name in said["same"][0]} == {"again.jpg", PHOTOS[0].name}
    assert [Path(one["path"]).name for one in said["unfit"]] == ["<b>&.jpg"]
    pdq = said["choices"][0]
    assert (pdq["algorithm"], pdq["profile"], pdq["transforms"], pdq["radius_in_force"]) == ("pdq", "plain", False, 44)
    assert pdq["radius"] is None
    assert pdq["tail"] is None


def test_what_was_found_grows_with_the_radius_and_agrees_with_the_recall(small: Evaluation) -> None:
    for choice in spelled(small)["choices"]:
        for found, recall in zip(choice["found"], choice["recall_in_force"], strict=True):
            assert found == sorted(found)
            assert found[choice["radius_in_force"]] / 7 == recall
        assert choice["pairs_within"] == sorted(choice["pairs_within"])
        least = choice["nearest"][0]["distance"] if choice["nearest"] else len(choice["pairs_within"])
        assert not any(choice["pairs_within"][:least])
