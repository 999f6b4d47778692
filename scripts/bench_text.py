"""Texts: prints what was found, and writes docs/benchmarks/text.md and text.json.

    scripts/bench text --texts FOLDER [--limit N] [--trials N] [--quick] [--part PART ...]

FOLDER has texts (.txt) in many scripts, each at least 300 words. No word of them is written. The recall of the whole
takes half an hour on two cores.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from random import Random

from hashdb.cli.evaluate_texts import find_texts, read_texts
from hashdb.evaluation import text_figures as figures
from hashdb.evaluation.figures import Table
from hashdb.evaluation.pages import RARE, text_curves
from hashdb.evaluation.passages import TextForm
from hashdb.evaluation.texts import Text, TextEvaluation, TextScheme, evaluate_texts, split_texts
from scripts.benchmarks import report, texts
from scripts.benchmarks.report import FOLDER, Target, number
from scripts.benchmarks.resumable_pages import Measured, ResumablePage

PARTS = ("recall", "curves", "hashing", "search")
LIMIT, QUICK_LIMIT = 900, 24
TRIALS, QUICK_TRIALS = 200, 4
_READERS = "For engineers who decide whether hashdb finds the texts that come back to them, and what that costs."
LISTED = (1_000_000, 3_000_000)
MUCH_CHANGED = (
    "10 % of the words replaced",
    "10 % of the words left out",
    "10 % of words inserted",
    "10 % of the words misspelt",
    "OCR: 2 % of the letters misread",
)
"""The passages of which 95 % are to be found; of the other ones that are to be found, 99 %."""


def main() -> None:
    """Measure each part, and write the page; with --quick only print it."""
    parser = argparse.ArgumentParser(prog="scripts/bench text", description=__doc__.partition("\n")[0])
    parser.add_argument("--texts", type=Path, required=True, metavar="FOLDER", help="texts, .txt, also in folders")
    parser.add_argument("--limit", type=int, help=f"measure so many of the texts, {LIMIT} by default")
    parser.add_argument("--trials", type=int, help=f"passages, {TRIALS} by default")
    parser.add_argument("--quick", action="store_true", help="few texts; writes no page")
    parser.add_argument("--source", help="a sentence for the page that says what the texts are")
    parser.add_argument(
        "--part", action="append", choices=PARTS, help="measure only this, and keep the rest of the page"
    )
    given = parser.parse_args()
    page = ResumablePage("text", PARTS, "numpy", keep=bool(given.part), quick=given.quick)
    if given.source:
        page.results["source"] = given.source
    corpus = sample(given.texts, given.limit or (QUICK_LIMIT if given.quick else LIMIT))
    trials = given.trials or (QUICK_TRIALS if given.quick else TRIALS)
    measures: dict[str, Callable[[], Measured]] = {
        "recall": lambda: recall(corpus, trials, plot=not given.quick),
        "curves": lambda: curves(corpus),
        "hashing": lambda: hashing(corpus),
        "search": lambda: search((100_000,) if given.quick else LISTED),
    }
    for part in PARTS:
        if part in (given.part or PARTS):
            page.measure(part, measures[part])
    source = page.results.get("source")
    page.write(
        "Texts",
        _READERS,
        *([f"The texts: {source}"] if source else []),
        "[The evaluation](../evaluation.md#texts) describes the method, "
        "and [decision 74](../decisions/0074-the-hash-of-a-window-of-words.md) the choice of the hash.",
    )


def sample(folder: Path, limit: int) -> list[Text]:
    """So many texts of a folder, the same at each run; those that are too short are left out."""
    paths = find_texts(folder)
    Random(0).shuffle(paths)
    found, _ = read_texts(folder, paths[: 2 * limit])
    return found[:limit]


def recall(corpus: Sequence[Text], trials: int, *, plot: bool) -> Measured:
    """What is found of copies, and what matches by mistake."""
    listed, around = split_texts(corpus, 0)
    evaluation = evaluate_texts(TextScheme(listed, around, trials), os.cpu_count() or 1)
    if plot:
        (FOLDER / "text-recall.svg").write_text(text_curves(evaluation), "utf-8")
    return figures.as_document(evaluation), [*recall_targets(evaluation)], recall_lines(evaluation)


def recall_targets(evaluation: TextEvaluation) -> Iterable[Target]:
    """What is asked of recall and of false matches."""
    inside = [
        each for each in figures.recall_by_copy(evaluation) if each.copy.form is TextForm.INSIDE and each.copy.expected
    ]
    for asked, changed in ((0.99, False), (0.95, True)):
        of_kind = [each for each in inside if (each.copy.name in MUCH_CHANGED) is changed]
        for each in of_kind if changed else dict.fromkeys([of_kind[0], min(of_kind, key=lambda each: each.found)]):
            what = f"{each.copy.form}: {each.copy.name}" + ("" if changed or each is of_kind[0] else " (the least)")
            yield Target(what, f"≥ {100 * asked:.0f} %", f"{100 * each.found:.1f} %", each.found >= asked)
    mistakes = figures.false_matches(evaluation)
    counted = f"{mistakes.counted} of {mistakes.pairs:,}"
    yield Target("pairs of texts without a common passage that match", "0", counted, mistakes.counted == 0)
    upper = mistakes.rate.upper
    told = "too few pairs" if upper is None else f"{upper:.0e}"
    yield Target("the same, estimated for a pair", f"≤ {RARE:.0e}", told, upper is not None and upper <= RARE)


def recall_lines(evaluation: TextEvaluation) -> list[str]:
    """What is found, by form and by script, and what matches by mistake."""
    lines = [
        "## What is found",
        "",
        f"{len(evaluation.scheme.listed)} texts are listed ({evaluation.windows:,} windows); "
        f"{len(evaluation.scheme.around)} others surround the passages.",
        "All figures are per cent of the copies of a kind. "
        "*SHA-256* and *whole SimHash* are one hash of the whole text, in the same run.",
    ]
    for form in TextForm:
        lines += ["", f"### {str(form).capitalize()}", *_table(figures.recall_table(evaluation, form))]
    lines += ["", "### Passages inside others, by script", *_table(figures.script_table(evaluation))]
    lines += [
        "",
        "## False matches",
        "",
        *(f"- {sentence}" for sentence in figures.describe_false_matches(evaluation)),
        "",
    ]
    return [*lines, "![Recall against false matches](text-recall.svg)", ""]


def _table(table: Table) -> list[str]:
    return report.table([head.removeprefix(">") for head in table.columns], table.rows)


def curves(corpus: Sequence[Text]) -> Measured:
    """The distances by hash, and what is found by window and step."""
    found = texts.curves(corpus)
    lines = [
        "## The choice of the hash",
        "",
        f"Distances in bits of windows of 150 words, from {found['windows']} texts: "
        "of a copy with 10 % of its words replaced that begins 12 words later, "
        "and of windows of different texts that have no 8 words in a row in common.",
        *report.table(
            ("words in a shingle", "counted", "copy, median", "copy, 95 %", "copy, 99 %", "different, nearest of "
             f"{found['pairs']:,}", "different, 1 in 10,000"),
            found["hashes"],
        ),
        f"Per cent of {found['passages']} passages of 300 words with 10 % of the words replaced, within 600 others, "
        "of which two windows of both are within the radius; and excerpts of 150 words as they are.",
        *report.table(
            ("window", "step of listed", "step of queries", *(f"radius {radius}" for radius in texts.RADII),
             *(f"150 words, radius {radius}" for radius in texts.RADII)),
            found["steps"],
        ),
    ]  # fmt: skip
    return found, [], lines


def hashing(corpus: Sequence[Text]) -> Measured:
    """Milliseconds of 1,000 words by script."""
    found = texts.hashing(corpus)
    slowest = max(row[1] for row in found["scripts"])
    rows = [(name, f"{listed:.1f}", f"{asked:.1f}") for name, listed, asked in found["scripts"]]
    lines = [
        "## Hashing",
        "",
        "Milliseconds of one processor for 1,000 words, from the text to the windows, the best of several rounds.",
        *report.table(("script", "as a listed text", "as a query"), rows),
    ]
    return found, [report.at_most("1,000 words hashed, in the slowest script", 10, slowest, "ms")], lines


def search(counts: Sequence[int]) -> Measured:
    """What a query of 3,000 words costs, by the number of listed windows."""
    found = [texts.search(count) for count in counts]
    most = found[-1]
    what, seconds = (
        f"3,000 words among {most['values']:,} listed windows",
        f"{number(most['processor'])} s of a processor",
    )
    rows = [
        (
            f"{one['values']:,}",
            one["asked"],
            number(one["elapsed"]),
            number(one["processor"]),
            one["near"],
            number(one["build"]),
        )
        for one in found
    ]
    lines = [
        "## Search",
        "",
        "A query of 3,000 words, all of its windows, among random windows, by the service's index.",
        *report.table(("listed windows", "asked", "elapsed, s", "processor, s", "near", "built in, s"), rows),
    ]
    return found, [Target(what, "about 1 s", seconds, most["processor"] <= 1.5)], lines


if __name__ == "__main__":
    main()
