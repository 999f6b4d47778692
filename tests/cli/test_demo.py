"""hashdb demo."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from hashdb.cli.demo import FilmTrial
from tests.cli.conftest import Commands


def test_the_demonstration_holds_what_it_expects(run: Commands) -> None:
    done = run.process("demo", "--once", "--json", timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout)
    assert said["held"] is True
    told = [(one["held"], one["expected"] is not None, one["contribution"]) for one in said["trials"]]
    copies, others = told[:48], told[48:]
    assert all(held and expected and found for held, expected, found in copies)
    assert others == [(True, False, None)] * 6
    clip, still = said["films"]
    assert clip["held"] and still["held"]
    assert clip["found"]["contribution"] == still["found"]["contribution"] == clip["expected"]
    (segment, *_) = clip["found"]["segments"]
    assert "mirror" in segment["transform"]
    # What is told as it goes on leaves the document alone.
    assert done.stderr.startswith("service       http://127.0.0.1:")
    assert re.search(r"^index +tiered \(by (C kernel|NumPy)\)$", done.stderr, re.MULTILINE)


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
