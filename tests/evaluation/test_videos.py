"""The evaluation of videos."""

from __future__ import annotations

import pytest

from hashdb.domain.matching.matches import FrameDetails
from hashdb.domain.matching.segments import Segment
from hashdb.evaluation.copies import COPIES, Copy, Form, Truth
from hashdb.evaluation.films import PannedFilm
from hashdb.evaluation.videos import VideoEvaluation, VideoScheme, evaluate_videos, judge, steps
from tests.evaluation.photos import PHOTOS

SIZE = (128, 72)
PLAIN = Copy("plain", Form.WHOLE)
SPLICED = Copy("spliced", Form.ALONE, parts=2)
NAMES = {(Form.WHOLE, "plain"), (Form.INSIDE, "mirrored"), (Form.INSIDE, "5 s"), (Form.INSIDE, "20 s")}


@pytest.fixture(scope="module")
def small() -> VideoEvaluation:
    """Two films of twelve seconds that show different photographs."""
    films = [PannedFilm(f"film {place}", tuple(PHOTOS[place:6:2]), 12.0, place, SIZE) for place in range(2)]
    around = PannedFilm("around", tuple(PHOTOS[6:9]), 20.0, "around", SIZE)
    copies = [copy for copy in COPIES if (copy.form, copy.name) in NAMES]
    advanced: list[int] = []
    scheme = VideoScheme(films, around, trials=3, wholes=2, interval=0.25, copies=copies)
    evaluation = evaluate_videos(scheme, processes=1, advance=lambda: advanced.append(1))
    assert len(advanced) == steps(scheme) == 8
    return evaluation


def test_clips_are_found_with_exact_times(small: VideoEvaluation) -> None:
    names = [small.scheme.copies[outcome.copy].name for outcome in small.outcomes]
    # Each film has one whole copy, and no clip is longer than its film.
    assert sorted(names) == ["5 s"] * 3 + ["mirrored"] * 3 + ["plain"] * 2
    # A clip of 5 seconds may be too short if the film moves fast.
    found = [outcome for outcome in small.outcomes if outcome.found]
    assert len(found) >= 7
    assert sum(outcome.exact for outcome in found) >= 6
    assert all(outcome.radius is not None and outcome.radius <= 31 for outcome in found)


def test_different_films_do_not_match(small: VideoEvaluation) -> None:
    assert small.surrounding == 0
    assert [outcome.others for outcome in small.outcomes] == [0] * 8
    assert {(pair.query, pair.listed) for pair in small.pairs} == {(0, 1), (1, 0)}
    assert all(pair.radius is None or pair.radius > 31 for pair in small.pairs)


def test_the_rules_of_vpdq_find_only_copies_of_whole_films(small: VideoEvaluation) -> None:
    for outcome in small.outcomes:
        is_whole = small.scheme.copies[outcome.copy].form is Form.WHOLE
        assert outcome.rules.by_listed is outcome.rules.by_query is is_whole


def segment(query: tuple[float, float], listed: tuple[float, float]) -> Segment:
    return Segment(query, listed, speed=1.0, frames=5, possible=5, distance=3)


def test_a_segment_is_exact_only_if_all_its_ends_are_within_a_second() -> None:
    truth = [Truth((10.0, 20.0), (40.0, 50.0))]
    right = segment((10.75, 19.5), (40.0, 50.5))
    late = segment((10.0, 21.5), (40.0, 51.5))
    elsewhere = segment((10.0, 20.0), (70.0, 80.0))
    assert judge(truth, FrameDetails((right,)), PLAIN) == (1, 1, 0.75)
    assert judge(truth, FrameDetails((late,)), PLAIN) == (1, 0, 1.5)
    assert judge(truth, FrameDetails((late, right)), PLAIN) == (1, 1, 0.75)
    assert judge(truth, FrameDetails((elsewhere,)), PLAIN) == (0, 0, None)
    assert judge(truth, None, PLAIN) == (0, 0, None)


def test_each_part_of_a_spliced_copy_is_judged() -> None:
    truth = [Truth((0.0, 5.0), (20.0, 25.0)), Truth((5.0, 10.0), (3.0, 8.0))]
    first = segment((0.0, 5.0), (20.0, 25.0))
    assert judge(truth, FrameDetails((first,)), SPLICED) == (1, 1, 0.0)
