"""The lines of videos, documents and texts, drawn as SVG: shots, pages or windows, and two lines joined by segments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from operator import attrgetter
from typing import Final, NamedTuple

from markupsafe import Markup

from hashdb.domain.frames import Shot, Unit
from hashdb.domain.matching.segments import Segment
from hashdb.web.console.filters import clock, counted, extent

_COLUMNS: Final = 1_000
"""Parts of a line. Shots of one state within a part are drawn as one bar, so that no SVG is large."""
_STEPS: Final = {
    Unit.SECONDS: (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400),
    Unit.PAGES: tuple(first * 10**zeros for zeros in range(5) for first in (1, 2, 5)),
    Unit.WORDS: tuple(first * 10**zeros for zeros in range(1, 8) for first in (1, 2, 5)),
}
"""The distances between the marks of an axis."""
_MOST_STEPS: Final = 6
"""An axis has at most this many steps, and so one mark more."""
_MANY: Final = 200
"""With more bars than these, their edges would hide them, and no bar has a title."""
_HEIGHT: Final = 48
"""Pixels of a bar of quality 100."""
_LANE: Final = 30
"""Pixels of a line below the axis that marks the shots of one state."""
_STRIP, _GAP, _STRIP_TOP = 18, 56, 24
"""Pixels of a line that is joined to another: its height, the room between both, and what is above the first."""
_MOST_NUMBERS: Final = 9
"""Segments that have their number in the picture."""
USABLE, SUPPRESSED, LOW = "usable", "suppressed", "low"
STATES: Final = {USABLE: "can match", SUPPRESSED: "suppressed", LOW: "below quality 50"}
"""What a shot of each state is called."""
NOUNS: Final = {Unit.SECONDS: "shot", Unit.PAGES: "page", Unit.WORDS: "window"}
"""What a shot on the line of each unit is called."""


class Bar(NamedTuple):
    """A shot as it is drawn, from `start` to `end`, in the unit of its line, from 0; a page has the length 1.

    `reach` is where the shot itself ends: windows of words overlap, and a bar ends where the next one begins.
    """

    start: float
    end: float
    quality: int
    state: str
    reach: float


class Line(NamedTuple):
    """The line of what is counted in one unit."""

    unit: Unit
    drawn: Markup


def lines_of(shots: Sequence[Shot], duration: float | None) -> list[Line]:
    """A line for each unit: of a video, its seconds; of a document, its pages and its words."""
    return [Line(unit, time_line(of_unit, duration)) for unit, of_unit in by_unit(shots).items()]


def by_unit(shots: Sequence[Shot]) -> dict[Unit, list[Shot]]:
    """The shots by their unit, in order."""
    return {unit: list(of_unit) for unit, of_unit in groupby(shots, attrgetter("unit"))}


def state_of(shot: Shot) -> str:
    """`USABLE`, `SUPPRESSED` by the benign list, or `LOW` quality: only the first can match."""
    first = shot.frames[0]
    if not first.matches:
        return LOW
    return USABLE if first.signals else SUPPRESSED


def time_line(shots: Sequence[Shot], duration: float | None) -> Markup:
    """An SVG as wide as its place: a bar for each shot, as high as its quality, over an axis in their one unit.

    Shots that cannot match are hollow, and marked again below, each state in a line of its own.
    """
    if not shots:
        return Markup()
    unit, bars = shots[0].unit, list(_bars(shots))
    length = _length(bars, duration)
    drawn = list(_merge(bars, length))
    lanes = [(state, [bar for bar in drawn if bar.state == state]) for state in (SUPPRESSED, LOW)]
    lanes = [(state, marked) for state, marked in lanes if marked]
    counts = {state: sum(bar.state == state for bar in bars) for state in STATES}
    base = _HEIGHT + 2
    parts = [
        # Windows of words have no quality.
        *([] if unit is Unit.WORDS else [_line("film-half", base - _HEIGHT // 2)]),
        *(_bar(bar, unit, base, length, has_title=len(drawn) <= _MANY) for bar in drawn),
        _line("film-base", base),
    ]
    parts += _axis(unit, length, mark_start=base, mark_end=base + 4, label_y=base + 15)
    for place, (state, marked) in enumerate(lanes):
        top = base + 22 + place * _LANE
        parts.append(f'<text class="film-lane" x="0" y="{top + 12}">{counts[state]} {STATES[state]}</text>')
        parts += (_rect(f"film-mark film-{state}", bar, y=top + 17, height=8, length=length) for bar in marked)
    height = base + 22 + len(lanes) * _LANE
    states = ", ".join(f"{counts[state]} {STATES[state]}" for state in STATES if counts[state])
    name = f"{_line_name(unit)} of {_length_text(unit, length)}: {counted(len(shots), NOUNS[unit])}, {states}"
    return Markup('<svg class="film{}" height="{}" role="img" aria-label="{}">{}</svg>').format(
        " film-many" if len(drawn) > _MANY else "", height, name, Markup("".join(parts))
    )


def joined_lines(
    shots: Sequence[Shot],
    duration: float | None,
    listed_shots: Sequence[Shot],
    listed_duration: float | None,
    segments: Sequence[Segment],
) -> Markup:
    """For each unit with segments an SVG of two lines, one above the other, with the segments that join them.

    Each line is as wide as its place. A segment has the number that it has among all.
    """
    numbered, upper, lower = list(enumerate(segments, 1)), by_unit(shots), by_unit(listed_shots)
    return Markup().join(
        _joined(unit, of_unit, duration, lower[unit], listed_duration, of_both)
        for unit, of_unit in upper.items()
        if unit in lower and (of_both := [(number, segment) for number, segment in numbered if segment.unit is unit])
    )


def _joined(
    unit: Unit,
    shots: Sequence[Shot],
    duration: float | None,
    listed_shots: Sequence[Shot],
    listed_duration: float | None,
    segments: Sequence[tuple[int, Segment]],
) -> Markup:
    """The two lines in one unit; each segment with its number."""
    upper, lower = list(_bars(shots)), list(_bars(listed_shots))
    length, listed_length = _length(upper, duration), _length(lower, listed_duration)
    lower_top = _STRIP_TOP + _STRIP + _GAP
    parts = [*_strip(upper, _STRIP_TOP, length), *_strip(lower, lower_top, listed_length)]
    parts += _axis(unit, length, mark_start=_STRIP_TOP, mark_end=_STRIP_TOP - 4, label_y=_STRIP_TOP - 8)
    lower_end = lower_top + _STRIP
    parts += _axis(unit, listed_length, mark_start=lower_end, mark_end=lower_end + 4, label_y=lower_end + 15)
    joins = "".join(_join(number, segment, length, listed_length) for number, segment in segments)
    parts.append(
        f'<svg class="film-joins" y="{_STRIP_TOP}" width="100%" height="{2 * _STRIP + _GAP}" '
        f'viewBox="0 0 1000 {2 * _STRIP + _GAP}" preserveAspectRatio="none">{joins}</svg>'
    )
    if len(segments) <= _MOST_NUMBERS:
        parts += (_join_number(number, segment, length) for number, segment in segments)
    name = (
        f"Two {_line_name(unit).lower()}s, of {_length_text(unit, length)} and {_length_text(unit, listed_length)}, "
        f"joined by {counted(len(segments), 'segment')}"
    )
    return Markup('<svg class="film" height="{}" role="img" aria-label="{}">{}</svg>').format(
        lower_end + 20, name, Markup("".join(parts))
    )


def _join(number: int, segment: Segment, length: float, listed_length: float) -> str:
    """The shape that joins both stretches of a segment, in an SVG of the segments that is 1,000 wide."""
    (start, stop), (begin, end) = (
        _ends(segment.unit, segment.query, length),
        _ends(segment.unit, segment.listed, listed_length),
    )
    return (
        f'<path d="M{start:.1f} 0H{stop:.1f}V{_STRIP}L{end:.1f} {_STRIP + _GAP}V{2 * _STRIP + _GAP}H{begin:.1f}'
        f'V{_STRIP + _GAP}L{start:.1f} {_STRIP}z"><title>Segment {number}: {extent(*segment.query, segment.unit)} '
        f"{'is' if segment.unit is Unit.SECONDS else 'and'} {extent(*segment.listed, segment.unit)}</title></path>"
    )


def _join_number(number: int, segment: Segment, length: float) -> str:
    """The number of a segment near the first line, where segments do not cross."""
    start, stop = _ends(segment.unit, segment.query, length)
    return f'<text class="film-number" x="{(start + stop) / 20:.1f}%" y="{_STRIP_TOP + _STRIP + 15}">{number}</text>'


def _ends(unit: Unit, stretch: tuple[float, float], length: float) -> tuple[float, float]:
    """Where a stretch begins and ends on a line of this length, in thousandths of it."""
    start, end = _places(unit, *stretch)
    return min(1_000.0, 1_000 * start / length), min(1_000.0, 1_000 * end / length)


def _line_name(unit: Unit) -> str:
    return "Time line" if unit is Unit.SECONDS else "Line"


def _length_text(unit: Unit, length: float) -> str:
    return clock(length) if unit is Unit.SECONDS else counted(round(length), str(unit).removesuffix("s"))


def _places(unit: Unit, start: float, end: float) -> tuple[float, float]:
    """The start and the end of a stretch on a line, from 0. Pages are counted from 1, and `end` is the last page."""
    return (start - 1, end) if unit is Unit.PAGES else (start, end)


def _strip(bars: Sequence[Bar], top: int, length: float) -> Iterator[str]:
    """The bars, all of one height."""
    return (
        _rect(f"film-strip film-{bar.state}", bar, y=top, height=_STRIP, length=length) for bar in _merge(bars, length)
    )


def _length(bars: Sequence[Bar], duration: float | None) -> float:
    """The length of a line: the duration, or where the last shot ends if that is later; never 0."""
    return max(duration or 0.0, bars[-1].reach, 0.001)


def _bars(shots: Sequence[Shot]) -> Iterator[Bar]:
    """The bars of shots in one unit."""
    unit = shots[0].unit
    places = [frame.at for shot in shots for frame in shot.frames]
    steps = sorted(after - before for before, after in pairwise(places))
    # A frame of a video stands for the time until the next one: the median of the steps between frames.
    interval = steps[len(steps) // 2] if steps and unit is Unit.SECONDS else 1.0
    following = [*(shot.start for shot in shots[1:]), None]
    for shot, next_start in zip(shots, following, strict=True):
        first = shot.frames[0]
        start = _places(unit, shot.start, shot.start)[0]
        reach = shot.end + (interval if unit is Unit.SECONDS else 0)
        end = reach if next_start is None else min(_places(unit, next_start, next_start)[0], reach)
        quality = 100 if first.quality is None else first.quality
        # Two shots of a video do not overlap.
        yield Bar(start, end, quality, state_of(shot), end if unit is Unit.SECONDS else reach)


def _merge(bars: Sequence[Bar], length: float) -> Iterator[Bar]:
    """The bars of a line of this length, where those of one state within a column are one bar."""
    column = length / _COLUMNS
    last: Bar | None = None
    for bar in bars:
        if last is not None and last.state == bar.state and bar.end - last.start < column:
            last = bar._replace(start=last.start, quality=max(last.quality, bar.quality))
            continue
        if last is not None:
            yield last
        last = bar
    if last is not None:
        yield last


def _bar(bar: Bar, unit: Unit, base: int, length: float, *, has_title: bool) -> str:
    height = max(3, round(_HEIGHT * bar.quality / 100))
    start = bar.start + 1 if unit is Unit.PAGES else bar.start
    quality = "" if unit is Unit.WORDS else f"quality {bar.quality}, "
    title = f"{extent(start, bar.reach, unit)}: {quality}{STATES[bar.state]}" if has_title else ""
    return _rect(f"film-shot film-{bar.state}", bar, y=base - height, height=height, length=length, title=title)


def _rect(css_class: str, bar: Bar, *, y: int, height: int, length: float, title: str = "") -> str:
    """The rectangle of a bar on a line of this length, which is in the unit of the bar."""
    x, width = 100 * bar.start / length, 100 * (bar.end - bar.start) / length
    content = f"<title>{title}</title>" if title else ""
    return f'<rect class="{css_class}" x="{x:.2f}%" y="{y}" width="{width:.2f}%" height="{height}">{content}</rect>'


def _line(css_class: str, y: int) -> str:
    return f'<line class="{css_class}" x1="0" x2="100%" y1="{y}" y2="{y}"/>'


def _axis(unit: Unit, length: float, *, mark_start: int, mark_end: int, label_y: int) -> Iterator[str]:
    """The marks of an axis, each with the time, the page or the word that it stands for.

    A mark goes from y `mark_start` to `mark_end`. `length` is in the unit.
    """
    step = next((step for step in _STEPS[unit] if length / step <= _MOST_STEPS), _STEPS[unit][-1])
    for place in range(int(length / step) + 1):
        # A page is marked in its middle. Page 1 is marked in the place of 0, unless 1 has a mark of its own.
        page = max(1, place * step)
        if unit is Unit.PAGES and place == 0 and step == 1:
            continue
        at = 100 * (page - 0.5 if unit is Unit.PAGES else place * step) / length
        anchor = "middle" if unit is Unit.PAGES else "start" if place == 0 else "end" if at > 95 else "middle"
        label = clock(place * step) if unit is Unit.SECONDS else page if unit is Unit.PAGES else place * step
        yield f'<line class="film-base" x1="{at:.2f}%" x2="{at:.2f}%" y1="{mark_start}" y2="{mark_end}"/>'
        yield f'<text class="film-time" x="{at:.2f}%" y="{label_y}" text-anchor="{anchor}">{label}</text>'
