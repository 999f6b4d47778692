"""Filters of the console's templates: they write durations, places, numbers, times, verdicts and errors as text."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from markupsafe import Markup, escape

from hashdb.domain.contributions import Contribution
from hashdb.domain.frames import Unit
from hashdb.domain.matching.matches import FrameDetails, FrameMatch
from hashdb.domain.matching.neighbors import NearContribution
from hashdb.domain.matching.segments import Segment
from hashdb.domain.signals import Algorithm
from hashdb.domain.times import format_instant
from hashdb.web.reports import group_digits

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
"""The units of a duration: seconds and symbol, largest first."""
_MOST = 4
"""How many places or times are listed; the others are counted."""
_PHRASES = {
    "contribution.added": "Contributed",
    "opinion.given": "Opinion given",
    "case.opened": "Case opened",
    "case.held": "Quarantined by the case",
    "case.decided": "Case decided",
    "hit": "Matched",
}
"""The actions whose past tense is not their second word."""


def duration(length: timedelta) -> str:
    """A duration in its two largest units.

    >>> duration(timedelta(days=1, hours=2, minutes=30)), duration(timedelta(0))
    ('1 d 2 h', '0 s')
    """
    seconds = abs(int(length.total_seconds()))
    for (size, unit), (next_size, next_unit) in zip(_UNITS, (*_UNITS[1:], (1, "")), strict=True):
        if seconds >= size:
            rest = seconds % size // next_size
            return f"{seconds // size} {unit}" + (f" {rest} {next_unit}" if rest and next_unit else "")
    return "0 s"


def rounded_duration(length: timedelta) -> str:
    """A duration in its largest unit, rounded down.

    >>> rounded_duration(timedelta(minutes=2, seconds=59))
    '2 min'
    """
    return " ".join(duration(length).split()[:2])


def seconds_as_duration(seconds: int | None) -> str:
    """A number of seconds as a duration in its two largest units.

    >>> seconds_as_duration(3_600), seconds_as_duration(None)
    ('1 h', '–')
    """
    return "–" if seconds is None else duration(timedelta(seconds=seconds))


def clock(seconds: float) -> str:
    """A time of a video, in seconds, as on a clock, to a tenth of a second.

    >>> clock(48), clock(62.25), clock(3_723)
    ('0:48', '1:02.2', '1:02:03')
    """
    tenths = round(seconds * 10)
    minutes, rest = divmod(tenths // 10, 60)
    hours, minutes = divmod(minutes, 60)
    part = f".{tenths % 10}" if tenths % 10 else ""
    return (f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}") + part


def extent(start: float, end: float, unit: Unit) -> str:
    """A stretch of a video, of the pages of a document, or of the words of a text.

    `start` and `end` are in the unit. Of pages, `end` is the last page; of words, the one after the last.

    >>> extent(48, 62.25, Unit.SECONDS), extent(150, 450, Unit.WORDS)
    ('0:48–1:02.2', 'words 150 to 450')
    >>> extent(3, 5, Unit.PAGES), extent(3, 3, Unit.PAGES)
    ('pages 3 to 5', 'page 3')
    """
    if unit is Unit.SECONDS:
        return clock(start) + (f"–{clock(end)}" if end > start else "")
    if unit is Unit.PAGES and end <= start:
        return f"page {start:.0f}"
    return f"{unit} {start:.0f} to {end:.0f}"


def stretches(times: Sequence[float]) -> str:
    """Times of a video (seconds, in ascending order), with those at most a second apart as one stretch.

    >>> stretches([38, 39, 40, 70.5]), stretches([0, 2, 4, 6, 8])
    ('0:38–0:40, 1:10.5', '0:00, 0:02, 0:04, 0:06 and 1 more')
    """
    joined: list[tuple[float, float]] = []
    for at in times:
        if joined and at - joined[-1][1] <= 1:
            joined[-1] = joined[-1][0], at
        else:
            joined.append((at, at))
    return _enumerate([extent(start, end, Unit.SECONDS) for start, end in joined])


def segment_length(segment: Segment) -> str:
    """The length of a segment in the query: minutes and seconds, or a number of pages or words.

    >>> segment_length(Segment((3, 5), (1, 3), 1.0, 3, 3, 0, unit=Unit.PAGES))
    '3 pages'
    """
    if segment.unit is Unit.SECONDS:
        return clock(segment.length)
    return counted(round(segment.length), str(segment.unit).removesuffix("s"))


def shown_at(details: FrameDetails) -> str:
    """Where a listed item shows the picture of the query, or has its window of words.

    >>> shown_at(FrameDetails(pages=(3, 4, 9))), shown_at(FrameDetails(words=((100, 300), (200, 400))))
    ('on pages 3, 4, 9', 'at words 100 to 300, 200 to 400')
    """
    parts = [f"at {stretches(details.at)}"] if details.at else []
    if details.pages:
        parts.append(_at_pages(details.pages))
    if details.words:
        parts.append(f"at words {_enumerate([f'{first} to {end}' for first, end in details.words])}")
    return ", ".join(parts)


def frames_at(frames: Sequence[FrameMatch]) -> str:
    """The frames of the query that show a listed picture.

    >>> frames_at([FrameMatch(3, {}, Unit.PAGES)]), frames_at([FrameMatch(38.0, {}), FrameMatch(39.0, {})])
    ('on page 3', 'at 0:38–0:39')
    """
    pages = [round(frame.at) for frame in frames if frame.unit is Unit.PAGES]
    return _at_pages(pages) if pages else f"at {stretches([frame.at for frame in frames])}"


def _at_pages(pages: Sequence[int]) -> str:
    return f"on page{'' if len(pages) == 1 else 's'} {_enumerate(list(map(str, pages)))}"


def _enumerate(texts: Sequence[str]) -> str:
    """The first texts, and the number of the others."""
    return ", ".join(texts[:_MOST]) + (f" and {len(texts) - _MOST} more" if len(texts) > _MOST else "")


def frame_nouns(item: Contribution, of_video: str = "frames") -> str:
    """The plural noun for the frames of a contribution: pages, windows of words, or for a video `of_video`."""
    parts = ("pages",) * bool(item.pages) + ("windows of words",) * bool(item.words)
    return " and ".join(parts) or of_video


def counted(number: int, noun: str) -> str:
    """A number with its noun, in the plural unless the number is 1.

    >>> counted(1, "key"), counted(1_200, "key")
    ('1 key', '1200 keys')
    """
    return f"{number} {noun}{'' if number == 1 else 's'}"


def counted_on_page(number: int, noun: str) -> Markup:
    """A number with its noun, as `counted`, as HTML with the digits in groups."""
    return Markup("{}{}").format(group_digits(number), counted(number, noun).removeprefix(str(number)))


def instant(at: datetime | None, otherwise: str = "–") -> Markup | str:
    """A `<time>` element in UTC, to the second. times.js shows it in the reader's zone."""
    if at is None:
        return otherwise
    return Markup('<time datetime="{}">{:%Y-%m-%d %H:%M:%S} <small>UTC</small></time>').format(format_instant(at), at)


def day(at: datetime | None, otherwise: str = "–") -> Markup | str:
    """A `<time>` element with a date in UTC; its title has the time. times.js shows it in the reader's zone."""
    if at is None:
        return otherwise
    return Markup('<time datetime="{}" title="{:%Y-%m-%d %H:%M:%S} UTC" data-date>{:%Y-%m-%d}</time>').format(
        format_instant(at), at, at
    )


def code_in_backticks(text: str) -> Markup:
    """A text of the documentation as HTML: the parts in backticks become `<code>` elements.

    >>> code_in_backticks("`x` is < y")
    Markup('<code>x</code> is &lt; y')
    """
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def past_tense(action: str) -> str:
    """The action of an event, or `hit`, as a word in the past tense.

    >>> past_tense("contribution.quarantined")
    'Quarantined'
    """
    return _PHRASES.get(action) or action.partition(".")[2].replace("-", " ").capitalize()


def verdict(near: NearContribution, radii: Mapping[Algorithm, int]) -> str:
    """Whether a near contribution would match at these radii (bits), and why.

    Its `no_match_reason` is why it matches at no distance. A match by phash alone may be overruled by other algorithms.

    `neighbors.js` computes the same in the browser: change both together.
    """
    if near.no_match_reason is not None:
        return f"no, {near.no_match_reason}"
    within = near.within(radii)
    if not within:
        return "no, too far"
    if near.only_overruled(radii):
        return f"no, by {' and '.join(within)} alone"
    return f"yes, by {' and '.join(within)}"


def sentence(text: str) -> str:
    """The text of an error as a sentence.

    >>> sentence("a key is needed")
    'A key is needed.'
    """
    return f"{text[:1].upper()}{text[1:]}."


def slug(text: str) -> str:
    """A text as a part of the name of a CSS class, or of the id of an element.

    >>> slug("limits.budget_factor")
    'limits-budget-factor'
    """
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def host(address: str) -> str:
    """The host of a URL."""
    return urlsplit(address).hostname or address


_FUNCTIONS: tuple[Callable[..., object], ...] = (
    clock, code_in_backticks, day, duration, extent, frame_nouns, frames_at, host, instant, past_tense,
    rounded_duration, seconds_as_duration, segment_length, sentence, shown_at, slug, verdict,
)  # fmt: skip
FILTERS: dict[str, Callable[..., object]] = {function.__name__: function for function in _FUNCTIONS}
"""The filters by their names in the templates."""
# In templates, `counted` writes HTML.
FILTERS |= {"counted": counted_on_page, "number": group_digits}
