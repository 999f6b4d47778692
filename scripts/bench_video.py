"""Measure the recall and the cost of videos; write docs/benchmarks/video.md and video.json.

    scripts/bench video [--quick] [--trials N] [--videos N] [--samples FOLDER] [--folder FOLDER] [--part PART ...]

The films are pans and zooms of the photographs of the package. Listed films show some of the photographs, and the
upload around a clip shows others. All parts take a quarter of an hour on two cores, and need 6 GB of memory.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import hashdb
from hashdb.evaluation import video_figures as figures
from hashdb.evaluation.copies import COPIES, Form
from hashdb.evaluation.figures import percent
from hashdb.evaluation.films import PannedFilm
from hashdb.evaluation.video_figures import Recall, false_matches, recall_by_copy
from hashdb.evaluation.videos import VideoEvaluation, VideoScheme, evaluate_videos
from hashdb.hashing.videos import QUERY_INTERVAL
from scripts.benchmarks import report, videos
from scripts.benchmarks.report import Target, at_least, at_most, number
from scripts.benchmarks.resumable_pages import Measured, ResumablePage

PHOTOS = tuple(sorted((Path(hashdb.__file__).parent / "photos").glob("*.jpg")))
GROUPS = 3
"""The number of groups of photographs: films show two of them, and the upload around a clip shows the third."""
PARTS = ("samples", "recall", "hashing", "search", "size")
FILMS, FILM_SECONDS, UPLOAD_SECONDS, TRIALS, WHOLES = 24, 30.0, 600.0, 20, 8
_READERS = "For engineers who decide whether hashdb finds the videos that come back to them, and what that costs."
QUICK_COPIES = ("plain", "mirrored", "9:16 on its blur", "caption", "1.25 ×", "picture in picture, 50 %", "10 s")
LISTED, QUICK_LISTED = 90_000, 300
EASY = ("plain", "crop 10 %", "mirrored", "letterbox", "9:16 on its blur", "caption", "0.8 ×", "1.25 ×")
"""The alterations with a target of 95 % for clips inside an upload, found to a second."""
PICTURES = {"picture in picture, 50 %": 0.8, "picture in picture, 33 %": 0.6}
SPEEDS = {
    "decode": "decode alone, all frames",
    "pdq": "PDQ alone, 1 frame/s, as vPDQ",
    "contribution": "as a contribution, balanced profile, 1 frame/s",
    "query": "as a query with transforms, 4 frames/s",
    "fast": "as a contribution, key frames only (`--fast`)",
}


def scheme(*, quick: bool, trials: int) -> VideoScheme:
    """The films, copies and trials to measure: with `quick`, four short films and few copies."""
    groups = [PHOTOS[place::GROUPS] for place in range(GROUPS)]
    count, seconds, around = (4, 20.0, 60.0) if quick else (FILMS, FILM_SECONDS, UPLOAD_SECONDS)
    films = [PannedFilm(f"film {place}", groups[place % 2], seconds, place) for place in range(count)]
    copies = [copy for copy in COPIES if not quick or (copy.name in QUICK_COPIES and copy.seconds <= seconds)]
    upload = PannedFilm("around", groups[2], around, "around")
    return VideoScheme(films, upload, trials, min(trials, WHOLES), QUERY_INTERVAL, copies=copies)


def main() -> None:
    """Measure each part, and write the page; with --quick, only print it."""
    parser = argparse.ArgumentParser(prog="scripts/bench video", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--quick", action="store_true", help="measure few short films and few listed videos; write no page"
    )
    parser.add_argument("--trials", type=int, help=f"number of clips of each kind, {TRIALS} by default")
    parser.add_argument("--videos", type=int, help=f"number of listed videos of a minute, {LISTED:,} by default")
    parser.add_argument("--samples", type=Path, help="folder of films and of vPDQ's hashes of all their frames (.txt)")
    parser.add_argument(
        "--folder", type=Path, help="folder on a disk with free space; default: the system's temporary folder"
    )
    parser.add_argument(
        "--part", action="append", choices=PARTS, help="measure only this part, and keep the rest of the page"
    )
    options = parser.parse_args()
    parts = [part for part in PARTS if part in (options.part or PARTS) and (part != "samples" or options.samples)]
    trials = (options.trials or (2 if options.quick else TRIALS)) if "recall" in parts else 0
    listed = options.videos or (QUICK_LISTED if options.quick else LISTED)
    page = ResumablePage("video", PARTS, "av", "numpy", "pillow", keep=bool(options.part), quick=options.quick)
    evaluation = cache(lambda: evaluate_videos(scheme(quick=options.quick, trials=trials), os.cpu_count() or 1))
    measures: dict[str, Callable[[], Measured]] = {
        "samples": lambda: samples(options.samples),
        "recall": lambda: recall(evaluation()),
        "hashing": lambda: hashing(6.0 if options.quick else 20.0),
        "search": lambda: search(evaluation(), listed, options.folder),
        "size": lambda: size(20 if options.quick else 200, listed),
    }
    for part in parts:
        page.measure(part, measures[part])
    page.write("Videos", _READERS, "[The evaluation](../evaluation.md#videos) describes the method.")


def recall(evaluation: VideoEvaluation) -> Measured:
    """Measure the recall of copies, and false matches."""
    return figures.as_document(evaluation), [*recall_targets(evaluation)], recall_lines(evaluation)


def recall_targets(evaluation: VideoEvaluation) -> Iterable[Target]:
    """The targets of the recall and of false matches."""
    recalls = {(each.copy.form, each.copy.name): each for each in recall_by_copy(evaluation)}
    for name in (*EASY, *PICTURES):
        if each := recalls.get((Form.INSIDE, name)):
            least_share = PICTURES.get(name, 0.95)
            title = f"clip of 10 s inside an upload of {length(evaluation.scheme.around.seconds)}, to ± 1 s: {name}"
            yield Target(title, f"≥ {100 * least_share:.0f} %", share(each, each.exact), each.exact >= least_share)
    wholes = [each for (form, _), each in recalls.items() if form is Form.WHOLE]
    least = min(wholes, key=lambda each: each.found)
    yield Target("the whole film, each copy", "≥ 99 %", f"{share(least, least.found)} ({least.copy.name})",
                 least.found >= 0.99)  # fmt: skip
    mistakes = false_matches(evaluation)
    counted = f"{mistakes.counted} of {mistakes.uploads:,}"
    yield Target("false matches counted", "0", counted, mistakes.counted == 0)
    upper = mistakes.rate.upper
    measured = "too few pairs" if upper is None else f"{upper:.0e}"
    yield Target("false matches for a pair of videos, upper end of the estimate", "≤ 1e-9", measured,
                 upper is not None and upper <= 1e-9)  # fmt: skip


def share(each: Recall, value: float) -> str:
    """A share with its number of clips, like `95.8 % of 24`."""
    return f"{percent(value)} % of {each.clips}"


def length(seconds: float) -> str:
    """A duration in words."""
    return f"{seconds / 60:g} min" if seconds >= 60 else f"{seconds:g} s"


def recall_lines(evaluation: VideoEvaluation) -> list[str]:
    """The lines of the page about recall, by form and kind of copy."""
    plan = evaluation.scheme
    lines = [
        "## Copies that are found",
        "",
        f"{len(plan.films)} films of {length(plan.films[0].seconds)}, {evaluation.values:,} distinct values; "
        f"seed {plan.seed}.",
        f"A query has a frame every {plan.interval:g} s, and transforms.",
        "*To ± 1 s*: each of the four ends of the segment is correct to a second.",
        "*Off*: the median of the worst end.",
        "*vPDQ, listed* requires that 80 % of the listed film's frames agree, "
        "*vPDQ, upload* that 80 % of the upload's do.",
        "*Mistaken*: matches with films that show other things.",
        "",
    ]
    for form in Form:
        table = figures.recall_table(evaluation, form)
        heads = [column.removeprefix(">") for column in table.columns]
        lines += [f"### {str(form).capitalize()}", *report.table(heads, table.rows)]
    lines += ["## False matches", "", *figures.describe_false_matches(evaluation)]
    return [*lines, "The films show few photographs, so these pairs are not independent of each other.", ""]


def samples(folder: Path) -> Measured:
    """Compare the frames of vPDQ's sample films with the published hashes."""
    results = videos.samples(folder)
    within_share = results["within"] / max(1, results["frames"])
    measured = f"{100 * within_share:.2f} % of {results['frames']:,}"
    target = Target("frames within 10 bits of vPDQ's sample hashes", "≥ 99 %", measured, within_share >= 0.99)
    rows = [(name, f"{frames:,}", f"{within:,}", most) for name, (frames, within, most) in results["each"].items()]
    lines = [
        "## The reference's sample films",
        "",
        "All frames with a quality of 50 or more, compared with the published hashes of the reference.",
        *report.table(("film", "frames", "within 10 bits", "most bits"), rows),
    ]
    return results, [target], lines


def hashing(seconds: float) -> Measured:
    """Measure the speed of hashing a film of this length."""
    results = videos.in_new_process(videos.hashing, PHOTOS, seconds)
    speeds = results["speeds"]
    targets = [
        at_least(f"hashing 720p on one core: {SPEEDS[way]}", least, speeds[way], "× real time")
        for way, least in (("contribution", 10), ("fast", 100))
    ]
    rows = [(title, number(speeds[way])) for way, title in SPEEDS.items()]
    lines = [
        "## Hashing",
        "",
        f"A film of {results['seconds']:g} s, 1280 × 720, H.264 with the noise of a camera, "
        f"{results['frames_a_second']} frames/s, {results['bits_a_second'] / 1e6:.1f} Mbit/s.",
        "Seconds of the film for a second of one processor; decoding is in each.",
        *report.table(("hashed", "× real time"), rows),
    ]
    return results, targets, lines


def search(evaluation: VideoEvaluation, listed: int, folder: Path | None) -> Measured:
    """Measure the search of an upload among `listed` videos; the files are in a folder."""
    results = videos.in_new_process(videos.search, listed, evaluation.around, evaluation.first, folder)
    among, minutes = f"{results['videos']:,} videos of a minute", length(results["upload_seconds"] // 60 * 60)
    targets = [
        at_most(f"an upload of {minutes} with transforms among {among}", 1, results["elapsed"], "s"),
        at_most(f"mapped files of the index for {among}", 5, results["bytes"] / 1e9, "GB"),
        at_most(f"memory for {among}", 5, results["resident"] / 1e9, "GB"),
    ]
    segments = ", ".join(f"{start:.1f} to {end:.1f} s" for start, end in results["found"]) or "none"
    lines = [
        "## Search",
        "",
        f"{results['videos']:,} videos of a minute, each with {videos.SHOTS} shots of {videos.VALUES_A_SHOT + 1} "
        f"random values: {results['values']:,} values, in mapped files.",
        f"The upload has {results['frames']:,} frames and {results['asked']:,} values; "
        f"a clip of 10 s of one listed film is in its middle, and is found at: {segments}.",
        *report.table(
            ("elapsed s", "of that in the index s", "processor s", "files GB", "resident GB", "private MB", "build s"),
            [
                (
                    f"{results['elapsed']:.2f}",
                    f"{results['in_index']:.2f}",
                    f"{results['processor']:.2f}",
                    f"{results['bytes'] / 1e9:.2f}",
                    f"{results['resident'] / 1e9:.2f}",
                    f"{results['own'] / 1e6:.0f}",
                    f"{results['build']:.0f}",
                )
            ],
        ),
        "The time covers the search and the alignment; the service also reads a few rows of the database, "
        "as for pictures.",
        "Resident memory is nearly all of mapped files, which processes share.",
        "",
    ]
    return results, targets, lines


def size(stored: int, listed: int) -> Measured:
    """Measure the size of the database for a listed video, with `stored` videos."""
    each = videos.in_new_process(videos.stored_bytes, stored)
    lines = [
        "## Database",
        "",
        f"SQLite takes {each / 1e3:.0f} kB for a video of a minute, with {videos.SHOTS} shots: "
        f"{each * listed / 1e9:.1f} GB for {listed:,}.",
        "",
    ]
    return each, [], lines


if __name__ == "__main__":
    main()
