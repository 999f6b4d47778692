"""Measure the recall and the cost of documents; write docs/benchmarks/documents.md and documents.json.

    scripts/bench documents --pdfs FOLDER [--pages N] [--seed N] [--minutes N] [--source SENTENCE] [--quick]

FOLDER has manuals as PDF, each with a text; `manual.de.pdf` and `manual.fr.pdf` are translations of each other. The
first 100 pages of each are contributed to a service in a temporary folder, which answers the queries. The results have
no words of the documents. The benchmark takes about four minutes on one core.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from hashdb.cli.home import open_home
from hashdb.domain.accounts.members import Scope
from hashdb.domain.contributions import Draft, Media
from hashdb.domain.frames import Unit
from hashdb.domain.matching.aligners import first_signals
from hashdb.domain.matching.matches import Match, Query
from hashdb.domain.matching.pages import RADII, SPARSE_RADIUS, UNRELIABLE_FOR_PAGES
from hashdb.domain.signals import Algorithm, Signal
from hashdb.evaluation.pages import RARE
from hashdb.evaluation.passages import COPIES, pieces
from hashdb.evaluation.tails import fit
from hashdb.evaluation.texts import SHARED_WORDS
from hashdb.hashing import Hashed, Mode, hash_transforms
from hashdb.hashing.texts import QUERY_STEP, WINDOW, split_words
from hashdb.index.kernel import implementation_name
from hashdb.service import HashDB
from hashdb.service.contributions.contributions import contribute
from hashdb.service.matching.matches import match
from hashdb.settings import Settings
from scripts.benchmarks import documents, report
from scripts.benchmarks.documents import ALTERATIONS, PLAIN, Document
from scripts.benchmarks.homes import new_actor
from scripts.benchmarks.report import Target

PAGES, QUICK_PAGES = 150, 8
EVERY = 3
"""All drawn pages are tested as plain screenshots; every third one is tested with the other alterations."""
FEWEST = 100
"""The fewest words of a page that can be drawn."""
_READERS = (
    "For engineers who decide whether hashdb finds the pages of documents that come back to them, and what that costs."
)
AROUND = 6
"""The number of other pages that surround a page."""
_COPIES = {copy.name: copy.alter for copy in COPIES}
_WRAP, _REPLACE = _COPIES["wrapped anew, with hyphens"], _COPIES["10 % of the words replaced"]
_COUNTS_OF_PICTURES = ("asked", "document", "page", "same", "wrong")
_COUNTS_OF_WORDS = ("asked", "found", "short", "short found", "same", "wrong")
Page = tuple[int, int]
"""A document, and the number of a page from 1."""


class Bench:
    """The listed documents, and the service to which they are contributed."""

    def __init__(self, listed: Sequence[Document], db: HashDB) -> None:
        self.listed, self._db = listed, db
        self._actor = new_actor(db, Scope.CONTRIBUTE, Scope.MATCH)
        self._places: dict[int, int] = {}
        for place, document in enumerate(listed):
            draft = Draft((), ("glorification",), None, media=Media.DOCUMENT, frames=document.listed.frames)
            [recorded] = contribute(db, self._actor, [draft]).recorded
            self._places[recorded.contribution.id] = place

    def match(self, query: Query) -> Mapping[int, Match]:
        """The documents that match, by position."""
        [result] = match(self._db, self._actor, [query]).results
        return {self._places[each.contribution]: each for each in result.matches}

    def draw(self, count: int, seed: int) -> list[Page]:
        """Draw `count` pages with enough words, evenly over the documents. The same seed draws the same pages."""
        random = Random(seed)
        undrawn = []
        for place, document in enumerate(self.listed):
            numbers = [number for number in document.frames if len(document.words[number - 1]) >= FEWEST]
            undrawn.append([(place, number) for number in random.sample(numbers, len(numbers))])
        drawn: list[Page] = []
        while len(drawn) < count and any(undrawn):
            drawn += [pages.pop() for pages in undrawn if pages]
        return drawn[:count]

    def around(self, place: int, random: Random) -> list[str]:
        """The texts of some unlisted pages of other manuals."""
        candidates = [
            text
            for other in self.listed
            if other.family != self.listed[place].family
            for text, page_words in zip(other.texts[other.pages :], other.words[other.pages :], strict=True)
            if len(page_words) >= FEWEST
        ]
        return random.sample(candidates, min(len(candidates), AROUND))


@contextmanager
def service() -> Iterator[HashDB]:
    """Open a service in a temporary folder."""
    with (
        tempfile.TemporaryDirectory(prefix="hashdb-bench-") as name,
        open_home(Settings(home=Path(name))) as db,
    ):
        yield db


def main() -> None:
    """Measure, and write the page; with --quick, only print it."""
    parser = argparse.ArgumentParser(prog="scripts/bench documents", description=__doc__.partition("\n")[0])
    parser.add_argument("--pdfs", type=Path, required=True, metavar="FOLDER", help="manuals as PDF")
    parser.add_argument("--pages", type=int, help=f"number of pages to draw, {PAGES} by default")
    parser.add_argument("--seed", type=int, default=0, help="seed for the choice of the pages")
    parser.add_argument("--minutes", type=float, help="stop after this number of minutes")
    parser.add_argument("--source", help="description of the documents for the page")
    parser.add_argument("--quick", action="store_true", help="measure few pages; write no page")
    options, started = parser.parse_args(), time.monotonic()
    results: dict[str, Any] = {
        "machine": report.machine("pypdfium2", "pillow", "numpy"),
        "engine": implementation_name(),
    }
    results["source"] = options.source
    paths = sorted(options.pdfs.glob("*.pdf"))
    listed = [Document.read(path) for path in paths[:: 5 if options.quick else 1]]
    _log_progress("listed")
    results["speed"] = speed(listed)
    results["pairs"] = [document_pairs(listed)]
    _log_progress("pairs")
    with service() as db:
        bench = Bench(listed, db)
        drawn = bench.draw(options.pages or (QUICK_PAGES if options.quick else PAGES), options.seed)
        of_pictures: dict[str, Counter[str]] = defaultdict(Counter)
        of_words: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        random, hashed_pages = np.random.default_rng(0), list[Hashed]()
        for index, (place, number) in enumerate(drawn):
            if options.minutes and time.monotonic() - started > 60 * options.minutes:
                break
            hashed_pages.append(match_pictures(bench, index, place, number, of_pictures, random))
            match_words(bench, place, number, of_words)
    _log_progress("pages")
    results["pictures"] = [
        {"name": name, **{key: counts[key] for key in _COUNTS_OF_PICTURES}} for name, counts in of_pictures.items()
    ]
    results["words"] = [
        {"form": form, "words": alteration, **{key: counts[key] for key in _COUNTS_OF_WORDS}}
        for (form, alteration), counts in of_words.items()
    ]
    results["pairs"].insert(0, screenshot_pairs(listed, drawn[: len(hashed_pages)], hashed_pages))
    results["listed"] = {
        "documents": len(listed),
        "manuals": len({document.family for document in listed}),
        "pages": sum(document.pages for document in listed),
        "signals": sum(len(frame.signals) for document in listed for frame in document.listed.frames),
        "drawn": len(hashed_pages),
    }
    results["targets"] = [*targets(results)]
    if options.quick:
        print("\n".join(page(results)))
    else:
        report.write("documents", page(results), results)


def _log_progress(step: str) -> None:
    print(f"hashdb: {step}: {time.process_time():.0f} s of processor time so far", file=sys.stderr)


def match_pictures(
    bench: Bench, index: int, place: int, number: int, counts: dict[str, Counter[str]], random: np.random.Generator
) -> Hashed:
    """Count the results for each alteration of a page; return the hashes of the first alteration."""
    rendered, all_hashed = documents.render(bench.listed[place], number), list[Hashed]()
    for name, alter in ALTERATIONS.items():
        if index % EVERY and name not in PLAIN:
            continue
        hashed = hash_transforms(alter(rendered, random), documents.ALGORITHMS)
        matches = bench.match(Query(hashed.signals, transforms=hashed.transforms, signatures=hashed.signatures))
        counts[name].update(["asked", *judge_pages(bench.listed, place, number, matches)])
        all_hashed.append(hashed)
    return all_hashed[0]


def judge_pages(listed: Sequence[Document], place: int, number: int, matches: Mapping[int, Match]) -> Iterator[str]:
    """Yield the results for the picture of a page: found, found at that page, and each other document that matches."""
    if place in matches:
        yield "document"
        if number in matches[place].pages:
            yield "page"
    for other, found_match in matches.items():
        if other != place:
            is_right = any(
                documents.is_same(listed[place], number, listed[other], at) for at in found_match.pages
            ) or documents.shares(listed[place].words[number - 1], listed[other])
            yield "same" if is_right else "wrong"


def match_words(bench: Bench, place: int, number: int, counts: dict[tuple[str, str], Counter[str]]) -> None:
    """Count the results for the words of a page: typeset again, alone and among others, unchanged and altered."""
    random, document = Random(f"{place} {number}"), bench.listed[place]
    around, own_pieces = bench.around(place, random), pieces(document.texts[number - 1])
    others = pieces("\n".join(around)) or own_pieces
    middle = len(around) // 2
    is_short = len(document.words[number - 1]) < WINDOW
    unchanged = "".join(own_pieces)
    for alteration, text in (("unchanged", unchanged), ("10 % replaced", _REPLACE(own_pieces, random, others))):
        lines = [_WRAP(pieces(other_text), random, ()) for other_text in (*around[:middle], text, *around[middle:])]
        forms = {
            "a PDF of this page alone": documents.typeset(lines[middle].split("\n")),
            "plain text of this page alone": text.encode("utf-8", "replace"),
            f"a PDF with {AROUND} pages of others": documents.typeset("\n".join(lines).split("\n")),
        }
        for form, octets in forms.items():
            matches = bench.match(Query((), frames=documents.as_query(octets).frames))
            results = counts[form, alteration]
            word_range = document.starts[number - 1], document.starts[number]
            matched = place in matches and _has_words(matches[place], word_range)
            results.update(["asked", *["found"] * matched])
            results.update(["short", *["short found"] * matched] if is_short else ())
            # Use the unchanged words: replaced words would break a passage that another document has too.
            queried = split_words("\n".join((*around, unchanged)) if form.endswith("others") else unchanged)
            results.update(
                "same" if documents.shares(queried, bench.listed[other]) else "wrong"
                for other in matches
                if other != place
            )


def _has_words(found_match: Match, word_range: tuple[int, int]) -> bool:
    """Whether a segment of words overlaps a range of words of the listed document."""
    return any(
        segment.unit is Unit.WORDS and min(segment.listed[1], word_range[1]) > max(segment.listed[0], word_range[0])
        for segment in found_match.segments
    )


def screenshot_pairs(
    listed: Sequence[Document], drawn: Sequence[Page], hashed_pages: Sequence[Hashed]
) -> dict[str, Any]:
    """Pairs of a screenshot of a drawn page, with the reliable transforms, and a listed page."""
    queries = [
        [
            *hashed.signals,
            *(
                signal
                for name, signals in hashed.transforms.items()
                if not name.startswith(UNRELIABLE_FOR_PAGES)
                for signal in signals
            ),
        ]
        for hashed in hashed_pages
    ]
    return _pairs("a screenshot, with the transforms that tell a page", listed, drawn, queries)


def document_pairs(listed: Sequence[Document]) -> dict[str, Any]:
    """Pairs of all listed pages: as a page of a queried document, and as a listed page."""
    pages = [(place, number) for place, document in enumerate(listed) for number in document.frames]
    # The first hash of each algorithm is that of the unaltered page. A query has no other hash.
    values = [list(first_signals(listed[place].frames[number].signals).values()) for place, number in pages]
    return _pairs("a page of a document", listed, pages, values)


def _pairs(
    title: str, listed: Sequence[Document], pages: Sequence[Page], queried: Sequence[Sequence[Signal]]
) -> dict[str, Any]:
    """Distances of pages of different documents with different content: the counts and the tail for each algorithm."""
    skip = np.array([[_is_left_out(listed, first, second) for second in pages] for first in pages])
    stored = [listed[place].frames[number].signals for place, number in pages]
    result: dict[str, Any] = {"asked": title, "algorithms": []}
    by_algorithm = []
    for algorithm in RADII:
        of_queried, of_listed = (
            [[signal for signal in signals if signal.algorithm is algorithm] for signals in side]
            for side in (queried, stored)
        )
        distances = documents.pairs(of_queried, of_listed, skip)
        for first, second in documents.nearest_pairs(distances, 2e-3):
            # A match would be correct if both pages have the same licence or index.
            if documents.is_same(listed[pages[first][0]], pages[first][1], listed[pages[second][0]], pages[second][1]):
                skip[first, second] = True
        by_algorithm.append((algorithm, of_queried, of_listed))
    for algorithm, of_queried, of_listed in by_algorithm:
        apart = documents.pairs(of_queried, of_listed, skip)
        radius, tail = RADII[algorithm], fit(apart, 0)
        has_estimate = tail is not None and radius <= tail.threshold
        result["algorithms"].append(
            {
                "algorithm": str(algorithm),
                "radius": radius,
                "pairs": apart.total,
                "counted": apart.within(radius),
                "nearest": apart.nearest,
                "cautious": tail.estimate(radius) if tail is not None and has_estimate else None,
                "upper": tail.upper(radius) if tail is not None and has_estimate else None,
                "curved": float(tail.curved[radius]) if tail is not None and has_estimate else None,
            }
        )
    return result


def _is_left_out(listed: Sequence[Document], page: Page, other_page: Page) -> bool:
    """Whether two pages are of one document, or at about the same place of translations."""
    if page[0] == other_page[0]:
        return True
    document, other_document = listed[page[0]], listed[other_page[0]]
    apart = abs(page[1] / len(document.texts) - other_page[1] / len(other_document.texts))
    return document.family == other_document.family and apart < documents.NEAR_PLACE


def speed(listed: Sequence[Document]) -> dict[str, Any]:
    """Measure the processor seconds for a page with its words, as a listed page and in a query."""
    full = [document for document in listed if document.pages == documents.MOST_PAGES] or list(listed)
    as_query = [
        documents.timed(document.octets, Mode.TRANSFORMS, QUERY_STEP)[1] / document.pages for document in full[::2]
    ]
    as_listed = [document.seconds / document.pages for document in full]
    return {
        "documents": len(full),
        "listed": {"median": float(np.median(as_listed)), "most": max(as_listed)},
        "asked": {"median": float(np.median(as_query)), "most": max(as_query)},
    }


def targets(results: Mapping[str, Any]) -> Iterator[Target]:
    """The targets of the recall, of false matches and of the speed."""
    for row in results["pictures"]:
        if row["name"] in PLAIN:
            share = row["page"] / row["asked"]
            yield Target(f"a page as a {row['name']}", "≥ 99 %", f"{100 * share:.1f} %", share >= 0.99)
    wrong, queried = (sum(row[key] for row in results["pictures"]) for key in ("wrong", "asked"))
    yield Target("wrong documents of pages as pictures, all alterations", "0", f"{wrong} of {queried}", wrong == 0)
    for row in results["words"]:
        least = 0.95 if "10 %" in row["words"] else 0.99
        share = row["found"] / row["asked"]
        title = f"one page typeset again, {row['form']}, words {row['words']}"
        yield Target(title, f"≥ {100 * least:.0f} %", f"{100 * share:.1f} %", share >= least)
    for pairs in results["pairs"]:
        counted = sum(each["counted"] for each in pairs["algorithms"])
        total = max(each["pairs"] for each in pairs["algorithms"])
        title = f"pairs of different pages that match, {pairs['asked']}"
        yield Target(title, "0", f"{counted} of {total:,}", counted == 0)
        uppers = [each["upper"] for each in pairs["algorithms"]]
        upper = None if None in uppers else sum(uppers)
        measured = "too few pairs" if upper is None else f"{upper:.0e}"
        yield Target(f"the same, estimated cautiously, {pairs['asked']}", f"≤ {RARE:.0e}", measured,
                     upper is not None and upper <= RARE)  # fmt: skip
    most = 100 * results["speed"]["listed"]["most"]
    yield Target("a document of 100 pages listed", "≤ 10 s of a processor", f"{most:.1f} s at most", most <= 10)


def page(results: Mapping[str, Any]) -> list[str]:
    """The lines of the page."""
    listed, speeds = results["listed"], results["speed"]
    return [
        *report.opening("Documents", _READERS, "bench documents", results["machine"]),
        f"The index uses: {results['engine']}.",
        f"The load of the machine at the start: {results['machine']['load']:.1f}.",
        "All times are processor time.",
        *([f"The documents: {results['source']}"] if results["source"] else []),
        f"The first {documents.MOST_PAGES} pages of {listed['documents']} files ({listed['manuals']} manuals and their "
        f"translations) are contributed to a service: {listed['pages']:,} pages, {listed['signals']:,} signals.",
        f"{listed['drawn']} of these pages, drawn evenly over the files, with {FEWEST} words or more, are queried.",
        "[Decision 75](../decisions/0075-documents-are-read-in-the-confined-process.md) has the rules.",
        "",
        "## Targets",
        *report.targets([Target(*row) for row in results["targets"]]),
        "## A page as a picture",
        "",
        f"A page is drawn {documents.LONGEST:,} pixels high (listed pages: 1,000), altered, "
        "saved as JPEG of quality 70, and queried with all transforms.",
        "*The same elsewhere*: other files that match and also have this page, as a translation or in a passage of "
        f"{SHARED_WORDS} words.",
        *report.table(
            ("alteration", "pages", "document found, %", "at this page, %", "the same elsewhere", "wrong documents"),
            [
                (row["name"], row["asked"], _share(row, "document"), _share(row, "page"), row["same"], row["wrong"])
                for row in results["pictures"]
            ],
        ),
        "## The words of one page",
        "",
        "The words of a page are typeset again, in lines of about 40 letters with hyphens, in another size of type and "
        f"other pages, or sent as plain text; {AROUND} pages of manuals that are not listed surround them in the last "
        "form.",
        "Words are replaced by words of these pages; dots between words do not count.",
        f"A page is found if a segment has some of its words. *Short*: pages with fewer than {WINDOW} words.",
        *report.table(
            ("form", "words", "pages", "found, %", "of short pages", "the same elsewhere", "wrong documents"),
            [
                (
                    row["form"],
                    row["words"],
                    row["asked"],
                    _share(row, "found"),
                    f"{row['short found']} of {row['short']}",
                    row["same"],
                    row["wrong"],
                )
                for row in results["words"]
            ],
        ),
        "## False pairs of pages",
        "",
        "Ordered pairs of pages of different files. Left out are pages at about the same place of translations "
        f"(within {100 * documents.NEAR_PLACE:.0f} % of the length), and, of the nearest pairs, those with a passage "
        f"of {SHARED_WORDS} words in common.",
        f"If the hash of a listed page is sparse, the radius of phash256 is {SPARSE_RADIUS}; "
        f"so these pairs count as {RADII[Algorithm.PHASH256] - SPARSE_RADIUS} bits further apart.",
        "The estimates are those of [the evaluation](../evaluation.md): a straight tail, which is cautious, "
        "with the upper end of its 95 % interval, and one with the curvature of a normal distribution, "
        "if the counts have one.",
        *report.table(
            ("asked", "hash", "radius", "pairs", "within it", "nearest, bits", "cautious", "upper end", "bent"),
            [
                (
                    pairs["asked"],
                    each["algorithm"],
                    each["radius"],
                    f"{each['pairs']:,}",
                    each["counted"],
                    each["nearest"],
                    *(_rate(each[key]) for key in ("cautious", "upper", "curved")),
                )
                for pairs in results["pairs"]
                for each in pairs["algorithms"]
            ],
        ),
        "## Speed",
        "",
        f"Drawing, hashing and words of {speeds['documents']} files of {documents.MOST_PAGES} pages.",
        *report.table(
            ("", "a page, median, ms", "a page, slowest file, ms", "100 pages, median, s", "100 pages, slowest, s"),
            [
                (what, *(f"{1e3 * speeds[key][each]:.1f}" for each in ("median", "most")),
                 *(f"{100 * speeds[key][each]:.1f}" for each in ("median", "most")))
                for what, key in (("as listed", "listed"), ("as a query", "asked"))
            ],
        ),
    ]  # fmt: skip


def _share(row: Mapping[str, Any], what: str) -> str:
    return f"{100 * row[what] / row['asked']:.1f}"


def _rate(value: float | None) -> str:
    return "—" if value is None else f"{value:.0e}"


if __name__ == "__main__":
    main()
