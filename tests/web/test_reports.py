"""The page of a report is complete, loads nothing, and escapes names."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, timedelta
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

import hashdb
from hashdb.domain.stats.reports import DayReport
from hashdb.domain.times import Period
from hashdb.web.reports import page, templates
from tests.wire.test_stats import DAY, REPORT


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        assert not {name for name, _ in attrs} & {"src", "href", "onclick"}
        if tag not in ("meta", "path", "rect"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("path", "rect"):
            assert self.open.pop() == tag


def test_the_page_is_well_formed_and_loads_nothing() -> None:
    tags = _Tags()
    tags.feed(page(REPORT))
    assert not tags.open
    assert not {"script", "link", "img"} & set(tags.seen)
    assert tags.seen.count("svg") == 9


def test_the_page_escapes_a_name() -> None:
    text = page(replace(REPORT, members={3: "<script>alert(1)</script>"}, member=3))
    assert "<script>" not in text
    assert "&lt;script&gt;" in text


def test_the_page_says_whether_the_numbers_are_final() -> None:
    assert "· final ·" in page(REPORT)
    assert "· not final: " in page(replace(REPORT, final=False))


def test_a_long_period_is_drawn_by_months_or_years() -> None:
    for days, name in ((61, "2027-01-20"), (400, "2027-12"), (9000, "2051")):
        last = DAY + timedelta(days=days)
        text = page(replace(REPORT, period=Period(DAY, last), days={DAY: DayReport(1), last: DayReport(2)}))
        assert f">{name}<" in text, days
    assert "none</text>" in page(replace(REPORT, period=Period(date.min, date.max), days={}))


def _drawn(chart: str, title: str, numbers: list[tuple[str, int]]) -> ElementTree.Element:
    text: str = getattr(templates().get_template("charts.html").module, chart)(title, numbers)
    return ElementTree.fromstring(text.strip())


@pytest.mark.parametrize("chart", ["bars", "columns"])
@pytest.mark.parametrize(
    "numbers", [[], [("a", 0)], [("<b>&", 3), ("x" * 100, 10**9)], [(f"2026-{n}", n) for n in range(62)]]
)
def test_a_chart_has_one_bar_for_each_number(chart: str, numbers: list[tuple[str, int]]) -> None:
    root = _drawn(chart, "A & B", numbers)
    rects = [element for element in root.iter() if element.tag.endswith("rect")]
    assert len(rects) == len(numbers)
    assert all(float(rect.attrib[side]) >= 0 for rect in rects for side in ("width", "height", "x", "y"))
    assert ("none" in "".join(root.itertext())) == (not numbers)


def test_the_largest_number_has_the_longest_bar() -> None:
    root = _drawn("bars", "", [("a", 10), ("b", 5)])
    widths = [float(element.attrib["width"]) for element in root.iter() if element.tag.endswith("rect")]
    assert widths[0] == pytest.approx(2 * widths[1])


def test_standalone_pages_have_the_colours_of_the_console() -> None:
    console = (Path(hashdb.__file__).parent / "web/static/console/console.css").read_text("utf-8")
    own = re.findall(
        r"--(ink-soft|accent): light-dark\((#\w+), (#\w+)\)", templates().get_template("tokens.css").render()
    )
    assert len(own) == 2
    for name, light, dark in own:
        assert [value for key, value in re.findall(r"--([\w-]+): (#\w+)", console) if key == name] == [light, dark]
    for style in ("web/templates/report/page.css", "evaluation/templates/page.css"):
        assert (Path(hashdb.__file__).parent / style).read_text("utf-8").startswith('{% include "tokens.css" %}')
