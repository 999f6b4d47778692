"""The tables of an evaluation of videos, the rate of its false matches, and its JSON document."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from hashdb.domain.signals import Algorithm
from hashdb.evaluation.copies import Copy, Form
from hashdb.evaluation.figures import Row, Table
from hashdb.evaluation.library import WIDEST
from hashdb.evaluation.pairs import Pairs
from hashdb.evaluation.tails import Tail, fit
from hashdb.evaluation.videos import Outcome, VideoEvaluation

RADIUS = Algorithm.PDQ.radius
_BEYOND = Algorithm.PDQ.bits // 2
"""The distance under which pairs are counted that match at no radius that is looked at."""


class Recall(NamedTuple):
    """What came of one kind of copy, as shares from 0 to 1."""

    copy: Copy
    clips: int
    found: float
    """The stretches of the film that were found."""
    exact: float
    """Those of which every end is right to a second."""
    off: float | None
    """The seconds by which the worst end is off, of the half that is nearest."""
    by_listed: float
    """The copies that vPDQ matches by the share of the listed film's frames."""
    by_query: float
    """The copies that vPDQ matches by the share of the upload's frames."""
    mistaken: int
    """Other films that matched."""


def recalls(evaluation: VideoEvaluation) -> Iterator[Recall]:
    """What came of each kind of copy that was made, in order."""
    for position, copy in enumerate(evaluation.scheme.copies):
        if outcomes := [outcome for outcome in evaluation.outcomes if outcome.copy == position]:
            yield _recall(copy, outcomes)


def _recall(copy: Copy, outcomes: Sequence[Outcome]) -> Recall:
    parts = sum(outcome.parts for outcome in outcomes)
    off = sorted(outcome.off for outcome in outcomes if outcome.off is not None)
    return Recall(
        copy,
        clips=len(outcomes),
        found=sum(outcome.found for outcome in outcomes) / parts,
        exact=sum(outcome.exact for outcome in outcomes) / parts,
        off=off[len(off) // 2] if off else None,
        by_listed=sum(outcome.rules.by_listed for outcome in outcomes) / len(outcomes),
        by_query=sum(outcome.rules.by_query for outcome in outcomes) / len(outcomes),
        mistaken=sum(outcome.others for outcome in outcomes),
    )


COLUMNS: Row = ("copy", ">clips", ">found", ">to ± 1 s", ">off, s", ">vPDQ, listed", ">vPDQ, upload", ">mistaken")
"""The headings of `recall`; a heading that begins with `>` is of a column of numbers."""


def recall(evaluation: VideoEvaluation, form: Form) -> Table:
    """The percentage that is found of each kind of copy of one form, by hashdb and by the two rules of vPDQ."""
    rows = [
        (
            each.copy.name,
            str(each.clips),
            percent(each.found),
            "–" if each.copy.reverse else percent(each.exact),
            "–" if each.off is None or each.copy.reverse else f"{each.off:.1f}",
            percent(each.by_listed),
            percent(each.by_query),
            str(each.mistaken),
        )
        for each in recalls(evaluation)
        if each.copy.form is form
    ]
    return Table(COLUMNS, rows)


def percent(share: float) -> str:
    """A share in per cent, like `95.8`."""
    return f"{100 * share:.1f}"


class FalseMatches(NamedTuple):
    """What was counted, and what the nearest pairs of different films let expect."""

    uploads: int
    """Pairs of an upload and a film that shows other things."""
    counted: int
    """Of these, the pairs that match."""
    pairs: int
    """Pairs of different films that were compared at every radius."""
    nearest: int | None
    """The least radius of PDQ, in bits, at which any of them matches."""
    tail: Tail | None
    """False matches for a pair by radius; None if there were too few pairs."""

    @property
    def estimate(self) -> float | None:
        """False matches for a pair at the radius in force, by the cautious estimate; None if there is none."""
        return None if self.tail is None else self.tail.estimate(RADIUS)

    @property
    def upper(self) -> float | None:
        """The upper end of the 95 % interval of `estimate`."""
        return None if self.tail is None else self.tail.upper(RADIUS)


def false_matches(evaluation: VideoEvaluation) -> FalseMatches:
    """The false matches of an evaluation, counted and estimated as those of pictures are."""
    films = evaluation.scheme.films
    others = [sum(other.group != film.group for other in films) for film in films]
    uploads = sum(others[outcome.trial % len(films)] for outcome in evaluation.outcomes) + len(films)
    near = [(pair.query, pair.listed, pair.radius) for pair in evaluation.pairs if pair.radius is not None]
    counts = np.bincount([radius for *_, radius in near], minlength=_BEYOND + 1).astype(np.int64)
    counts[_BEYOND] += len(evaluation.pairs) - len(near)
    rows = np.array(near, np.int64).reshape(-1, 3)
    return FalseMatches(
        uploads,
        counted=evaluation.surrounding + sum(outcome.others for outcome in evaluation.outcomes),
        pairs=len(evaluation.pairs),
        nearest=min((radius for *_, radius in near), default=None),
        tail=fit(Pairs(len(films), counts, WIDEST, rows), evaluation.scheme.seed) if near else None,
    )


def mistakes(evaluation: VideoEvaluation) -> list[str]:
    """The false matches in sentences."""
    found = false_matches(evaluation)
    sentences = [
        f"{found.uploads} pairs of an upload and a video that shows other things: {found.counted} match.",
        f"{found.pairs} pairs of different videos were compared at every radius; "
        "that of phash256 moves with that of PDQ.",
    ]
    if found.nearest is not None:
        sentences.append(
            f"The nearest pair matches from a radius of {found.nearest} bits of PDQ on; the default is {RADIUS}."
        )
    if found.estimate is None:
        sentences.append("These pairs are too few for an estimate.")
    else:
        sentences.append(
            f"At the default, {found.estimate:.0e} false matches for a pair are expected, {found.upper:.0e} at most."
        )
    return sentences


def curve(evaluation: VideoEvaluation, form: Form, tail: Tail) -> list[tuple[float, float]]:
    """(False matches for a pair, share of the copies of one form that match) for each radius that has a rate."""
    radii = [outcome.radius for outcome in evaluation.outcomes if evaluation.scheme.copies[outcome.copy].form is form]
    return tail.curve(radii)


def as_document(evaluation: VideoEvaluation) -> dict[str, Any]:
    """The results as JSON."""
    mistakes, scheme = false_matches(evaluation), evaluation.scheme
    return {
        "films": [film.name for film in scheme.films],
        "seconds": evaluation.seconds,
        "values": evaluation.values,
        "seed": scheme.seed,
        "upload_seconds": scheme.around.seconds,
        "interval": scheme.interval,
        "copies": [
            {"name": each.copy.name, "form": str(each.copy.form)}
            | {key: value for key, value in each._asdict().items() if key != "copy"}
            for each in recalls(evaluation)
        ],
        "outcomes": [outcome._asdict() | {"rules": outcome.rules._asdict()} for outcome in evaluation.outcomes],
        "pairs": [pair._asdict() for pair in evaluation.pairs],
        "false_matches": {
            "uploads": mistakes.uploads,
            "counted": mistakes.counted,
            "pairs": mistakes.pairs,
            "nearest": mistakes.nearest,
            "estimate": mistakes.estimate,
            "upper": mistakes.upper,
        },
    }
