"""Comparisons: two items of a reviewer's own, one as it is asked for, the other as it is listed. Nothing is stored."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.contributions import Draft, Standing
from hashdb.domain.frames import MOST_TIMES, Shot, split_shots
from hashdb.domain.matching.aligners import ListedShot, ShotTimes
from hashdb.domain.matching.benign import REFUSAL
from hashdb.domain.matching.comparisons import Overlay, SignalPair, nearest_pairs, overlay, own_pairs
from hashdb.domain.matching.evidence import verify_candidates
from hashdb.domain.matching.frames import Expanded, FramesMatched, Shots, expand, match_frames, places_of
from hashdb.domain.matching.matches import OVERRULING, FrameDetails, Holder, Query, Stored, Verdict
from hashdb.domain.matching.suggestions import Distances, Selection, Through, decide, suggest_expanded
from hashdb.domain.matching.verification import PreparedQuery, verify
from hashdb.domain.signals import Algorithm, Signal
from hashdb.domain.signatures import WHOLE
from hashdb.service import HashDB
from hashdb.service.matching.alignments import MOST_NEAR, FrameHit, Values, hits_by_contribution
from hashdb.service.matching.matches import turn

_LISTED: Final = 1
"""The id of the second item among the contributions, of which it is the only one."""


class Comparison(NamedTuple):
    """How one item, asked for, and another, listed, show the same.

    `matches` says whether the first would match the second, if that were contributed; `refused` says why it could not
    be contributed.
    """

    matches: bool
    refused: Sequence[str]
    own: Sequence[SignalPair]
    """By algorithm, the hashes of both themselves."""
    views: Sequence[SignalPair]
    """The nearest pair of each view, those that agree first."""
    verdict: Verdict | None
    """On two pictures, if a hash of the second is within the radius of a view of the first."""
    overlay: Overlay | None
    digest: Algorithm | None
    """The digest by which both are the same file."""
    details: FrameDetails
    hits: Sequence[FrameHit]
    """The frames of the first that are near the second."""
    shots: Sequence[Shot]
    """Of the second, if it has frames."""


def compare(db: HashDB, actor: Actor, asked: Query, listed: Draft) -> Comparison:
    """Compare two items as a match does. The first has its transforms, the second its variants and signatures.

    Raises TooManyAtOnce.
    """
    actor.require(Scope.AUDIT, Scope.REVIEW)
    db.follower.catch_up()
    with db.places.place(actor), turn(db, actor):
        return _compare(db, asked, listed)


def _compare(db: HashDB, asked: Query, listed: Draft) -> Comparison:
    refused = [fault.reason for fault in db.rules.draft_faults(listed, db.now())]
    suppressed = db.intake.rules().touched(listed.every_signal())
    if not suppressed.keys().isdisjoint(listed.signals):
        refused.append(f"a hash of it {REFUSAL}")
    shots = [_without(shot, suppressed) for shot in split_shots(listed.frames)]
    expanded = expand([asked])
    held, times = _held(listed, shots)
    suggested, through, _ = suggest_expanded(expanded, Values(held).search, MOST_NEAR)
    decided = _decide(asked, listed, shots, expanded, suggested, through, held, times)
    found = {signal: bits for signal, bits in suggested[0].items() if signal in held}
    details = decided.by_frames.get(_LISTED, places_of([held[signal][0] for signal in found], times))
    frames = [frame for frame in asked.frames if frame.matches]
    near = [
        (frame, suggested[place], through[place])
        for frame, place in zip(frames, expanded.frames.get(0, ()), strict=True)
    ]
    views, verdict = {WHOLE: asked.signals, **asked.transforms}, None
    if found and not asked.frames and not listed.frames:
        verdict = verify(PreparedQuery(views, asked.signatures), listed.signals, listed.signatures, found)
    return Comparison(
        matches=any(group[0].contribution == _LISTED for group in decided.chosen),
        refused=refused,
        own=own_pairs(asked.signals, listed.signals),
        views=nearest_pairs(views, listed.signals),
        verdict=verdict,
        overlay=overlay(asked.signatures, listed.signatures),
        digest=next((signal.algorithm for signal in found if signal.algorithm.is_digest), None),
        details=details,
        hits=hits_by_contribution(near, held, times, {_LISTED: details}).get(_LISTED, ()),
        shots=shots,
    )


def _searched(shots: Sequence[Shot]) -> list[ListedShot]:
    return [
        ListedShot(shot.start, shot.end, shot.frames[0].signals, shot.unit) for shot in shots if shot.frames[0].matches
    ]


def _held(listed: Draft, shots: Sequence[Shot]) -> tuple[dict[Signal, list[Holder]], Shots]:
    """The second item as the holder of its signals, and when it shows each, as if it were the only contribution."""
    times = defaultdict[tuple[int, Signal], list[ShotTimes]](list)
    for shot in _searched(shots):
        for signal in shot.signals:
            if len(seen := times[_LISTED, signal]) < MOST_TIMES:
                seen.append(ShotTimes(shot.start, shot.end))
    signals = (*listed.signals, *(signal for _, signal in times))
    return {
        signal: [Holder(signal, _LISTED, 1, None, Standing.UNREVIEWED, None, listed.extent)] for signal in signals
    }, times


def _decide(
    asked: Query,
    listed: Draft,
    shots: Sequence[Shot],
    expanded: Expanded,
    suggested: Sequence[Distances],
    through: Sequence[Through],
    held: Mapping[Signal, Sequence[Holder]],
    times: Shots,
) -> Selection:
    """What a match decides."""

    def having(ids: Collection[int]) -> dict[int, frozenset[Algorithm]]:
        return dict.fromkeys(ids, OVERRULING.intersection([one.algorithm for one in listed.signals]))

    def stored(ids: Collection[int]) -> Mapping[int, Stored]:
        return dict.fromkeys(ids, Stored(listed.signals, listed.signatures))

    by_frames: Mapping[int, FramesMatched] = {}
    if asked.frames:
        read = _searched(shots)
        by_frames = match_frames([asked], expanded, suggested, through, held, times, lambda _: read, having)
    verified = verify_candidates([asked], suggested, through, held, having, stored)
    (decided,) = decide([asked], suggested, through, held, having, by_frames, verified)
    return decided


def _without(shot: Shot, suppressed: Collection[Signal]) -> Shot:
    """The shot as it would be recorded."""
    first, *others = shot.frames
    kept = tuple(signal for signal in first.signals if signal not in suppressed)
    return Shot((replace(first, signals=kept), *others), len(first.signals) - len(kept))
