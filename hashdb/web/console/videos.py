"""Videos on a page: the shots of one on a time line, and two time lines with the segments that join them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from markupsafe import Markup

from hashdb.domain.contributions import Contribution
from hashdb.domain.frames import Shot, split_shots
from hashdb.domain.matching.matches import NearContribution, Query, VideoDetails
from hashdb.domain.matching.segments import Segment
from hashdb.service.contributions import contributions
from hashdb.service.matching import alignments
from hashdb.service.matching.alignments import NearVideo
from hashdb.web.console.filters import clock, counted
from hashdb.web.context import actor, hashdb

SHOTS_A_PAGE: Final = 50
_COLUMNS: Final = 1_000
"""Parts of a time line; shots that are nearer to each other are drawn as one bar, so that no picture is large."""
_STEPS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400)
_MOST_TICKS: Final = 6
_MANY: Final = 200
"""Bars from which on their edges would hide them, and no bar says what it is."""
_HEIGHT: Final = 48
"""Pixels of a bar of quality 100."""
_LANE: Final = 30
_STRIP, _GAP, _STRIP_TOP = 18, 56, 24
"""Pixels of a time line that is joined to another: its height, the room between both, and what is above the first."""
_MOST_NUMBERS: Final = 9
"""Segments that have their number in the picture."""
STATES: Final = {"usable": "can match", "suppressed": "suppressed", "low": "below quality 50"}
"""What a shot of each state is called."""


class Bar(NamedTuple):
    """A shot as it is drawn; a shot stands for the time until the next one. Times are seconds from the start."""

    start: float
    end: float
    quality: int
    state: str


class ShotRow(NamedTuple):
    """A shot in a table; `state` is in words."""

    number: int
    shot: Shot
    state: str


class Film(NamedTuple):
    """A listed video as a page shows it: its time line, how many shots it has, and some of them.

    `previous` and `next` are how many shots are before these pages; None where there is none.
    """

    line: Markup
    total: int
    rows: Sequence[ShotRow]
    next: int | None
    previous: int | None


def film_of(contribution: Contribution, after: int = 0, limit: int = SHOTS_A_PAGE) -> Film | None:
    """The video that was contributed, with at most `limit` of its shots after the first `after`.

    None if it has no frames, or if the user may not see its signals.
    """
    if not contribution.frame_count or "signals" in contribution.hidden:
        return None
    shots = contributions.shots(hashdb(), actor(), contribution.id)
    after, end = min(after, len(shots)), after + limit
    rows = [ShotRow(number, shot, _words(shot)) for number, shot in enumerate(shots[after:end], after + 1)]
    following, previous = end if end < len(shots) else None, max(0, after - limit) if after else None
    return Film(time_line(shots, contribution.duration), len(shots), rows, following, previous)


def _words(shot: Shot) -> str:
    state = state_of(shot)
    return STATES[state] + (f", {shot.masked} of its hashes suppressed" if shot.masked and state == "usable" else "")


class Joined(NamedTuple):
    """A contribution beside another: both time lines with the segments that join them, and how they show the same."""

    line: Markup
    details: VideoDetails


def join(contribution: Contribution, near: Sequence[NearContribution]) -> dict[int, Joined]:
    """How a contribution and those near to it show the same, by id, where one of both is a video."""
    others = {one.contribution.id: one.contribution for one in near}
    aligned = alignments.align_listed(hashdb(), actor(), contribution, list(others.values()))
    return {
        id: Joined(
            joined(aligned.shots, contribution.duration, other.shots, others[id].duration, other.details.segments),
            other.details,
        )
        for id, other in aligned.others.items()
    }


class AskedMatch(NamedTuple):
    """A contribution in the debugger: whether the video would match it and why, and what frames are near to it."""

    near: NearVideo
    verdict: str
    joined: Joined


class Asked(NamedTuple):
    """A video in the debugger, and what frames of it are near."""

    query: Query
    line: Markup
    shots: int
    near: Sequence[AskedMatch]
    incomplete: str | None

    @property
    def matching(self) -> int:
        """How many contributions a member would get as matches."""
        return sum(one.near.matches for one in self.near)


def asked(query: Query, near: Sequence[NearVideo], incomplete: str | None = None) -> Asked:
    """What the debugger shows of a video."""
    shots = list(split_shots(query.frames))
    found = [
        AskedMatch(
            one,
            _verdict(one),
            Joined(
                joined(shots, query.duration, one.shots, one.contribution.duration, one.details.segments), one.details
            ),
        )
        for one in near
    ]
    return Asked(query, time_line(shots, query.duration), len(shots), found, incomplete)


def _verdict(near: NearVideo) -> str:
    """Whether a member would get a contribution as a match, and why."""
    if near.contribution.hindrance is not None:
        return f"no, {near.contribution.hindrance}"
    if not near.matches:
        return "no, too few frames are near in a row"
    if near.digest is not None:
        return f"yes, the same file by {near.digest}"
    if near.details.segments:
        return f"yes, by {counted(len(near.details.segments), 'segment')}"
    if near.details.frames:
        return f"yes, by {counted(len(near.details.frames), 'frame')}"
    return "yes, by the signals of the item"


def state_of(shot: Shot) -> str:
    """`usable`, `suppressed` by the benign list, or `low` quality: only the first can match."""
    first = shot.frames[0]
    if not first.matches:
        return "low"
    return "usable" if first.signals else "suppressed"


def time_line(shots: Sequence[Shot], duration: float | None) -> Markup:
    """An SVG as wide as its place: a bar for each shot, as high as its quality, over an axis in seconds.

    Shots that cannot match are hollow, and marked again below, each state in a line of its own.
    """
    if not shots:
        return Markup()
    bars = list(_bars(shots))
    length = _length(bars, duration)
    drawn = list(_merge(bars, length / _COLUMNS))
    lanes = [(state, [bar for bar in drawn if bar.state == state]) for state in ("suppressed", "low")]
    lanes = [(state, marked) for state, marked in lanes if marked]
    counts = {state: sum(bar.state == state for bar in bars) for state in STATES}
    base = _HEIGHT + 2
    parts = [
        _line("film-half", base - _HEIGHT // 2),
        *(_bar(bar, base, length, is_told=len(drawn) <= _MANY) for bar in drawn),
        _line("film-base", base),
    ]
    parts += _axis(length, base, base + 4, base + 15)
    for place, (state, marked) in enumerate(lanes):
        top = base + 22 + place * _LANE
        parts.append(f'<text class="film-lane" x="0" y="{top + 12}">{counts[state]} {STATES[state]}</text>')
        parts += (_rect(f"film-mark film-{state}", bar, top + 17, 8, length) for bar in marked)
    height = base + 22 + len(lanes) * _LANE
    said = ", ".join(f"{counts[state]} {STATES[state]}" for state in STATES if counts[state])
    name = f"Time line of {clock(length)}: {counted(len(shots), 'shot')}, {said}"
    return Markup('<svg class="film{}" height="{}" role="img" aria-label="{}">{}</svg>').format(
        " film-many" if len(drawn) > _MANY else "", height, name, Markup("".join(parts))
    )


def joined(
    mine: Sequence[Shot],
    duration: float | None,
    theirs: Sequence[Shot],
    their_duration: float | None,
    segments: Sequence[Segment],
) -> Markup:
    """An SVG of two time lines, one above the other, each as wide as its place, with the segments that join them."""
    if not segments or not theirs:
        return Markup()
    upper, lower = list(_bars(mine)), list(_bars(theirs))
    length, their_length = _length(upper, duration), _length(lower, their_duration)
    under = _STRIP_TOP + _STRIP + _GAP
    parts = [*_strip(upper, _STRIP_TOP, length), *_strip(lower, under, their_length)]
    parts += _axis(length, _STRIP_TOP, _STRIP_TOP - 4, _STRIP_TOP - 8)
    parts += _axis(their_length, under + _STRIP, under + _STRIP + 4, under + _STRIP + 15)
    shapes, labels = [], []
    for number, segment in enumerate(segments, 1):
        ends = [1_000 * at / length for at in segment.query], [1_000 * at / their_length for at in segment.listed]
        (start, stop), (begin, end) = ([min(1_000.0, x) for x in pair] for pair in ends)
        shapes.append(
            f'<path d="M{start:.1f} 0H{stop:.1f}V{_STRIP}L{end:.1f} {_STRIP + _GAP}V{2 * _STRIP + _GAP}H{begin:.1f}'
            f'V{_STRIP + _GAP}L{start:.1f} {_STRIP}z"><title>Segment {number}: {_span(*segment.query)} is '
            f"{_span(*segment.listed)}</title></path>"
        )
        # Near the first line, where segments do not cross.
        labels.append(
            f'<text class="film-number" x="{(start + stop) / 20:.1f}%" y="{_STRIP_TOP + _STRIP + 15}">{number}</text>'
        )
    joins = "".join(shapes)
    parts.append(
        f'<svg class="film-joins" y="{_STRIP_TOP}" width="100%" height="{2 * _STRIP + _GAP}" '
        f'viewBox="0 0 1000 {2 * _STRIP + _GAP}" preserveAspectRatio="none">{joins}</svg>'
    )
    parts += labels if len(segments) <= _MOST_NUMBERS else []
    name = (
        f"Two time lines, of {clock(length)} and {clock(their_length)}, joined by {counted(len(segments), 'segment')}"
    )
    return Markup('<svg class="film" height="{}" role="img" aria-label="{}">{}</svg>').format(
        under + _STRIP + 20, name, Markup("".join(parts))
    )


def _strip(bars: Sequence[Bar], top: int, length: float) -> Iterator[str]:
    """The bars, all of one height."""
    return (_rect(f"film-strip film-{bar.state}", bar, top, _STRIP, length) for bar in _merge(bars, length / _COLUMNS))


def _length(bars: Sequence[Bar], duration: float | None) -> float:
    return max(duration or 0.0, bars[-1].end, 0.001)


def _bars(shots: Sequence[Shot]) -> Iterator[Bar]:
    times = [frame.at for shot in shots for frame in shot.frames]
    steps = sorted(after - before for before, after in pairwise(times))
    interval = steps[len(steps) // 2] if steps else 1.0
    ends = [shot.start for shot in shots[1:]] + [shots[-1].end + interval]
    for shot, end in zip(shots, ends, strict=True):
        quality = shot.frames[0].quality
        yield Bar(shot.start, min(end, shot.end + interval), 100 if quality is None else quality, state_of(shot))


def _merge(bars: Sequence[Bar], column: float) -> Iterator[Bar]:
    """The bars, with those of one state within a column as one."""
    last: Bar | None = None
    for bar in bars:
        if last is not None and last.state == bar.state and bar.end - last.start < column:
            last = Bar(last.start, bar.end, max(last.quality, bar.quality), bar.state)
            continue
        if last is not None:
            yield last
        last = bar
    if last is not None:
        yield last


def _bar(bar: Bar, base: int, length: float, *, is_told: bool) -> str:
    height = max(3, round(_HEIGHT * bar.quality / 100))
    said = f"{_span(bar.start, bar.end)}: quality {bar.quality}, {STATES[bar.state]}" if is_told else ""
    return _rect(f"film-shot film-{bar.state}", bar, base - height, height, length, said)


def _rect(name: str, bar: Bar, y: int, height: int, length: float, said: str = "") -> str:
    x, width = 100 * bar.start / length, 100 * (bar.end - bar.start) / length
    title = f"<title>{said}</title>" if said else ""
    return f'<rect class="{name}" x="{x:.2f}%" y="{y}" width="{width:.2f}%" height="{height}">{title}</rect>'


def _span(start: float, end: float) -> str:
    return f"{clock(start)}–{clock(end)}"


def _line(name: str, y: int) -> str:
    return f'<line class="{name}" x1="0" x2="100%" y1="{y}" y2="{y}"/>'


def _axis(length: float, start: int, end: int, text: int) -> Iterator[str]:
    """Marks from y `start` to `end`, at most seven, with their times at y `text`."""
    step = next((step for step in _STEPS if length / step <= _MOST_TICKS), _STEPS[-1])
    for place in range(int(length / step) + 1):
        at = 100 * place * step / length
        anchor = "start" if place == 0 else "end" if at > 95 else "middle"
        yield f'<line class="film-base" x1="{at:.2f}%" x2="{at:.2f}%" y1="{start}" y2="{end}"/>'
        label = f'<text class="film-time" x="{at:.2f}%" y="{text}" text-anchor="{anchor}">'
        yield f"{label}{clock(place * step)}</text>"
