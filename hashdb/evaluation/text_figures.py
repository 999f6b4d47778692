"""The results of an evaluation of texts: tables, sentences, the rate of false matches, a curve, a JSON document.

A passage is a stretch of words of a listed text, or all of it. Each kind of copy alters passages in one way, and each
altered passage is an upload that is matched with the listed texts: its outcome says whether it was found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from hashdb.domain.signals import Algorithm
from hashdb.evaluation.figures import Table, percent
from hashdb.evaluation.library import WIDEST_OF_TEXTS
from hashdb.evaluation.passages import TextCopy, TextForm
from hashdb.evaluation.tails import FalseRate, Tail, false_rate
from hashdb.evaluation.texts import SHARED_WORDS, TOLERANCE, TextEvaluation, TextOutcome

_MIN_PASSAGES = 4
"""A script with fewer passages has no row of its own in the table of scripts: it counts among the others."""


class TextRecall(NamedTuple):
    """The outcomes of one kind of copy. The fields are keys of the JSON document; shares are from 0 to 1."""

    copy: TextCopy
    passages: int
    """How many passages were copied in this way."""
    found: float
    """The share that a match found."""
    exact: float
    """The share whose segments begin and end within `TOLERANCE` words of the true places."""
    digest: float
    """The share whose SHA-256 equals that of the listed text."""
    whole: float
    """The share that one SimHash of the whole upload finds: within the radius of that of the listed text."""
    mistaken: int
    """How often an upload matched another listed text, with which it shares no passage."""


def recall_by_copy(evaluation: TextEvaluation) -> Iterator[TextRecall]:
    """The outcomes of each kind of copy, in the order of the scheme; without kinds that no passage was copied in."""
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


def recall_table(evaluation: TextEvaluation, form: TextForm) -> Table:
    """A row for each kind of copy of one form: the percentages found by windows, by digest and by one whole SimHash."""
    # `>` aligns a column to the right.
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
        for kind in recall_by_copy(evaluation)
        if kind.copy.form is form
    ]
    return Table(columns, rows)


def script_table(evaluation: TextEvaluation) -> Table:
    """A row for each script: the percentages of passages inside other texts that are found, by kind of copy.

    Kinds of copies that are not expected to be found have no column.
    """
    positions = [
        position
        for position, copy in enumerate(evaluation.scheme.copies)
        if copy.form is TextForm.INSIDE and copy.expected
    ]
    counts = Counter(outcome.script for outcome in evaluation.outcomes if outcome.copy in positions[:1])
    frequent = [name for name, count in counts.most_common() if count >= _MIN_PASSAGES]
    rows_of_scripts = [(name, [name]) for name in frequent] + [
        ("others", [name for name in counts if name not in frequent])
    ]
    listed = Counter(text.script for text in evaluation.scheme.listed)
    rows = [
        (
            name,
            str(sum(listed[script] for script in scripts)),
            str(sum(counts[script] for script in scripts)),
            *(_percent_found(evaluation.outcomes, position, scripts) for position in positions),
        )
        for name, scripts in rows_of_scripts
        if scripts
    ]
    columns = (
        "script",
        ">listed",
        ">passages",
        *(f">{evaluation.scheme.copies[position].name}" for position in positions),
    )
    return Table(columns, rows)


def _percent_found(outcomes: Iterable[TextOutcome], position: int, scripts: Sequence[str]) -> str:
    """The percentage found of the copies at a position of the scheme, in some scripts; `–` if there are none."""
    found = [outcome.found for outcome in outcomes if outcome.copy == position and outcome.script in scripts]
    return percent(sum(found) / len(found)) if found else "–"


class FalseTextMatches(NamedTuple):
    """The false matches that were counted, and the rate that is estimated from the nearest pairs of different texts.

    The fields but `rate` are keys of the JSON document. Pairs are ordered: each text is the query for every other one.
    """

    uploads: int
    """Pairs of an upload and a listed text of which it is no copy."""
    mistaken: int
    """The pairs of these that match although they share no passage: false matches."""
    pairs: int
    """Pairs of different texts that share no passage."""
    counted: int
    """The pairs of these that match: false matches."""
    shared: int
    """Pairs of different texts that match and share a passage: these matches are right."""
    rewritten: int
    """The pairs of these without `SHARED_WORDS` words in a row in common: one passage is the other, rewritten."""
    rate: FalseRate
    """Estimated from the pairs that share no passage."""


def false_matches(evaluation: TextEvaluation) -> FalseTextMatches:
    """Count the false matches of an evaluation, and estimate their rate."""
    count, algorithm = len(evaluation.scheme.listed), Algorithm.SIMHASH256
    shared = [pair for pair in evaluation.pairs if pair.shares]
    near = [(pair.query, pair.listed, pair.radius) for pair in evaluation.pairs if not pair.shares]
    total = count * (count - 1) - len(shared)
    matching = [pair for pair in shared if pair.radius <= algorithm.radius]
    return FalseTextMatches(
        uploads=len(evaluation.outcomes) * (count - 1),
        mistaken=sum(outcome.others for outcome in evaluation.outcomes),
        pairs=total,
        counted=sum(radius <= algorithm.radius for *_, radius in near),
        shared=len(matching),
        rewritten=sum(pair.run < SHARED_WORDS for pair in matching),
        rate=false_rate(near, count, total, algorithm, WIDEST_OF_TEXTS, evaluation.scheme.seed),
    )


def describe_false_matches(evaluation: TextEvaluation) -> list[str]:
    """A sentence for each figure of the false matches."""
    counts = false_matches(evaluation)
    rate = counts.rate
    sentences = [
        f"{counts.uploads} pairs of an upload and a listed text that it is no copy of: {counts.mistaken} match and "
        "share no passage.",
        f"{counts.pairs} pairs of different texts that share no passage: {counts.counted} match.",
        f"{counts.shared} further pairs match and share a passage, which is right: {counts.rewritten} of them have "
        f"no {SHARED_WORDS} words in a row in common, as translations into sister languages and tables of one form.",
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


def recall_curve(evaluation: TextEvaluation, copies: Sequence[str], tail: Tail) -> list[tuple[float, float]]:
    """Points of a curve, one for each radius whose rate is estimated: (false matches per pair, share that matches).

    The share is that of the passages inside other texts, of the kinds of copies that are named in `copies`.
    """
    radii = [
        outcome.radius
        for outcome in evaluation.outcomes
        if evaluation.scheme.copies[outcome.copy].form is TextForm.INSIDE
        and evaluation.scheme.copies[outcome.copy].name in copies
    ]
    return tail.curve(radii)


def as_document(evaluation: TextEvaluation) -> dict[str, Any]:
    """The results as a JSON document, which contains no words of the texts."""
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
            for kind in recall_by_copy(evaluation)
        ],
        "by_script": script_table(evaluation)._asdict(),
        "false_matches": {key: value for key, value in counts._asdict().items() if key != "rate"}
        | counts.rate.as_document(),
    }
