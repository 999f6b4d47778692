"""Drawings of recall against false matches."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from hashdb.evaluation.curves import Line, drawing, lines, sample, shown
from hashdb.evaluation.evaluations import Evaluation

LINE = Line("pdq plain", "pdq & more", [(1e-20, 0.0), (1e-15, 0.2), (1e-2, 1.0), (0.5, 1.0)])


def _points(drawn: str) -> list[tuple[float, float]]:
    found = re.search(r'<polyline [^>]*points="([^"]*)"', drawn)
    assert found
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in found[1].split())]


def test_a_drawing_is_well_formed_and_names_its_lines() -> None:
    for alone in (False, True):
        drawn = ElementTree.fromstring(drawing("all <of> them", [LINE], 1e-11, alone=alone))
        text = "".join(drawn.itertext())
        assert "all <of> them" in text
        assert "pdq & more" in text


def test_only_a_drawing_that_stands_alone_carries_its_style() -> None:
    assert "<style>" in drawing("x", [LINE], 1e-11, alone=True)
    assert "<style>" not in drawing("x", [LINE], 1e-11)


def test_rarer_is_further_left_and_more_is_further_up() -> None:
    (x, y), (later, higher) = _points(drawing("x", [LINE], 1e-11))
    assert later > x
    assert higher < y


def test_what_is_off_the_axis_is_left_out() -> None:
    assert len(_points(drawing("x", [LINE], 1e-11))) == 2


def test_every_choice_that_is_shown_has_a_line(small: Evaluation) -> None:
    assert [line.name for line in lines(small, [0, 1])] == [str(outcome.choice) for outcome in shown(small)]
    assert "pdq plain" in sample("pdq plain")
