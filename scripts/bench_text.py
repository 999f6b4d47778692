"""Measure the recall and the cost of texts; write docs/benchmarks/text.md and text.json.

    scripts/bench text --texts FOLDER [--limit N] [--trials N] [--quick] [--part PART ...]

FOLDER has texts (.txt) in many scripts, each with at least 300 words. The results have no words of the texts. Measuring
the recall takes half an hour on two cores.
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
"""The alterations with a target of 95 % for the recall; it is 99 % for all others with a target."""


def main() -> None:
    """Measure each part, and write the page; with --quick, only print it."""
    parser = argparse.ArgumentParser(prog="scripts/bench text", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--texts", type=Path, required=True, metavar="FOLDER", help="folder with texts (.txt); subfolders are included"
    )
    parser.add_argument("--limit", type=int, help=f"largest number of texts, {LIMIT} by default")
    parser.add_argument("--trials", type=int, help=f"number of passages, {TRIALS} by default")
    parser.add_argument("--quick", action="store_true", help="measure few texts; write no page")
    parser.add_argument("--source", help="description of the texts for the page")
    parser.add_argument(
        "--part", action="append", choices=PARTS, help="measure only this part, and keep the rest of the page"
    )
    options = parser.parse_args()
    page = ResumablePage("text", PARTS, "numpy", keep=bool(options.part), quick=options.quick)
    if options.source:
        page.results["source"] = options.source
    corpus = sample(options.texts, options.limit or (QUICK_LIMIT if options.quick else LIMIT))
    if len(corpus) < 2:
        parser.error(f"{options.texts} has fewer than two texts that are long enough")
    trials = options.trials or (QUICK_TRIALS if options.quick else TRIALS)
    measures: dict[str, Callable[[], Measured]] = {
        "recall": lambda: recall(corpus, trials, plot=not options.quick),
        "curves": lambda: curves(corpus),
        "hashing": lambda: hashing(corpus),
        "search": lambda: search((100_000,) if options.quick else LISTED),
    }
    for part in PARTS:
        if part in (options.part or PARTS):
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
    """At most `limit` texts of a folder, the same for each run. Texts that are too short are skipped."""
    paths = find_texts(folder)
    Random(0).shuffle(paths)
    found, _ = read_texts(folder, paths[: 2 * limit])
    return found[:limit]


def recall(corpus: Sequence[Text], trials: int, *, plot: bool) -> Measured:
    """Measure the recall of copies, and false matches."""
    listed, around = split_texts(corpus, 0)
    evaluation = evaluate_texts(TextScheme(listed, around, trials), os.cpu_count() or 1)
    if plot:
        (FOLDER / "text-recall.svg").write_text(text_curves(evaluation), "utf-8")
    return figures.as_document(evaluation), [*recall_targets(evaluation)], recall_lines(evaluation)


def recall_targets(evaluation: TextEvaluation) -> Iterable[Target]:
    """The targets of the recall and of false matches."""
    inside = [
        each for each in figures.recall_by_copy(evaluation) if each.copy.form is TextForm.INSIDE and each.copy.expected
    ]
    for least, is_altered in ((0.99, False), (0.95, True)):
        recalls = [each for each in inside if (each.copy.name in MUCH_CHANGED) is is_altered]
        for each in recalls if is_altered else dict.fromkeys([recalls[0], min(recalls, key=lambda each: each.found)]):
            title = f"{each.copy.form}: {each.copy.name}" + ("" if is_altered or each is recalls[0] else " (the least)")
            yield Target(title, f"≥ {100 * least:.0f} %", f"{100 * each.found:.1f} %", each.found >= least)
    mistakes = figures.false_matches(evaluation)
    counted = f"{mistakes.counted} of {mistakes.pairs:,}"
    yield Target("pairs of texts without a common passage that match", "0", counted, mistakes.counted == 0)
    upper = mistakes.rate.upper
    measured = "too few pairs" if upper is None else f"{upper:.0e}"
    yield Target("the same, estimated for a pair", f"≤ {RARE:.0e}", measured, upper is not None and upper <= RARE)


def recall_lines(evaluation: TextEvaluation) -> list[str]:
    """The lines of the page about recall, by form and by script, and about false matches."""
    lines = [
        "## What is found",
        "",
        f"{len(evaluation.scheme.listed)} texts are listed ({evaluation.windows:,} windows); "
        f"{len(evaluation.scheme.around)} others surround the passages.",
        "All figures are percentages of the copies of a kind. "
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
    """Measure the distances by hash, and the recall by window and step."""
    results = texts.curves(corpus)
    lines = [
        "## The choice of the hash",
        "",
        f"Distances in bits of windows of 150 words, from {results['windows']} texts: "
        "of a copy with 10 % of its words replaced that begins 12 words later, "
        "and of windows of different texts that have no 8 consecutive words in common.",
        *report.table(
            ("words in a shingle", "counted", "copy, median", "copy, 95 %", "copy, 99 %", "different, nearest of "
             f"{results['pairs']:,}", "different, 1 in 10,000"),
            results["hashes"],
        ),
        f"Per cent of {results['passages']} passages of 300 words with 10 % of the words replaced, within 600 others, "
        "that have two windows within the radius; and unaltered excerpts of 150 words.",
        *report.table(
            ("window", "step of listed", "step of queries", *(f"radius {radius}" for radius in texts.RADII),
             *(f"150 words, radius {radius}" for radius in texts.RADII)),
            results["steps"],
        ),
    ]  # fmt: skip
    return results, [], lines


def hashing(corpus: Sequence[Text]) -> Measured:
    """Measure the milliseconds to hash 1,000 words, by script."""
    results = texts.hashing(corpus)
    slowest = max(row[1] for row in results["scripts"])
    rows = [(name, f"{listed:.1f}", f"{queried:.1f}") for name, listed, queried in results["scripts"]]
    lines = [
        "## Hashing",
        "",
        "Milliseconds of one processor for 1,000 words, from the text to the windows, in the best of several rounds.",
        *report.table(("script", "as a listed text", "as a query"), rows),
    ]
    return results, [report.at_most("1,000 words hashed, in the slowest script", 10, slowest, "ms")], lines


def search(counts: Sequence[int]) -> Measured:
    """Measure a query of 3,000 words, by the number of listed windows."""
    results = [texts.search(count) for count in counts]
    largest = results[-1]
    title, seconds = (
        f"3,000 words among {largest['values']:,} listed windows",
        f"{number(largest['processor'])} s of a processor",
    )
    rows = [
        (
            f"{result['values']:,}",
            result["asked"],
            number(result["elapsed"]),
            number(result["processor"]),
            result["near"],
            number(result["build"]),
        )
        for result in results
    ]
    lines = [
        "## Search",
        "",
        "A query of 3,000 words, all of its windows, among random windows, in the index of the service.",
        *report.table(("listed windows", "asked", "elapsed, s", "processor, s", "near", "built in, s"), rows),
    ]
    return results, [Target(title, "about 1 s", seconds, largest["processor"] <= 1.5)], lines


if __name__ == "__main__":
    main()
