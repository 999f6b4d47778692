"""Documents: prints what was found, and writes docs/benchmarks/documents.md and documents.json.

    scripts/bench documents --pdfs FOLDER [--pages N] [--seed N] [--minutes N] [--source SENTENCE] [--quick]

FOLDER has manuals as PDF, each with a text; `manual.de.pdf` and `manual.fr.pdf` are translations of each other. The
first 100 pages of each are contributed to a service in a temporary folder, whose own search and rules answer. No word
of them is written. It takes about four minutes of one processor.
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
from hashdb.index.kernel import implementation
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
"""Of the drawn pages, every third one is altered in the ways that are no plain screenshot."""
FEWEST = 100
"""Words of a page that is drawn."""
_READERS = (
    "For engineers who decide whether hashdb finds the pages of documents that come back to them, and what that costs."
)
AROUND = 6
"""Pages around one page."""
_COPIES = {copy.name: copy.alter for copy in COPIES}
_WRAP, _REPLACE = _COPIES["wrapped anew, with hyphens"], _COPIES["10 % of the words replaced"]
_COUNTED = ("asked", "document", "page", "same", "wrong")
_COUNTED_OF_WORDS = ("asked", "found", "short", "short found", "same", "wrong")
Page = tuple[int, int]
"""A document, and the number of a page from 1."""


class Bench:
    """The documents that are listed, and the service that has them under the numbers from 1 on."""

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
        return {self._places[found.contribution]: found for found in result.matches}

    def draw(self, count: int, seed: int) -> list[Page]:
        """So many pages with enough words, evenly over the documents, in turns; the same for a seed."""
        random = Random(seed)
        left = []
        for place, document in enumerate(self.listed):
            numbers = [number for number in document.frames if len(document.words[number - 1]) >= FEWEST]
            left.append([(place, number) for number in random.sample(numbers, len(numbers))])
        drawn: list[Page] = []
        while len(drawn) < count and any(left):
            drawn += [some.pop() for some in left if some]
        return drawn[:count]

    def around(self, place: int, random: Random) -> list[str]:
        """The texts of some pages of other manuals that are not listed."""
        further = [
            text
            for other in self.listed
            if other.family != self.listed[place].family
            for text, words in zip(other.texts[other.pages :], other.words[other.pages :], strict=True)
            if len(words) >= FEWEST
        ]
        return random.sample(further, min(len(further), AROUND))


@contextmanager
def service() -> Iterator[HashDB]:
    """One in a temporary folder."""
    with (
        tempfile.TemporaryDirectory(prefix="hashdb-bench-") as name,
        open_home(Settings(home=Path(name))) as db,
    ):
        yield db


def main() -> None:
    """Measure, and write the page; with --quick only print it."""
    parser = argparse.ArgumentParser(prog="scripts/bench documents", description=__doc__.partition("\n")[0])
    parser.add_argument("--pdfs", type=Path, required=True, metavar="FOLDER", help="manuals as PDF")
    parser.add_argument("--pages", type=int, help=f"pages that are drawn, {PAGES} by default")
    parser.add_argument("--seed", type=int, default=0, help="another number draws other pages")
    parser.add_argument("--minutes", type=float, help="draw no further page after so many minutes")
    parser.add_argument("--source", help="a sentence for the page that says what the documents are")
    parser.add_argument("--quick", action="store_true", help="few pages; writes no page")
    given, started = parser.parse_args(), time.monotonic()
    results: dict[str, Any] = {"machine": report.machine("pypdfium2", "pillow", "numpy"), "engine": implementation()}
    results["source"] = given.source
    paths = sorted(given.pdfs.glob("*.pdf"))
    listed = [Document.read(path) for path in paths[:: 5 if given.quick else 1]]
    _say("listed")
    results["speed"] = speed(listed)
    results["pairs"] = [of_documents(listed)]
    _say("pairs")
    with service() as db:
        bench = Bench(listed, db)
        drawn = bench.draw(given.pages or (QUICK_PAGES if given.quick else PAGES), given.seed)
        of_pictures: dict[str, Counter[str]] = defaultdict(Counter)
        of_words: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        random, asked = np.random.default_rng(0), list[Hashed]()
        for turn, (place, number) in enumerate(drawn):
            if given.minutes and time.monotonic() - started > 60 * given.minutes:
                break
            asked.append(pictures(bench, turn, place, number, of_pictures, random))
            words(bench, place, number, of_words)
    _say("pages")
    results["pictures"] = [{"name": name, **{key: of[key] for key in _COUNTED}} for name, of in of_pictures.items()]
    results["words"] = [
        {"form": form, "words": changed, **{key: of[key] for key in _COUNTED_OF_WORDS}}
        for (form, changed), of in of_words.items()
    ]
    results["pairs"].insert(0, of_screenshots(listed, drawn[: len(asked)], asked))
    results["listed"] = {
        "documents": len(listed),
        "manuals": len({document.family for document in listed}),
        "pages": sum(document.pages for document in listed),
        "signals": sum(len(frame.signals) for document in listed for frame in document.listed.frames),
        "drawn": len(asked),
    }
    results["targets"] = [*targets(results)]
    if given.quick:
        print("\n".join(page(results)))
    else:
        report.write("documents", page(results), results)


def _say(done: str) -> None:
    print(f"hashdb: {done}: {time.process_time():.0f} s of a processor so far", file=sys.stderr)


def pictures(
    bench: Bench, turn: int, place: int, number: int, counts: dict[str, Counter[str]], random: np.random.Generator
) -> Hashed:
    """Count what is found of each alteration of a page; return the hashes of the first alteration."""
    rendered, every = documents.render(bench.listed[place], number), list[Hashed]()
    for name, alter in ALTERATIONS.items():
        if turn % EVERY and name not in PLAIN:
            continue
        hashed = hash_transforms(alter(rendered, random), documents.ALGORITHMS)
        found = bench.match(
            Query(hashed.signals, transforms=dict(hashed.transforms), signatures=dict(hashed.signatures))
        )
        counts[name].update(["asked", *judge_pages(bench.listed, place, number, found)])
        every.append(hashed)
    return every[0]


def judge_pages(listed: Sequence[Document], place: int, number: int, found: Mapping[int, Match]) -> Iterator[str]:
    """What came of a picture of a page: whether it was found, at that page, and each document that is a mistake."""
    if place in found:
        yield "document"
        if number in found[place].pages:
            yield "page"
    for other, matched in found.items():
        if other != place:
            is_right = any(
                documents.is_same(listed[place], number, listed[other], at) for at in matched.pages
            ) or documents.shares(listed[place].words[number - 1], listed[other])
            yield "same" if is_right else "wrong"


def words(bench: Bench, place: int, number: int, counts: dict[tuple[str, str], Counter[str]]) -> None:
    """Count what is found of the words of a page, typeset again, alone and among others, unchanged and changed."""
    random, document = Random(f"{place} {number}"), bench.listed[place]
    around, own = bench.around(place, random), pieces(document.texts[number - 1])
    others = pieces("\n".join(around)) or own
    middle = len(around) // 2
    is_short = len(document.words[number - 1]) < WINDOW
    unchanged = "".join(own)
    for changed, text in (("unchanged", unchanged), ("10 % replaced", _REPLACE(own, random, others))):
        lines = [_WRAP(pieces(each), random, ()) for each in (*around[:middle], text, *around[middle:])]
        forms = {
            "a PDF of this page alone": documents.typeset(lines[middle].split("\n")),
            "plain text of this page alone": text.encode("utf-8", "replace"),
            f"a PDF with {AROUND} pages of others": documents.typeset("\n".join(lines).split("\n")),
        }
        for form, octets in forms.items():
            found = bench.match(Query((), frames=documents.as_query(octets).frames))
            tally = counts[form, changed]
            stretch = document.starts[number - 1], document.starts[number]
            matched = place in found and _has_words(found[place], stretch)
            tally.update(["asked", *["found"] * matched])
            tally.update(["short", *["short found"] * matched] if is_short else ())
            # Replaced words break a passage that another document shares.
            asked = split_words("\n".join((*around, unchanged)) if form.endswith("others") else unchanged)
            tally.update(
                "same" if documents.shares(asked, bench.listed[other]) else "wrong" for other in found if other != place
            )


def _has_words(found: Match, stretch: tuple[int, int]) -> bool:
    """Whether a segment of words overlaps a stretch of the listed document."""
    return any(
        segment.unit is Unit.WORDS and min(segment.listed[1], stretch[1]) > max(segment.listed[0], stretch[0])
        for segment in found.segments
    )


def of_screenshots(listed: Sequence[Document], drawn: Sequence[Page], asked: Sequence[Hashed]) -> dict[str, Any]:
    """Pairs of the drawn pages: a screenshot with the transforms that may tell a page, and a listed page."""
    queries = [
        [
            *hashed.signals,
            *(
                signal
                for name, more in hashed.transforms
                if not name.startswith(UNRELIABLE_FOR_PAGES)
                for signal in more
            ),
        ]
        for hashed in asked
    ]
    return _pairs("a screenshot, with the transforms that tell a page", listed, drawn, queries)


def of_documents(listed: Sequence[Document]) -> dict[str, Any]:
    """Pairs of all listed pages: as a page of a document that is asked for, and as a listed one."""
    every = [(place, number) for place, document in enumerate(listed) for number in document.frames]
    # The first hash of each algorithm is of the page itself, and a query has no other.
    own = [list(first_signals(listed[place].frames[number].signals).values()) for place, number in every]
    return _pairs("a page of a document", listed, every, own)


def _pairs(
    what: str, listed: Sequence[Document], pages: Sequence[Page], asked: Sequence[Sequence[Signal]]
) -> dict[str, Any]:
    """Distances of pages of different documents that do not show the same: counted, and the tail by algorithm."""
    skip = np.array([[_is_left_out(listed, one, other) for other in pages] for one in pages])
    stored = [listed[place].frames[number].signals for place, number in pages]
    found: dict[str, Any] = {"asked": what, "algorithms": []}
    by_algorithm = []
    for algorithm in RADII:
        of_asked, of_stored = (
            [[signal for signal in signals if signal.algorithm is algorithm] for signals in side]
            for side in (asked, stored)
        )
        every = documents.pairs(of_asked, of_stored, skip)
        for one, other in documents.nearest(every, 2e-3):
            # The same licence or index on both pages: a match would be right.
            if documents.is_same(listed[pages[one][0]], pages[one][1], listed[pages[other][0]], pages[other][1]):
                skip[one, other] = True
        by_algorithm.append((algorithm, of_asked, of_stored))
    for algorithm, of_asked, of_stored in by_algorithm:
        apart = documents.pairs(of_asked, of_stored, skip)
        radius, tail = RADII[algorithm], fit(apart)
        is_told = tail is not None and radius <= tail.threshold
        found["algorithms"].append(
            {
                "algorithm": str(algorithm),
                "radius": radius,
                "pairs": apart.total,
                "counted": apart.within(radius),
                "nearest": apart.nearest,
                "cautious": tail.estimate(radius) if tail is not None and is_told else None,
                "upper": tail.upper(radius) if tail is not None and is_told else None,
                "curved": float(tail.curved[radius]) if tail is not None and is_told else None,
            }
        )
    return found


def _is_left_out(listed: Sequence[Document], one: Page, other: Page) -> bool:
    """Whether they are pages of one document, or at about the same place of translations."""
    if one[0] == other[0]:
        return True
    first, second = listed[one[0]], listed[other[0]]
    apart = abs(one[1] / len(first.texts) - other[1] / len(second.texts))
    return first.family == second.family and apart < documents.NEAR_PLACE


def speed(listed: Sequence[Document]) -> dict[str, Any]:
    """Seconds of a processor for a page, as listed and as a query, and for 100 pages with their words."""
    full = [document for document in listed if document.pages == documents.MOST_PAGES] or list(listed)
    asked = [
        documents.timed(document.octets, Mode.TRANSFORMS, QUERY_STEP)[1] / document.pages for document in full[::2]
    ]
    as_listed = [document.seconds / document.pages for document in full]
    return {
        "documents": len(full),
        "listed": {"median": float(np.median(as_listed)), "most": max(as_listed)},
        "asked": {"median": float(np.median(asked)), "most": max(asked)},
    }


def targets(results: Mapping[str, Any]) -> Iterator[Target]:
    """What was to be reached."""
    for row in results["pictures"]:
        if row["name"] in PLAIN:
            share = row["page"] / row["asked"]
            yield Target(f"a page as a {row['name']}", "≥ 99 %", f"{100 * share:.1f} %", share >= 0.99)
    wrong, every = (sum(row[key] for row in results["pictures"]) for key in ("wrong", "asked"))
    yield Target("wrong documents of pages as pictures, all alterations", "0", f"{wrong} of {every}", wrong == 0)
    for row in results["words"]:
        asked = 0.95 if "10 %" in row["words"] else 0.99
        share = row["found"] / row["asked"]
        what = f"one page typeset again, {row['form']}, words {row['words']}"
        yield Target(what, f"≥ {100 * asked:.0f} %", f"{100 * share:.1f} %", share >= asked)
    for pairs in results["pairs"]:
        counted = sum(each["counted"] for each in pairs["algorithms"])
        total = max(each["pairs"] for each in pairs["algorithms"])
        what = f"pairs of different pages that match, {pairs['asked']}"
        yield Target(what, "0", f"{counted} of {total:,}", counted == 0)
        uppers = [each["upper"] for each in pairs["algorithms"]]
        upper = None if None in uppers else sum(uppers)
        told = "too few pairs" if upper is None else f"{upper:.0e}"
        yield Target(f"the same, estimated cautiously, {pairs['asked']}", f"≤ {RARE:.0e}", told,
                     upper is not None and upper <= RARE)  # fmt: skip
    most = 100 * results["speed"]["listed"]["most"]
    yield Target("a document of 100 pages listed", "≤ 10 s of a processor", f"{most:.1f} s at most", most <= 10)


def page(results: Mapping[str, Any]) -> list[str]:
    """The page."""
    listed, speeds = results["listed"], results["speed"]
    return [
        *report.opening("Documents", _READERS, "bench documents", results["machine"]),
        f"The index uses: {results['engine']}.",
        f"The load of the machine at the start: {results['machine']['load']:.1f}.",
        "All times are of a processor, not elapsed.",
        *([f"The documents: {results['source']}"] if results["source"] else []),
        f"The first {documents.MOST_PAGES} pages of {listed['documents']} files ({listed['manuals']} manuals and their "
        f"translations) are contributed to a service: {listed['pages']:,} pages, {listed['signals']:,} signals.",
        f"{listed['drawn']} of these pages, drawn evenly over the files, with {FEWEST} words or more, come back.",
        "[Decision 75](../decisions/0075-documents-are-read-in-the-confined-process.md) has the rules.",
        "",
        "## Targets",
        *report.targets([Target(*row) for row in results["targets"]]),
        "## A page as a picture",
        "",
        f"A page is drawn {documents.LONGEST:,} pixels high (listed pages: 1,000), altered, "
        "saved as JPEG of quality 70, and asked for with all transforms.",
        "*The same elsewhere*: other files that match and have this page, too, as a translation or by a passage of "
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
        "Words are replaced by words of these pages; dots between words are no words.",
        f"A page is found if a segment has words of it. *Short*: pages with fewer than {WINDOW} words.",
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
        f"Where the hash of a listed page is sparse, the radius of phash256 is {SPARSE_RADIUS}; "
        f"so these pairs count as {RADII[Algorithm.PHASH256] - SPARSE_RADIUS} bits further apart.",
        "The estimates are those of [the evaluation](../evaluation.md): a straight tail, which is cautious, "
        "with the upper end of its 95 % interval, and one that bends as a normal one does, where the counts bend.",
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
