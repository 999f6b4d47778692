"""The page of an evaluation."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

from hashdb.evaluation.evaluations import Evaluation
from hashdb.evaluation.pages import everything, page

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


def test_the_page_needs_nothing_else(small: Evaluation) -> None:
    text = page(small).replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert not re.search(r"https?:|//|src=|<script|<link|url\(", text)


def test_its_tags_are_closed_in_order(small: Evaluation) -> None:
    parser = _Nesting()
    parser.feed(page(small))
    assert not parser.open
    assert {"table", "svg", "polyline"} <= parser.seen


def test_the_name_of_a_file_is_text(small: Evaluation) -> None:
    text = page(small)
    assert "<b>&.jpg" not in text
    assert "&lt;b&gt;&amp;.jpg" in text


def test_it_is_made_for_narrow_screens_and_for_the_dark(small: Evaluation) -> None:
    text = page(small)
    assert "width=device-width" in text
    assert "prefers-color-scheme: dark" in text
    assert text.count('<div class="wide"><table>') == text.count("<table>") == 3


def test_a_curve_of_all_alterations_can_stand_alone(small: Evaluation) -> None:
    assert everything(small, alone=True).startswith("<svg")


def test_it_says_why_there_are_no_lines(small: Evaluation) -> None:
    bare = replace(small, outcomes=tuple(replace(one, tail=None) for one in small.outcomes))
    assert "too few for an estimate" in page(bare)
    assert ("too few for an estimate" in page(small)) == all(outcome.tail is None for outcome in small.outcomes)
