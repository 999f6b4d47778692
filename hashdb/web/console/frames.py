"""Videos, documents and texts on a page: their lines and shots, and which parts of two of them show the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from markupsafe import Markup

from hashdb.domain.contributions import Contribution
from hashdb.domain.frames import Frame, Shot, Unit, split_shots
from hashdb.domain.matching.matches import FrameDetails, NearContribution, Query
from hashdb.domain.signals import Algorithm
from hashdb.service.contributions import contributions
from hashdb.service.matching import alignments
from hashdb.service.matching.alignments import NearByFrames
from hashdb.web.console.filters import counted
from hashdb.web.console.time_lines import NOUNS, STATES, Line, by_unit, joined_lines, lines_of, state_of
from hashdb.web.context import actor, hashdb

SHOTS_A_PAGE: Final = 50
_NAMES: Final = {Unit.SECONDS: "video", Unit.PAGES: "document", Unit.WORDS: "text"}
"""What has frames of each unit."""


class ShotRow(NamedTuple):
    """A shot in a table; `state` is in words."""

    number: int
    shot: Shot
    state: str


class Film(NamedTuple):
    """A listed video, document or text as a page shows it: its lines, how many shots it has, and some of them.

    `previous` and `next` say after how many shots the pages beside this one begin; None if there is no such page.
    """

    lines: Sequence[Line]
    noun: str
    """What a shot is called: shot, page, window; part if there are pages and windows."""
    total: int
    rows: Sequence[ShotRow]
    next: int | None
    previous: int | None


def film_of(contribution: Contribution, after: int = 0, limit: int = SHOTS_A_PAGE) -> Film | None:
    """The video, document or text that was contributed, with at most `limit` of its shots after the first `after`.

    None if it has no frames, or if the user may not see its signals.
    """
    if not contribution.frame_count or "signals" in contribution.hidden:
        return None
    shots = contributions.shots(hashdb(), actor(), contribution.id)
    after, end = min(after, len(shots)), after + limit
    rows = [ShotRow(number, shot, _describe_state(shot)) for number, shot in enumerate(shots[after:end], after + 1)]
    following, previous = end if end < len(shots) else None, max(0, after - limit) if after else None
    lines = lines_of(shots, contribution.duration)
    noun = NOUNS[lines[0].unit] if len(lines) == 1 else "part"
    return Film(lines, noun, len(shots), rows, following, previous)


def _describe_state(shot: Shot) -> str:
    state = state_of(shot)
    return STATES[state] + (f", {shot.masked} of its hashes suppressed" if shot.masked and state == "usable" else "")


class Joined(NamedTuple):
    """An item beside a listed one: an SVG of both time lines with the segments that join them, and all that agrees."""

    line: Markup
    details: FrameDetails


def join(
    shots: Sequence[Shot],
    duration: float | None,
    listed_shots: Sequence[Shot],
    listed_duration: float | None,
    details: FrameDetails,
) -> Joined:
    """An item beside a listed one: the shots, the duration in seconds, and what of both agrees."""
    return Joined(joined_lines(shots, duration, listed_shots, listed_duration, details.segments), details)


def join_near(contribution: Contribution, near: Sequence[NearContribution]) -> dict[int, Joined]:
    """By id of those near contributions with which frames agree: the contribution beside it."""
    others = {neighbor.contribution.id: neighbor.contribution for neighbor in near}
    aligned = alignments.align_listed(hashdb(), actor(), contribution, list(others.values()))
    return {
        id: join(aligned.shots, contribution.duration, other.shots, others[id].duration, other.details)
        for id, other in aligned.others.items()
    }


class FramedMatch(NamedTuple):
    """A contribution in the match debugger of the console: whether the query would match it, and what frames are near.

    `verdict` says in words whether it would, and why.
    """

    near: NearByFrames
    verdict: str
    joined: Joined


class FramedQuery(NamedTuple):
    """A video, a document or a text in the match debugger of the console, and what frames of it are near."""

    query: Query
    name: str
    """video, document or text."""
    lines: Sequence[Line]
    shots: Sequence[str]
    """How many shots, pages and windows it has, in words."""
    near_noun: str
    """What of it is near a contribution: frame, page, window; part if there are pages and windows."""
    near: Sequence[FramedMatch]
    incomplete: str | None

    @property
    def matching(self) -> int:
        """How many contributions a member would get as matches."""
        return sum(match.near.matches for match in self.near)


def framed_query(query: Query, near: Sequence[NearByFrames], incomplete: str | None = None) -> FramedQuery:
    """What the debugger shows of a video, a document or a text."""
    shots, noun = list(split_shots(query.frames)), frame_noun(query.frames)
    parts = by_unit(shots)
    matches = [
        FramedMatch(
            other,
            _verdict(other, noun),
            join(shots, query.duration, other.shots, other.contribution.duration, other.details),
        )
        for other in near
    ]
    name = _NAMES[next(iter(parts), Unit.SECONDS)]
    counts = [counted(len(of_unit), NOUNS[unit]) for unit, of_unit in parts.items()]
    return FramedQuery(query, name, lines_of(shots, query.duration), counts, noun, matches, incomplete)


def frame_noun(frames: Sequence[Frame]) -> str:
    """What one of these frames is called: frame, page or window; part if there are pages and windows."""
    units = {frame.unit for frame in frames}
    if len(units) > 1:
        return "part"
    return "frame" if Unit.SECONDS in units or not units else NOUNS[next(iter(units))]


def _verdict(near: NearByFrames, noun: str) -> str:
    """Whether a member would get a contribution as a match, and why; `noun` is what a frame of the query is called."""
    if near.contribution.no_match_reason is not None:
        return f"no, {near.contribution.no_match_reason}"
    if not near.matches:
        return f"no, too few {noun}s are near in a row"
    return describe_match(near.digest, near.details, noun) or "yes, by the signals of the item"


def describe_match(digest: Algorithm | None, details: FrameDetails, noun: str) -> str | None:
    """Why an item matches: by a digest, segments, or frames, which `noun` names. None if by none of these."""
    if digest is not None:
        return f"yes, the same file by {digest}"
    if details.segments:
        return f"yes, by {counted(len(details.segments), 'segment')}"
    if details.frames:
        return f"yes, by {counted(len(details.frames), noun if noun == 'frame' else 'page')}"
    return None
