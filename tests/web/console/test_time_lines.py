"""The lines of videos, documents and texts, and the segments that join two lines."""

from __future__ import annotations

import re

import pytest

from hashdb.domain.frames import Frame, Shot, Unit
from hashdb.domain.matching.segments import Segment
from hashdb.domain.signals import Algorithm, Signal
from hashdb.web.console.time_lines import joined_lines, lines_of, time_line
from tests.builders import signal


def shot(start: int, end: int | None = None, quality: int = 80, *, suppressed: bool = False) -> Shot:
    signals = () if suppressed else (signal(start),)
    return Shot(tuple(Frame(float(at), signals, quality) for at in range(start, (end or start) + 1)))


def bars(line: str, state: str) -> list[tuple[float, float, int]]:
    """Return the start and width of the bars of a state, in percent, and their heights in pixels."""
    rectangles = re.findall(rf'film-shot film-{state}" x="([\d.]+)%" y="\d+" width="([\d.]+)%" height="(\d+)"', line)
    return [(float(x), float(width), int(height)) for x, width, height in rectangles]


def test_shots_are_drawn_by_time_quality_and_state() -> None:
    line = time_line([shot(0, 3), shot(4, quality=20), shot(5, 7, suppressed=True), shot(15, 19, quality=100)], 20.0)
    assert bars(line, "usable") == [(0.0, 20.0, 38), (75.0, 25.0, 48)]
    assert bars(line, "low") == [(20.0, 5.0, 10)]
    assert "<title>0:00–0:04: quality 80, can match</title>" in line
    # Frames are missing between the last frame of this shot and the next shot: the bar ends before them.
    assert bars(line, "suppressed") == [(25.0, 15.0, 38)]
    assert re.findall(r'film-lane"[^>]*>([^<]*)<', line) == ["1 suppressed", "1 below quality 50"]
    assert 'aria-label="Time line of 0:20: 4 shots, 2 can match, 1 suppressed, 1 below quality 50"' in line
    assert re.findall(r'film-time"[^>]*>([^<]*)<', line) == ["0:00", "0:05", "0:10", "0:15", "0:20"]


@pytest.mark.parametrize(("seconds", "last"), [(1, "0:01"), (59, "0:50"), (7_200, "2:00:00"), (86_400, "24:00:00")])
def test_a_long_line_has_few_times_and_few_bars(seconds: int, last: str) -> None:
    line = time_line([shot(at) for at in range(0, seconds, max(1, seconds // 7_200))], float(seconds))
    times = re.findall(r'film-time"[^>]*>([^<]*)<', line)
    assert (times[0], times[-1]) == ("0:00", last)
    assert len(times) <= 7
    assert 0 < len(bars(line, "usable")) <= 1_100


def page(at: int, quality: int = 80) -> Shot:
    return Shot((Frame(float(at), (signal(at),), quality, unit=Unit.PAGES),))


def window(at: int, *, suppressed: bool = False) -> Shot:
    signals = () if suppressed else (window_signal(at),)
    return Shot((Frame(float(at), signals, unit=Unit.WORDS, length=200),))


def window_signal(number: int) -> Signal:
    return Signal(Algorithm.SIMHASH256, signal(number).value)


def test_pages_are_drawn_side_by_side_and_windows_up_to_the_next() -> None:
    pages, words = lines_of([page(1), page(2, quality=20), page(4), window(0), window(100, suppressed=True)], None)
    assert (pages.unit, words.unit) == (Unit.PAGES, Unit.WORDS)
    assert bars(pages.drawn, "usable") == [(0.0, 25.0, 38), (75.0, 25.0, 38)]
    assert bars(pages.drawn, "low") == [(25.0, 25.0, 10)]
    assert "<title>page 4: quality 80, can match</title>" in pages.drawn
    assert 'aria-label="Line of 4 pages: 3 pages, 2 can match, 1 below quality 50"' in pages.drawn
    assert re.findall(r'film-time" x="([^"]*)"[^>]*>([^<]*)<', pages.drawn) == [
        ("12.50%", "1"),
        ("37.50%", "2"),
        ("62.50%", "3"),
        ("87.50%", "4"),
    ]
    # The second window begins at word 100, and the first one ends at word 200.
    assert bars(words.drawn, "usable") == [(0.0, 33.33, 48)]
    assert bars(words.drawn, "suppressed") == [(33.33, 66.67, 48)]
    assert "<title>words 0 to 200: can match</title>" in words.drawn
    assert 'aria-label="Line of 300 words: 2 windows, 1 can match, 1 suppressed"' in words.drawn
    assert re.findall(r'film-time"[^>]*>([^<]*)<', words.drawn) == ["0", "50", "100", "150", "200", "250", "300"]


@pytest.mark.parametrize(("last", "marks"), [(1, ["1"]), (30, ["1", "5", "10", "15", "20", "25", "30"])])
def test_the_first_page_and_round_page_numbers_are_marked(last: int, marks: list[str]) -> None:
    line = time_line([page(at) for at in range(1, last + 1)], None)
    assert re.findall(r'film-time"[^>]*>([^<]*)<', line) == marks


def test_a_segment_of_pages_or_words_joins_the_line_of_its_unit() -> None:
    first = [page(1), page(2), window(0), window(100), window(200)]
    second = [*(page(at) for at in range(1, 5)), window(0), window(100)]
    segments = [
        Segment((100, 400), (0, 300), 1.0, 2, 2, 9, unit=Unit.WORDS),
        Segment((1, 2), (3, 4), 1.0, 2, 2, 4, unit=Unit.PAGES),
    ]
    line = joined_lines(first, None, second, None, segments)
    assert "Two lines, of 2 pages and 4 pages, joined by 1 segment" in line
    assert "<title>Segment 2: pages 1 to 2 and pages 3 to 4</title>" in line
    assert '<path d="M0.0 0H1000.0V18L1000.0 74V92H500.0V74L0.0 18z">' in line
    assert "Two lines, of 400 words and 300 words, joined by 1 segment" in line
    assert '<path d="M250.0 0H1000.0V18L1000.0 74V92H0.0V74L250.0 18z">' in line
    assert joined_lines(first, None, second[:4], None, segments[:1]) == ""


def test_a_segment_joins_its_seconds_on_both_lines() -> None:
    segment = Segment((5.0, 10.0), (0.0, 5.0), 1.0, 5, 5, 0)
    line = joined_lines([shot(0, 19)], 20.0, [shot(0, 9)], 10.0, [segment])
    assert '<path d="M250.0 0H500.0V18L500.0 74V92H0.0V74L250.0 18z">' in line
    assert "<title>Segment 1: 0:05–0:10 is 0:00–0:05</title>" in line
    assert joined_lines([shot(0, 19)], 20.0, [shot(0, 9)], 10.0, []) == ""
