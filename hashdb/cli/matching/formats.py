"""Matches in words: what to do, what is similar and where; and times and ages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from hashdb.cli.output import counted
from hashdb.domain.frames import Unit
from hashdb.domain.matching.matches import Match, Result
from hashdb.domain.matching.segments import Segment
from hashdb.domain.signals import Algorithm

_MAX_SHOWN = 5
"""How many times, pages or stretches of words of a match a line shows."""


def format_action(result: Result) -> str:
    """What to do with an upload, in words: `no match`, or for example `review (2 members)`."""
    if result.action == "none":
        return "no match"
    members = counted(result.members, "member")
    details = [members] * bool(result.matches) + ["not all shown"] * result.truncated
    return f"review ({', '.join(details)})"


def format_match(match: Match) -> str:
    """A match in words, like `contribution 17 (mirrored): pdq 12, phash 4; graphic_violence, severity 3, active`."""
    severity = "" if match.severity is None else f", severity {match.severity}"
    transform = "" if match.transform is None or match.segments else f" ({match.transform})"
    labels = " ".join(match.labels)
    similarities = "; ".join(_similarities(match))
    # If a match was not verified, its score only repeats the distances.
    score = "" if match.score is None or match.evidence is None else f"score {match.score:.1f}, "
    return f"contribution {match.contribution}{transform}: {similarities}; {score}{labels}{severity}, {match.standing}"


def _similarities(match: Match) -> Iterator[str]:
    """What is similar, in words: an equal file or address, the segments, or the distances in bits and the place."""
    if match.digest is not None:
        yield "the same address" if match.digest is Algorithm.URL else f"the same file ({match.digest})"
    yield from map(_format_segment, match.segments)
    if match.distance and not match.segments:
        distances = ", ".join(
            f"{algorithm} {bits}" if bits is not None else algorithm for algorithm, bits in match.distance.items()
        )
        yield distances + _where(match)


def _where(match: Match) -> str:
    """Where the match is, in words that begin with a space; empty if both items are pictures.

    If the listed item has parts, the place is in that item; else it is in the file of the query.
    """
    if match.pages:
        return f" on {_numbered('page', match.pages)} of the document"
    if match.words:
        words = ", ".join(f"{first}-{end}" for first, end in match.words[:_MAX_SHOWN])
        return f" at words {words}{_ellipsis(match.words)} of the text"
    if match.at:
        return f" at {', '.join(map(format_time, match.at[:_MAX_SHOWN]))}{_ellipsis(match.at)} of the video"
    if not match.frames:
        return ""
    if match.frames[0].unit is Unit.PAGES:
        return f" on {_numbered('page', [int(frame.at) for frame in match.frames])} of this file"
    times = [format_time(frame.at) for frame in match.frames]
    return f" at {', '.join(times[:_MAX_SHOWN])}{_ellipsis(times)} of this file"


def _numbered(noun: str, numbers: Sequence[int]) -> str:
    """A noun with its numbers, like `pages 3, 4`."""
    shown = ", ".join(map(str, numbers[:_MAX_SHOWN]))
    return f"{noun}{'' if len(numbers) == 1 else 's'} {shown}{_ellipsis(numbers)}"


def _ellipsis(items: Sequence[object]) -> str:
    """What follows the first `_MAX_SHOWN` items: `, …` if there are more."""
    return ", …" * (len(items) > _MAX_SHOWN)


def _format_segment(segment: Segment) -> str:
    """A segment in words, like `0:10–0:48 at 0:00 of this file`, `pages 3-5 at page 1 of this file`."""
    transform = "" if segment.transform is None else f", {segment.transform}"
    if segment.unit is Unit.SECONDS:
        start, end = map(format_time, segment.listed)
        frames = f"{counted(segment.frames, 'frame')}, {segment.speed:.1f}×"
        return f"{start}–{end} at {format_time(segment.query[0])} of this file, {frames}{transform}"
    first, last, begin = int(segment.listed[0]), int(segment.listed[1]), int(segment.query[0])
    if segment.unit is Unit.PAGES:
        pages = f"page {first}" if first == last else f"pages {first}-{last}"
        return f"{pages} at page {begin} of this file, {counted(segment.frames, 'page')}{transform}"
    return f"words {first}-{last} at word {begin} of this file, {counted(segment.frames, 'window')}{transform}"


def format_time(seconds: float) -> str:
    """A time in a video as hours, minutes and seconds, like `1:02:03` or `0:48`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def format_age(age: timedelta) -> str:
    """A duration in the largest unit that fits, like `3 hours`."""
    seconds = max(0, int(age.total_seconds()))
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= size:
            return counted(seconds // size, unit)
    return counted(seconds, "second")
