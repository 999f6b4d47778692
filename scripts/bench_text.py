"""Texts: prints what was found, and writes docs/benchmarks/text.md and text.json.

    scripts/bench text --texts FOLDER [--limit N] [--trials N] [--quick] [--part PART ...]

FOLDER has texts (.txt) in many scripts, each at least 300 words. No word of them is written. The recall of the whole
takes half an hour on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from hashdb.cli.evaluate_texts import find_texts, read_texts
from hashdb.evaluation import text_figures as figures
from hashdb.evaluation.figures import Table
from hashdb.evaluation.pages import RARE, text_curves
from hashdb.evaluation.passages import TextForm
from hashdb.evaluation.texts import Text, TextEvaluation, TextScheme, deal, evaluate_texts
from hashdb.index.kernel import engine
from scripts.benchmarks import report, texts
from scripts.benchmarks.report import FOLDER, Target, number

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
    parts = [part for part in PARTS if part in (given.part or PARTS)]
    saved = FOLDER / "text.json"
    # What earlier runs have measured of the other parts stays on the page.
    kept: dict[str, Any] = (
        json.loads(saved.read_text("utf-8")) if given.part and not given.quick and saved.exists() else {"parts": {}}
    )
    measured: dict[str, Any] = kept["parts"]
    if given.source:
        kept["source"] = given.source
    limit = given.limit or (QUICK_LIMIT if given.quick else LIMIT)
    trials = given.trials or (QUICK_TRIALS if given.quick else TRIALS)
    corpus = sample(given.texts, limit)
    for part in parts:
        machine, begun = report.machine("numpy"), time.monotonic()
        if part == "recall":
            listed, around = deal(corpus, 0)
            evaluation = evaluate_texts(TextScheme(listed, around, trials), os.cpu_count() or 1)
            found: Any = figures.as_document(evaluation)
            targets, lines = [*recall_targets(evaluation)], recall_lines(evaluation)
            if not given.quick:
                (FOLDER / "text-recall.svg").write_text(text_curves(evaluation), "utf-8")
        elif part == "curves":
            found = texts.curves(corpus)
            targets, lines = [], curve_lines(found)
        elif part == "hashing":
            found = texts.hashing(corpus)
            targets, lines = [hashing_target(found)], hashing_lines(found)
        else:
            found = [texts.search(count) for count in ((100_000,) if given.quick else LISTED)]
            targets, lines = [search_target(found)], search_lines(found)
        measured[part] = {"machine": machine, "engine": engine(), "figures": found, "targets": targets, "lines": lines}
        print(f"hashdb: {part}: {time.monotonic() - begun:.0f} s", file=sys.stderr)
        if not given.quick:
            saved.write_text(json.dumps(kept, ensure_ascii=False), "utf-8")
    if given.quick:
        print("\n".join(page(kept)))
    else:
        report.write("text", page(kept), kept)


def sample(folder: Path, limit: int) -> list[Text]:
    """So many texts of a folder, the same at each run; those that are too short are left out."""
    paths = find_texts(folder)
    Random(0).shuffle(paths)
    found, _ = read_texts(folder, paths[: 2 * limit])
    return found[:limit]


def page(kept: Mapping[str, Any]) -> list[str]:
    """The page of all parts that have been measured."""
    measured = kept["parts"]
    done = [measured[part] for part in PARTS if part in measured]
    loads = ", ".join(f"{measured[part]['machine']['load']:.1f} ({part})" for part in PARTS if part in measured)
    return [
        *report.opening("Texts", _READERS, "bench text", done[-1]["machine"]),
        f"The index uses: {done[-1]['engine']}.",
        f"The load of the machine at the start of each part: {loads}; "
        f"above the number of cores, all elapsed times are longer.",
        *([f"The texts: {kept['source']}"] if "source" in kept else []),
        "[The evaluation](../evaluation.md#texts) describes the method, "
        "and [decision 74](../decisions/0074-the-hash-of-a-window-of-words.md) the choice of the hash.",
        "",
        "## Targets",
        *report.targets([Target(*row) for part in done for row in part["targets"]]),
        *[line for part in done for line in part["lines"]],
    ]


def recall_targets(evaluation: TextEvaluation) -> Iterable[Target]:
    """What is asked of recall and of false matches."""
    inside = [each for each in figures.recalls(evaluation) if each.copy.form is TextForm.INSIDE and each.copy.expected]
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
        lines += ["", f"### {str(form).capitalize()}", *_table(figures.recall(evaluation, form))]
    lines += ["", "### Passages inside others, by script", *_table(figures.scripts(evaluation))]
    lines += ["", "## False matches", "", *(f"- {sentence}" for sentence in figures.mistakes(evaluation)), ""]
    return [*lines, "![Recall against false matches](text-recall.svg)", ""]


def _table(table: Table) -> list[str]:
    return report.table([head.removeprefix(">") for head in table.columns], table.rows)


def curve_lines(found: Mapping[str, Any]) -> list[str]:
    """The distances by hash, and what is found by window and step."""
    return [
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


def hashing_target(found: Mapping[str, Any]) -> Target:
    """Milliseconds of 1,000 words."""
    slowest = max(row[1] for row in found["scripts"])
    return report.at_most("1,000 words hashed, in the slowest script", 10, slowest, "ms")


def hashing_lines(found: Mapping[str, Any]) -> list[str]:
    """Milliseconds by script."""
    rows = [(name, f"{listed:.1f}", f"{asked:.1f}") for name, listed, asked in found["scripts"]]
    return [
        "## Hashing",
        "",
        "Milliseconds of one processor for 1,000 words, from the text to the windows, the best of several rounds.",
        *report.table(("script", "as a listed text", "as a query"), rows),
    ]


def search_target(found: Sequence[Mapping[str, Any]]) -> Target:
    """Seconds of a query of 3,000 words."""
    most = found[-1]
    seconds = f"{number(most['processor'])} s of a processor"
    return Target(
        f"3,000 words among {most['values']:,} listed windows", "about 1 s", seconds, most["processor"] <= 1.5
    )


def search_lines(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """What a query costs."""
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
    return [
        "## Search",
        "",
        "A query of 3,000 words, all of its windows, among random windows, by the service's index.",
        *report.table(("listed windows", "asked", "elapsed, s", "processor, s", "near", "built in, s"), rows),
    ]


if __name__ == "__main__":
    main()
