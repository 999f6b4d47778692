"""The tables of an evaluation of videos, the rate of its false matches, and its JSON document."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median_high
from typing import Any, NamedTuple

from hashdb.domain.signals import Algorithm
from hashdb.evaluation.copies import Copy, Form
from hashdb.evaluation.figures import Table, percent
from hashdb.evaluation.library import WIDEST_RADIUS
from hashdb.evaluation.tails import FalseRate, Tail, false_rate
from hashdb.evaluation.videos import Outcome, VideoEvaluation


class Recall(NamedTuple):
    """What came of one kind of copy; shares are from 0 to 1."""

    copy: Copy
    clips: int
    found: float
    """The share of the stretches of the film that were found."""
    exact: float
    """The share of those of which every end is right to a second."""
    off: float | None
    """The median of the seconds by which the worst end of what was found is off; None if nothing was found."""
    by_listed: float
    """The share of the copies that vPDQ matches by the share of the listed film's frames."""
    by_query: float
    """The share of the copies that vPDQ matches by the share of the upload's frames."""
    mistaken: int
    """How often another film matched."""


def recall_by_copy(evaluation: VideoEvaluation) -> Iterator[Recall]:
    """What came of each kind of copy that was made, in order."""
    for position, copy in enumerate(evaluation.scheme.copies):
        if outcomes := [outcome for outcome in evaluation.outcomes if outcome.copy == position]:
            yield _recall(copy, outcomes)


def _recall(copy: Copy, outcomes: Sequence[Outcome]) -> Recall:
    parts = sum(outcome.parts for outcome in outcomes)
    off = [outcome.off for outcome in outcomes if outcome.off is not None]
    return Recall(
        copy,
        clips=len(outcomes),
        found=sum(outcome.found for outcome in outcomes) / parts,
        exact=sum(outcome.exact for outcome in outcomes) / parts,
        off=median_high(off) if off else None,
        by_listed=sum(outcome.rules.by_listed for outcome in outcomes) / len(outcomes),
        by_query=sum(outcome.rules.by_query for outcome in outcomes) / len(outcomes),
        mistaken=sum(outcome.others for outcome in outcomes),
    )


def recall_table(evaluation: VideoEvaluation, form: Form) -> Table:
    """The percentage that is found of each kind of copy of one form, by hashdb and by the two rules of vPDQ."""
    columns = ("copy", ">clips", ">found", ">to ± 1 s", ">off, s", ">vPDQ, listed", ">vPDQ, upload", ">mistaken")
    rows = [
        (
            kind.copy.name,
            str(kind.clips),
            percent(kind.found),
            "–" if kind.copy.reverse else percent(kind.exact),
            "–" if kind.off is None or kind.copy.reverse else f"{kind.off:.1f}",
            percent(kind.by_listed),
            percent(kind.by_query),
            str(kind.mistaken),
        )
        for kind in recall_by_copy(evaluation)
        if kind.copy.form is form
    ]
    return Table(columns, rows)


class FalseMatches(NamedTuple):
    """What was counted, and what the nearest pairs of different films let expect."""

    uploads: int
    """The number of pairs of an upload and a film that shows other things."""
    counted: int
    """How many of these pairs match."""
    pairs: int
    """Pairs of different films that were compared at every radius."""
    rate: FalseRate


def false_matches(evaluation: VideoEvaluation) -> FalseMatches:
    """The false matches of an evaluation, counted and estimated as those of pictures are."""
    films = evaluation.scheme.films
    # The trials take the films in turn.
    others = [sum(other.group != film.group for other in films) for film in films]
    uploads = sum(others[outcome.trial % len(films)] for outcome in evaluation.outcomes) + len(films)
    near = [(pair.query, pair.listed, pair.radius) for pair in evaluation.pairs if pair.radius is not None]
    return FalseMatches(
        uploads,
        # `surrounding`: the films that match the upload around the copies.
        counted=evaluation.surrounding + sum(outcome.others for outcome in evaluation.outcomes),
        pairs=len(evaluation.pairs),
        rate=false_rate(near, len(films), len(evaluation.pairs), Algorithm.PDQ, WIDEST_RADIUS, evaluation.scheme.seed),
    )


def describe_false_matches(evaluation: VideoEvaluation) -> list[str]:
    """The false matches in sentences."""
    counts = false_matches(evaluation)
    rate = counts.rate
    sentences = [
        f"{counts.uploads} pairs of an upload and a video that shows other things: {counts.counted} match.",
        f"{counts.pairs} pairs of different videos were compared at every radius; "
        "that of phash256 moves with that of PDQ.",
    ]
    if rate.nearest is not None:
        sentences.append(
            f"The nearest pair matches from a radius of {rate.nearest} bits of PDQ on; the default is {rate.radius}."
        )
    if rate.estimate is None:
        sentences.append("These pairs are too few for an estimate.")
    else:
        sentences.append(
            f"At the default, {rate.estimate:.0e} false matches for a pair are expected, {rate.upper:.0e} at most."
        )
    return sentences


def recall_curve(evaluation: VideoEvaluation, form: Form, tail: Tail) -> list[tuple[float, float]]:
    """(False matches for a pair, share of the copies of one form that match) for each radius that has a rate."""
    radii = [outcome.radius for outcome in evaluation.outcomes if evaluation.scheme.copies[outcome.copy].form is form]
    return tail.curve(radii)


def as_document(evaluation: VideoEvaluation) -> dict[str, Any]:
    """The results as JSON."""
    counts, scheme = false_matches(evaluation), evaluation.scheme
    return {
        "films": [film.name for film in scheme.films],
        "seconds": evaluation.seconds,
        "values": evaluation.values,
        "seed": scheme.seed,
        "upload_seconds": scheme.around.seconds,
        "interval": scheme.interval,
        "copies": [
            {"name": kind.copy.name, "form": str(kind.copy.form)}
            | {key: value for key, value in kind._asdict().items() if key != "copy"}
            for kind in recall_by_copy(evaluation)
        ],
        "outcomes": [outcome._asdict() | {"rules": outcome.rules._asdict()} for outcome in evaluation.outcomes],
        "pairs": [pair._asdict() for pair in evaluation.pairs],
        "false_matches": {key: value for key, value in counts._asdict().items() if key != "rate"}
        | counts.rate.as_document(),
    }
