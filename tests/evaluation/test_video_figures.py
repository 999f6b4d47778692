"""The tables of an evaluation of videos, and the rate of its false matches."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest

from hashdb.evaluation import video_figures as figures
from hashdb.evaluation.copies import COPIES, Copy, Form
from hashdb.evaluation.films import PannedFilm
from hashdb.evaluation.library import WIDEST_RADIUS
from hashdb.evaluation.rules import Agreement
from hashdb.evaluation.videos import Outcome, VideoEvaluation, VideoFrames, VideoPair, VideoScheme

PLAIN = Copy("plain", Form.WHOLE)
JOINED = Copy("joined", Form.ALONE, parts=2)
BACKWARDS = Copy("reversed", Form.ALONE, reverse=True)
NONE = VideoFrames((), 0.0)
FILMS = 40


def evaluation(outcomes: list[Outcome], pairs: list[VideoPair]) -> VideoEvaluation:
    """An evaluation of films of two groups in turn, with these outcomes and pairs."""
    films = [PannedFilm(f"film {place}", (Path(f"{place % 2}.jpg"),), 30.0, place) for place in range(FILMS)]
    around = PannedFilm("around", (Path("2.jpg"),), 60.0, 0)
    scheme = VideoScheme(films, around, 4, 4, 0.25, copies=(PLAIN, JOINED, BACKWARDS))
    return VideoEvaluation(scheme, outcomes, pairs, 1, 1_000, 30.0 * FILMS, NONE, (NONE, NONE))


def outcome(trial: int, copy: int, parts: int, found: int, off: float | None, **more: int) -> Outcome:
    """The outcome of one copy. If `off` is at most one second, all found stretches count as exact."""
    exact = found if off is not None and off <= 1 else 0
    rules = Agreement(0.9, 0.5) if copy == 0 else Agreement(0.0, 0.0)
    return Outcome(trial, copy, parts, found, exact, off, more.get("radius", 20), more.get("others", 0), rules)


def test_the_recall_table_has_a_row_for_each_kind_of_copy() -> None:
    videos = evaluation(
        [
            outcome(0, 0, 1, 1, 0.2),
            outcome(1, 0, 1, 1, 1.5, others=2),
            outcome(0, 1, 2, 1, 0.4),
            outcome(0, 2, 1, 1, None),
        ],
        [],
    )
    assert figures.recall_table(videos, Form.WHOLE).rows == [
        ("plain", "2", "100.0", "50.0", "1.5", "0.0", "100.0", "2")
    ]
    assert figures.recall_table(videos, Form.ALONE).rows == [
        ("joined", "1", "50.0", "50.0", "0.4", "0.0", "0.0", "0"),
        # A segment of a reversed copy has no right start and end.
        ("reversed", "1", "100.0", "–", "–", "0.0", "0.0", "0"),
    ]
    assert figures.recall_table(videos, Form.INSIDE).rows == []


def test_false_matches_are_counted_and_estimated() -> None:
    random = Random(1)
    pairs = [
        VideoPair(query, listed, radius if (radius := round(random.gauss(86, 4))) <= WIDEST_RADIUS else None)
        for query in range(FILMS)
        for listed in range(FILMS)
        if query % 2 != listed % 2
    ]
    false = figures.false_matches(evaluation([outcome(0, 0, 1, 1, 0.2, others=2)], pairs))
    # One upload is compared with the films of the other group, and the surrounding film with all films.
    assert (false.uploads, false.counted) == (FILMS // 2 + FILMS, 3)
    assert false.pairs == len(pairs) == FILMS**2 // 2
    rate = false.rate
    assert rate.nearest is not None and 65 < rate.nearest < 80
    assert rate.estimate is not None and rate.upper is not None
    assert 0 < rate.estimate <= rate.upper < 1e-9
    assert rate.tail is not None
    points = figures.recall_curve(evaluation([outcome(0, 0, 1, 1, 0.2), outcome(1, 0, 1, 0, None, radius=40)], pairs),
                           Form.WHOLE, rate.tail)  # fmt: skip
    assert [recall for _, recall in points[19:41]] == [0.0, *[0.5] * 20, 1.0]
    assert [rate for rate, _ in points] == sorted(rate for rate, _ in points)


def test_few_pairs_give_no_estimate() -> None:
    false = figures.false_matches(evaluation([], [VideoPair(0, 1, 80), VideoPair(1, 0, None)]))
    rate = false.rate
    assert (false.pairs, rate.nearest, rate.tail, rate.estimate, rate.upper) == (2, 80, None, None, None)
    assert figures.false_matches(evaluation([], [])).rate.nearest is None


def test_the_document_is_json() -> None:
    videos = evaluation([outcome(0, 0, 1, 1, 0.2)], [VideoPair(0, 1, 80)])
    document = json.loads(json.dumps(figures.as_document(videos)))
    assert document["copies"] == [
        {"name": "plain", "form": "whole", "clips": 1, "found": 1.0, "exact": 1.0, "off": 0.2}
        | {"by_listed": 0.0, "by_query": 1.0, "mistaken": 0}
    ]
    assert document["outcomes"][0]["rules"] == {"query": 0.9, "listed": 0.5}
    assert document["false_matches"]["uploads"] == FILMS // 2 + FILMS


@pytest.mark.parametrize("form", Form)
def test_every_form_has_copies(form: Form) -> None:
    assert any(copy.form is form for copy in COPIES)
