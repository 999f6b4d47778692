"""Template filters for actions, durations, counts and verdicts on near contributions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from markupsafe import Markup, escape

from hashdb.domain.matching.matches import NearContribution
from hashdb.domain.signals import Algorithm
from hashdb.domain.times import format_instant
from hashdb.web.reports import group_digits

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_PHRASES = {
    "contribution.added": "Contributed",
    "opinion.given": "Opinion given",
    "case.opened": "Case opened",
    "case.held": "Quarantined by the case",
    "case.decided": "Case decided",
    "hit": "Matched",
}


def span(length: timedelta) -> str:
    """A duration in its two largest units.

    >>> span(timedelta(days=1, hours=2, minutes=30)), span(timedelta(0))
    ('1 d 2 h', '0 s')
    """
    total = abs(int(length.total_seconds()))
    for (size, unit), (lesser, small) in zip(_UNITS, (*_UNITS[1:], (1, "")), strict=True):
        if total >= size:
            rest = total % size // lesser
            return f"{total // size} {unit}" + (f" {rest} {small}" if rest and small else "")
    return "0 s"


def about(length: timedelta) -> str:
    """A duration in its largest unit.

    >>> about(timedelta(minutes=2, seconds=59))
    '2 min'
    """
    return " ".join(span(length).split()[:2])


def seconds(length: int | None) -> str:
    """A duration in seconds, in its two largest units.

    >>> seconds(3_600), seconds(None)
    ('1 h', '–')
    """
    return "–" if length is None else span(timedelta(seconds=length))


def clock(seconds: float) -> str:
    """A time of a video, to a tenth of a second.

    >>> clock(48), clock(62.25), clock(3_723)
    ('0:48', '1:02.2', '1:02:03')
    """
    tenths = round(seconds * 10)
    minutes, rest = divmod(tenths // 10, 60)
    hours, minutes = divmod(minutes, 60)
    part = f".{tenths % 10}" if tenths % 10 else ""
    return (f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}") + part


def stretches(times: Sequence[float], most: int = 4) -> str:
    """Times of a video in ascending order, with those at most a second apart as one stretch.

    >>> stretches([38, 39, 40, 70.5]), stretches([0, 2, 4], most=2)
    ('0:38–0:40, 1:10.5', '0:00, 0:02 and 1 more')
    """
    found: list[tuple[float, float]] = []
    for at in times:
        if found and at - found[-1][1] <= 1:
            found[-1] = found[-1][0], at
        else:
            found.append((at, at))
    shown = [clock(start) + (f"–{clock(end)}" if end > start else "") for start, end in found[:most]]
    return ", ".join(shown) + (f" and {len(found) - most} more" if len(found) > most else "")


def counted(number: int, noun: str) -> str:
    """A number with its noun.

    >>> counted(1, "key"), counted(1_200, "key")
    ('1 key', '1200 keys')
    """
    return f"{number} {noun}{'' if number == 1 else 's'}"


def counted_on_page(number: int, noun: str) -> Markup:
    """A number with its noun as HTML, the digits in groups."""
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


def marked(text: str) -> Markup:
    """A text of the documentation as HTML: what stands in backticks is code.

    >>> marked("`x` is < y")
    Markup('<code>x</code> is &lt; y')
    """
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def past_tense(action: str) -> str:
    """An event's action as text for people.

    >>> past_tense("contribution.quarantined")
    'Quarantined'
    """
    return _PHRASES.get(action) or action.partition(".")[2].replace("-", " ").capitalize()


def verdict(near: NearContribution, radii: Mapping[Algorithm, int]) -> str:
    """Whether a near contribution would match at these radii, and why. neighbors.js repeats this in the browser."""
    if near.hindrance is not None:
        return f"no, {near.hindrance}"
    within = near.within(radii)
    if not within:
        return "no, too far"
    if near.alone(radii):
        return f"no, by {' and '.join(within)} alone"
    return f"yes, by {' and '.join(within)}"


FILTERS: dict[str, Callable[..., object]] = {
    "span": span,
    "seconds": seconds,
    "about": about,
    "clock": clock,
    "stretches": stretches,
    "counted": counted_on_page,
    "number": group_digits,
    "instant": instant,
    "day": day,
    "said": past_tense,
    "marked": marked,
    "verdict": verdict,
}
