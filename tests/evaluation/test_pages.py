"""Pages and drawings of recall against false matches."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

from hashdb.evaluation.copies import Form
from hashdb.evaluation.pages import (
    Line,
    drawing,
    drawn,
    lines,
    picture_curves,
    picture_page,
    video_curves,
    video_page,
)
from hashdb.evaluation.runs import Evaluation
from hashdb.evaluation.videos import VideoPair
from tests.evaluation.test_video_figures import evaluation, outcome

LINE = Line("pdq plain", "pdq & more", [(1e-20, 0.0), (1e-15, 0.2), (1e-2, 1.0), (0.5, 1.0)])


def _points(drawn: str) -> list[tuple[float, float]]:
    line = re.search(r'<polyline [^>]*points="([^"]*)"', drawn)
    assert line
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in line[1].split())]


def test_a_drawing_is_well_formed_and_has_the_names_of_its_lines() -> None:
    drawn = ElementTree.fromstring(drawing("all <of> them", [LINE], 1e-11))
    text = "".join(drawn.itertext())
    assert "all <of> them" in text
    assert "pdq & more" in text


def test_a_drawing_includes_its_style_and_a_page_has_one_for_all_drawings(small: Evaluation) -> None:
    assert drawing("x", [LINE], 1e-11).count("<style>") == 1
    assert picture_page(small).count("<style>") == 1


def test_lower_rates_are_further_left_and_higher_recall_is_further_up() -> None:
    (x, y), (next_x, next_y) = _points(drawing("x", [LINE], 1e-11))
    assert next_x > x
    assert next_y < y


def test_points_outside_the_axis_are_omitted() -> None:
    assert len(_points(drawing("x", [LINE], 1e-11))) == 2


def test_every_shown_choice_has_a_line(small: Evaluation) -> None:
    assert [line.name for line in lines(small, [0, 1])] == [str(outcome.choice) for outcome in drawn(small)]
    assert picture_page(small).count("<li><svg ") == len(drawn(small))


VOID = {"meta"}


class _Nesting(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_loads_no_other_file_and_has_no_script(small: Evaluation) -> None:
    text = picture_page(small).replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert not re.search(r"https?:|//|src=|<script|<link|url\(", text)


def test_the_tags_of_the_page_are_closed_in_order(small: Evaluation) -> None:
    parser = _Nesting()
    parser.feed(picture_page(small))
    assert not parser.open
    assert {"table", "svg", "polyline"} <= parser.seen


def test_the_name_of_a_file_is_escaped(small: Evaluation) -> None:
    text = picture_page(small)
    assert "<b>&.jpg" not in text
    assert "&lt;b&gt;&amp;.jpg" in text


def test_the_page_supports_narrow_screens_and_a_dark_scheme(small: Evaluation) -> None:
    text = picture_page(small)
    assert "width=device-width" in text
    assert "prefers-color-scheme: dark" in text
    assert text.count('<div class="wide"><table>') == text.count("<table>") == 4


def test_the_curve_of_all_alterations_is_an_svg(small: Evaluation) -> None:
    assert picture_curves(small).startswith("<svg")


def test_the_page_says_why_there_are_no_lines(small: Evaluation) -> None:
    bare = replace(small, outcomes=tuple(replace(outcome, tail=None) for outcome in small.outcomes))
    assert "too few for an estimate" in picture_page(bare)
    assert ("too few for an estimate" in picture_page(small)) == all(outcome.tail is None for outcome in small.outcomes)


def test_the_page_of_videos_has_their_tables_and_a_curve_for_each_form() -> None:
    pairs = [VideoPair(place % 40, 39 - place % 40, 70 + place % 17) for place in range(400)]
    videos = evaluation([outcome(0, 0, 1, 1, 0.2), outcome(0, 1, 2, 1, 0.4), outcome(0, 2, 1, 1, None)], pairs)
    text = video_page(videos, {"<b>.mp4": "cut short"})
    assert "<td>joined</td>" in text
    assert text.count("<polyline") == len(Form)
    assert "&lt;b&gt;.mp4: cut short" in text and "<b>.mp4" not in text
    for each in (text, video_curves(videos)):
        assert "http://" not in each.replace("http://www.w3.org/2000/svg", "") and "<script" not in each
    few = evaluation([outcome(0, 0, 1, 1, 0.2)], pairs[:3])
    assert "too few for an estimate" in video_page(few, {}) and "<polyline" not in video_page(few, {})
