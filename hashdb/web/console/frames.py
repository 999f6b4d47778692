"""Videos, documents and texts in the console: their time lines and shots, and which parts of two show the same.

Each unit of an item has a line: a video has one of seconds, a document has one of pages and may have one of words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from markupsafe import Markup

from hashdb.domain.contributions import Contribution
from hashdb.domain.frames import Frame, Shot, Unit, split_shots
from hashdb.domain.matching.matches import FrameDetails, Query
from hashdb.domain.matching.neighbors import NearContribution
from hashdb.domain.signals import Algorithm
from hashdb.service.contributions import contributions
from hashdb.service.matching import alignments
from hashdb.service.matching.alignments import NearByFrames
from hashdb.web.console.filters import counted
from hashdb.web.console.time_lines import NOUNS, STATES, USABLE, Line, by_unit, joined_lines, lines_of, state_of
from hashdb.web.context import actor, hashdb

SHOTS_A_PAGE: Final = 50
"""How many shots a page of the table shows by default."""
_NAMES: Final = {Unit.SECONDS: "video", Unit.PAGES: "document", Unit.WORDS: "text"}
"""What has frames of each unit."""


class ShotRow(NamedTuple):
    """A shot in a table; `state` is in words."""

    number: int
    shot: Shot
    state: str


class FramedItem(NamedTuple):
    """A listed video, document or text: its lines, how many shots it has, and the shots of one page of their table.

    `previous` and `next` are the value of `after` for the page before and for the next one; None if there is none.
    """

    lines: Sequence[Line]
    noun: str
    """What a shot is called: shot, page, window; part if there are pages and windows."""
    total: int
    rows: Sequence[ShotRow]
    next: int | None
    previous: int | None


def framed_item(contribution: Contribution, after: int = 0, limit: int = SHOTS_A_PAGE) -> FramedItem | None:
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
    return FramedItem(lines, noun, len(shots), rows, following, previous)


def _describe_state(shot: Shot) -> str:
    """The state in words; of a shot that can match, also how many of its hashes cannot."""
    state = state_of(shot)
    suppressed = f", {shot.masked} of its hashes suppressed" if shot.masked and state == USABLE else ""
    return STATES[state] + suppressed


class Joined(NamedTuple):
    """An item beside a listed one: an SVG of both time lines with the segments that join them, and what agrees.

    `details` has segments, or single frames that agree, as `FrameDetails` says. Without segments, `drawn` is empty.
    """

    drawn: Markup
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
    """The contribution beside each near one with which it agrees, by the id of the near one.

    Near ones that agree in no frame are left out, and all if neither side has frames.
    """
    others = {neighbor.contribution.id: neighbor.contribution for neighbor in near}
    aligned = alignments.align_listed(hashdb(), actor(), contribution, list(others.values()))
    return {
        id: join(aligned.shots, contribution.duration, other.shots, others[id].duration, other.details)
        for id, other in aligned.others.items()
    }


class FramedMatch(NamedTuple):
    """A contribution in the match debugger of the console that frames of the query are near, or that has its digest.

    `verdict` says in words whether the query would match it, and why.
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
    shot_counts: Sequence[str]
    """How many shots, or pages and windows, it has: `3 pages`."""
    near_noun: str
    """What of it is near a contribution: frame, page, window; part if there are pages and windows."""
    near: Sequence[FramedMatch]
    incomplete: str | None
    """Why frames of it may be missing, in a sentence; None if none are."""

    @property
    def matching(self) -> int:
        """How many contributions a member would get as matches."""
        return sum(match.near.is_match for match in self.near)


def framed_query(query: Query, near: Sequence[NearByFrames], incomplete: str | None) -> FramedQuery:
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
    # Pages come before words: with both, it is a document.
    name = _NAMES[next(iter(parts))]
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
    if not near.is_match:
        return f"no, too few consecutive {noun}s match"
    return describe_match(near.digest, near.details, noun) or "yes, by the signals of the item"


def describe_match(digest: Algorithm | None, details: FrameDetails, noun: str) -> str | None:
    """Why an item matches: by a digest, segments or single frames. None if by none of these.

    `noun` is what a frame of the item is called.
    """
    if digest is not None:
        return f"yes, the same file by {digest}"
    if details.segments:
        return f"yes, by {counted(len(details.segments), 'segment')}"
    if details.frames:
        # Windows of words match no picture. So if it is no video, these are its pages, even if it has both.
        return f"yes, by {counted(len(details.frames), noun if noun == 'frame' else 'page')}"
    return None
