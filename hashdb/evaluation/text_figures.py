"""The tables of an evaluation of texts, the rate of its false matches, and its JSON document."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from hashdb.domain.signals import Algorithm
from hashdb.evaluation.figures import Row, Table
from hashdb.evaluation.library import WIDEST_OF_TEXTS
from hashdb.evaluation.pairs import Pairs
from hashdb.evaluation.passages import TextCopy, TextForm
from hashdb.evaluation.tails import Tail, fit
from hashdb.evaluation.texts import SHARED, TOLERANCE, TextEvaluation, TextOutcome
from hashdb.evaluation.video_figures import percent

RADIUS: Final = Algorithm.SIMHASH256.radius
_BEYOND = Algorithm.SIMHASH256.bits // 2
"""The distance under which pairs are counted that match at no radius that is looked at."""
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
        if outcomes := [outcome for outcome in evaluation.outcomes if outcome.copy == position]:
            yield _recall(copy, outcomes)


def _recall(copy: TextCopy, outcomes: Sequence[TextOutcome]) -> TextRecall:
    count = len(outcomes)
    return TextRecall(
        copy,
        passages=count,
        found=sum(outcome.found for outcome in outcomes) / count,
        exact=sum(outcome.exact for outcome in outcomes) / count,
        digest=sum(outcome.digest for outcome in outcomes) / count,
        whole=sum(outcome.whole for outcome in outcomes) / count,
        mistaken=sum(outcome.others for outcome in outcomes),
    )


COLUMNS: Row = ("copy", ">texts", ">found", f">to ± {TOLERANCE}", ">SHA-256", ">whole SimHash", ">mistaken")
"""The headings of `recall`; a heading that begins with `>` is of a column of numbers."""


def recall(evaluation: TextEvaluation, form: TextForm) -> Table:
    """The percentage that is found of each kind of copy of one form, and by one hash of the whole text."""
    rows = [
        (
            each.copy.name,
            str(each.passages),
            percent(each.found),
            percent(each.exact),
            percent(each.digest),
            percent(each.whole),
            str(each.mistaken),
        )
        for each in recalls(evaluation)
        if each.copy.form is form
    ]
    return Table(COLUMNS, rows)


def scripts(evaluation: TextEvaluation) -> Table:
    """The percentage that is found of passages inside others, by script; of copies that are to be found."""
    shown = [
        position
        for position, copy in enumerate(evaluation.scheme.copies)
        if copy.form is TextForm.INSIDE and copy.expected
    ]
    counts = Counter(outcome.script for outcome in evaluation.outcomes if outcome.copy == shown[0]) if shown else {}
    named = [name for name, count in sorted(counts.items(), key=lambda each: -each[1]) if count >= _FEWEST]
    groups = [(name, [name]) for name in named] + [("others", [name for name in counts if name not in named])]
    of_listed = Counter(text.script for text in evaluation.scheme.listed)
    rows = [
        (
            name,
            str(sum(of_listed[one] for one in members)),
            str(sum(counts[one] for one in members)),
            *(_found(evaluation.outcomes, position, members) for position in shown),
        )
        for name, members in groups
        if members
    ]
    heads = ("script", ">listed", ">passages", *(f">{evaluation.scheme.copies[position].name}" for position in shown))
    return Table(heads, rows)


def _found(outcomes: Iterable[TextOutcome], position: int, scripts: Sequence[str]) -> str:
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
    nearest: int | None
    """The least radius in bits at which any pair that shares no passage matches."""
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


def false_matches(evaluation: TextEvaluation) -> FalseTexts:
    """The false matches of an evaluation, counted and estimated as those of pictures are."""
    count = len(evaluation.scheme.listed)
    shared = [pair for pair in evaluation.pairs if pair.shares]
    near = [pair for pair in evaluation.pairs if not pair.shares]
    total = count * (count - 1) - len(shared)
    counts = np.bincount([pair.radius for pair in near], minlength=_BEYOND + 1).astype(np.int64)
    counts[_BEYOND] += total - len(near)
    rows = np.array([(pair.query, pair.listed, pair.radius) for pair in near], np.int64).reshape(-1, 3)
    return FalseTexts(
        uploads=len(evaluation.outcomes) * (count - 1),
        mistaken=sum(outcome.others for outcome in evaluation.outcomes),
        pairs=total,
        counted=sum(pair.radius <= RADIUS for pair in near),
        shared=sum(pair.radius <= RADIUS for pair in shared),
        rewritten=sum(pair.radius <= RADIUS and pair.run < SHARED for pair in shared),
        nearest=min((pair.radius for pair in near), default=None),
        tail=fit(Pairs(count, counts, WIDEST_OF_TEXTS, rows), evaluation.scheme.seed) if near else None,
    )


def mistakes(evaluation: TextEvaluation) -> list[str]:
    """The false matches in sentences."""
    found = false_matches(evaluation)
    sentences = [
        f"{found.uploads} pairs of an upload and a listed text that it is no copy of: {found.mistaken} match and share "
        "no passage.",
        f"{found.pairs} pairs of different texts that share no passage: {found.counted} match.",
        f"{found.shared} further pairs match and share a passage, which is right: {found.rewritten} of them "
        f"have no {SHARED} words in a row in common, as translations into sister languages and tables of one form.",
    ]
    if found.nearest is not None:
        sentences.append(f"The nearest pair without one matches from {found.nearest} bits on; the radius is {RADIUS}.")
    if found.estimate is None:
        sentences.append("These pairs are too few for an estimate.")
    else:
        sentences.append(
            f"At the radius, {found.estimate:.0e} false matches for a pair are expected, {found.upper:.0e} at most."
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
    mistakes, scheme = false_matches(evaluation), evaluation.scheme
    return {
        "texts": len(scheme.listed),
        "around": len(scheme.around),
        "scripts": dict(Counter(text.script for text in scheme.listed)),
        "windows": evaluation.windows,
        "seed": scheme.seed,
        "trials": scheme.trials,
        "radius": RADIUS,
        "copies": [
            {"name": each.copy.name, "form": str(each.copy.form)}
            | {key: value for key, value in each._asdict().items() if key != "copy"}
            for each in recalls(evaluation)
        ],
        "by_script": scripts(evaluation)._asdict(),
        "false_matches": {key: value for key, value in mistakes._asdict().items() if key != "tail"}
        | {"estimate": mistakes.estimate, "upper": mistakes.upper},
    }
