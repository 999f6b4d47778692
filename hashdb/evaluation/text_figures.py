"""The tables of an evaluation of texts, the rate of its false matches, and its JSON document."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from hashdb.domain.signals import Algorithm
from hashdb.evaluation.figures import Table
from hashdb.evaluation.library import WIDEST_OF_TEXTS
from hashdb.evaluation.passages import TextCopy, TextForm
from hashdb.evaluation.tails import FalseRate, Tail, false_rate
from hashdb.evaluation.texts import SHARED, TOLERANCE, TextEvaluation, TextOutcome
from hashdb.evaluation.video_figures import percent

_FEWEST = 4
"""Passages of a script from which it has a row of its own."""


class TextRecall(NamedTuple):
    """What came of one kind of copy, as shares from 0 to 1."""

    copy: TextCopy
    passages: int
    found: float
    exact: float
    """Those of which every end is right to `TOLERANCE` words."""
    digest: float
    """Those whose SHA-256 is that of the listed text."""
    whole: float
    """Those whose SimHash of the whole is within the radius of that of the whole listed text."""
    mistaken: int
    """Other texts that matched."""


def recalls(evaluation: TextEvaluation) -> Iterator[TextRecall]:
    """What came of each kind of copy that was made, in order."""
    for position, copy in enumerate(evaluation.scheme.copies):
        outcomes = [outcome for outcome in evaluation.outcomes if outcome.copy == position]
        if count := len(outcomes):
            yield TextRecall(
                copy,
                passages=count,
                found=sum(outcome.found for outcome in outcomes) / count,
                exact=sum(outcome.exact for outcome in outcomes) / count,
                digest=sum(outcome.digest for outcome in outcomes) / count,
                whole=sum(outcome.whole for outcome in outcomes) / count,
                mistaken=sum(outcome.others for outcome in outcomes),
            )


def recall(evaluation: TextEvaluation, form: TextForm) -> Table:
    """The percentage that is found of each kind of copy of one form, and by one hash of the whole text."""
    columns = ("copy", ">texts", ">found", f">to ± {TOLERANCE}", ">SHA-256", ">whole SimHash", ">mistaken")
    rows = [
        (
            kind.copy.name,
            str(kind.passages),
            percent(kind.found),
            percent(kind.exact),
            percent(kind.digest),
            percent(kind.whole),
            str(kind.mistaken),
        )
        for kind in recalls(evaluation)
        if kind.copy.form is form
    ]
    return Table(columns, rows)


def scripts(evaluation: TextEvaluation) -> Table:
    """The percentage that is found of passages inside others, by script; of copies that are to be found."""
    shown = [
        position
        for position, copy in enumerate(evaluation.scheme.copies)
        if copy.form is TextForm.INSIDE and copy.expected
    ]
    counts = Counter(outcome.script for outcome in evaluation.outcomes if outcome.copy == shown[0]) if shown else {}
    frequent = [name for name, count in sorted(counts.items(), key=lambda item: -item[1]) if count >= _FEWEST]
    groups = [(name, [name]) for name in frequent] + [("others", [name for name in counts if name not in frequent])]
    listed = Counter(text.script for text in evaluation.scheme.listed)
    rows = [
        (
            name,
            str(sum(listed[member] for member in members)),
            str(sum(counts[member] for member in members)),
            *(_percent_found(evaluation.outcomes, position, members) for position in shown),
        )
        for name, members in groups
        if members
    ]
    columns = ("script", ">listed", ">passages", *(f">{evaluation.scheme.copies[position].name}" for position in shown))
    return Table(columns, rows)


def _percent_found(outcomes: Iterable[TextOutcome], position: int, scripts: Sequence[str]) -> str:
    found = [outcome.found for outcome in outcomes if outcome.copy == position and outcome.script in scripts]
    return percent(sum(found) / len(found)) if found else "–"


class FalseTexts(NamedTuple):
    """What was counted, and what the nearest pairs of different texts let expect."""

    uploads: int
    """Pairs of an upload and a listed text that it is no copy of."""
    mistaken: int
    """Of these, the pairs that match and share no passage."""
    pairs: int
    """Pairs of different texts that share no passage."""
    counted: int
    """Of these, the pairs that match."""
    shared: int
    """Pairs of different texts that match and share a passage."""
    rewritten: int
    """Of these, those that have no `SHARED` words in a row in common."""
    rate: FalseRate
    """By the pairs that share no passage."""


def false_matches(evaluation: TextEvaluation) -> FalseTexts:
    """The false matches of an evaluation, counted and estimated as those of pictures are."""
    count, algorithm = len(evaluation.scheme.listed), Algorithm.SIMHASH256
    shared = [pair for pair in evaluation.pairs if pair.shares]
    near = [(pair.query, pair.listed, pair.radius) for pair in evaluation.pairs if not pair.shares]
    total = count * (count - 1) - len(shared)
    matching = [pair for pair in shared if pair.radius <= algorithm.radius]
    return FalseTexts(
        uploads=len(evaluation.outcomes) * (count - 1),
        mistaken=sum(outcome.others for outcome in evaluation.outcomes),
        pairs=total,
        counted=sum(radius <= algorithm.radius for *_, radius in near),
        shared=len(matching),
        rewritten=sum(pair.run < SHARED for pair in matching),
        rate=false_rate(near, count, total, algorithm, WIDEST_OF_TEXTS, evaluation.scheme.seed),
    )


def mistakes(evaluation: TextEvaluation) -> list[str]:
    """The false matches in sentences."""
    counts = false_matches(evaluation)
    rate = counts.rate
    sentences = [
        f"{counts.uploads} pairs of an upload and a listed text that it is no copy of: {counts.mistaken} match and "
        "share no passage.",
        f"{counts.pairs} pairs of different texts that share no passage: {counts.counted} match.",
        f"{counts.shared} further pairs match and share a passage, which is right: {counts.rewritten} of them "
        f"have no {SHARED} words in a row in common, as translations into sister languages and tables of one form.",
    ]
    if rate.nearest is not None:
        sentences.append(
            f"The nearest pair without one matches from {rate.nearest} bits on; the radius is {rate.radius}."
        )
    if rate.estimate is None:
        sentences.append("These pairs are too few for an estimate.")
    else:
        sentences.append(
            f"At the radius, {rate.estimate:.0e} false matches for a pair are expected, {rate.upper:.0e} at most."
        )
    return sentences


def curve(evaluation: TextEvaluation, copies: Sequence[str], tail: Tail) -> list[tuple[float, float]]:
    """(False matches for a pair, share of passages inside others that match) for each radius that has a rate.

    Of the copies with these names.
    """
    radii = [
        outcome.radius
        for outcome in evaluation.outcomes
        if evaluation.scheme.copies[outcome.copy].form is TextForm.INSIDE
        and evaluation.scheme.copies[outcome.copy].name in copies
    ]
    return tail.curve(radii)


def as_document(evaluation: TextEvaluation) -> dict[str, Any]:
    """The results as JSON, without a word of the texts."""
    counts, scheme = false_matches(evaluation), evaluation.scheme
    return {
        "texts": len(scheme.listed),
        "around": len(scheme.around),
        "scripts": dict(Counter(text.script for text in scheme.listed)),
        "windows": evaluation.windows,
        "seed": scheme.seed,
        "trials": scheme.trials,
        "radius": counts.rate.radius,
        "copies": [
            {"name": kind.copy.name, "form": str(kind.copy.form)}
            | {key: value for key, value in kind._asdict().items() if key != "copy"}
            for kind in recalls(evaluation)
        ],
        "by_script": scripts(evaluation)._asdict(),
        "false_matches": {key: value for key, value in counts._asdict().items() if key != "rate"}
        | counts.rate.as_document(),
    }
