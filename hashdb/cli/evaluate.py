"""hashdb evaluate: measure on a folder of pictures, videos or texts how many altered copies are recognised."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from random import Random

import click
from click.core import ParameterSource

import hashdb
from hashdb.cli.evaluate_texts import find_texts, measure_texts, print_recall, write_files
from hashdb.cli.help import ALGORITHMS, Choice, Command
from hashdb.cli.help import PROFILES as PROFILE_MEANINGS
from hashdb.cli.matching.pictures import PICTURE_SUFFIXES, VIDEO_SUFFIXES, find_files
from hashdb.cli.options import FOLDER, Radius
from hashdb.cli.output import as_json, escape_controls, print_json, print_table, progress_bar
from hashdb.domain.matching.matches import OVERRULING
from hashdb.domain.signals import Algorithm
from hashdb.errors import ExtraMissing, UnreadablePicture, os_reason
from hashdb.evaluation import attack_figures, figures, sets, video_figures
from hashdb.evaluation.alterations import ALTERATIONS
from hashdb.evaluation.attacks import Attacked, AttackScheme, attack_all, jobs_of
from hashdb.evaluation.copies import Form
from hashdb.evaluation.duplicates import BadList
from hashdb.evaluation.figures import as_document
from hashdb.evaluation.films import PannedFilm, RecordedFilm, can_encode
from hashdb.evaluation.pages import picture_curves, picture_page, video_curves, video_page
from hashdb.evaluation.runs import Evaluation, evaluate
from hashdb.evaluation.samples import PROFILES, Scheme, Unfit
from hashdb.evaluation.videos import VideoScheme, evaluate_videos, steps
from hashdb.hashing import Limits
from hashdb.hashing.videos import QUERY_INTERVAL
from hashdb.settings import Settings

_FEWEST = 2
"""The fewest pictures of an evaluation."""
_ALTER_ONE_OF, _QUICK_ALTER_ONE_OF = 1, 3
"""Each picture is altered in every way; with --quick, in every third way."""
PHOTOS = Path(hashdb.__file__).parent / "photos"
"""The photographs that the upload around a clip shows."""


@click.command(
    "evaluate",
    cls=Command,
    examples=(
        "hashdb evaluate photos/ --limit 200 --output evaluation",
        "hashdb evaluate photos/ --algorithm pdq --radius pdq=44",
        "hashdb evaluate --videos films/ --output evaluation",
        "hashdb evaluate --texts texts/ --output evaluation",
        "hashdb evaluate --attacks photos/ --limit 40",
    ),
)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--videos",
    is_flag=True,
    help="Measure the videos of FOLDER instead of its pictures: which copies and clips of them are found.",
)
@click.option(
    "--texts",
    is_flag=True,
    help="Measure the texts of FOLDER instead (.txt, at least 300 words): which copies and passages are found.",
)
@click.option(
    "--attacks",
    is_flag=True,
    help="Measure attacks instead: how little a listed picture must change to escape, and another one to match it.",
)
@click.option(
    "--algorithm",
    "names",
    multiple=True,
    type=Choice(ALGORITHMS),
    help="Measure only this algorithm; may be repeated. By default, those of HASHDB_ALGORITHMS.",
)
@click.option(
    "--profile",
    "profiles",
    multiple=True,
    type=Choice(PROFILE_MEANINGS),
    help="Measure only this profile of variants; may be repeated. By default all.",
)
@click.option(
    "--limit", type=click.IntRange(_FEWEST), help="Measure only this many files, drawn at random with the seed."
)
@click.option("--seed", default=0, show_default=True, help="Seed of all random choices.")
@click.option(
    "--processes", type=click.IntRange(1, 256), help="Number of processes.  [default: one per processor core]"
)
@click.option(
    "--radius",
    "radii",
    multiple=True,
    type=Radius(),
    help="Radius of an algorithm in bits, like `pdq=44`, instead of the default; may be repeated.",
)
@click.option(
    "--rate",
    default=1e-11,
    show_default=True,
    type=click.FloatRange(0, 1, min_open=True),
    help="False matches allowed per pair of pictures: 1e-11 is 10 in a million queries of a million items.",
)
@click.option(
    "--items",
    default=1_000_000,
    show_default=True,
    type=click.IntRange(1, 100_000_000),
    help="Number of items in the index for which the costs are estimated.",
)
@click.option(
    "--upload-seconds",
    default=600,
    show_default=True,
    type=click.IntRange(30, 7_200),
    help="With --videos: length of the upload around a clip.",
)
@click.option("--apart", is_flag=True, help="Measure each folder within FOLDER apart: one for each kind of pictures.")
@click.option("--quick", is_flag=True, help="Alter each picture in a third of the ways, in turn: a third of the time.")
@click.option("--output", type=FOLDER, help="Write evaluation.json, curves.svg and index.html into this folder.")
@as_json
@click.pass_context
def evaluate_command(
    context: click.Context,
    folder: Path,
    videos: bool,
    texts: bool,
    attacks: bool,
    names: tuple[str, ...],
    profiles: tuple[str, ...],
    limit: int | None,
    seed: int,
    processes: int | None,
    radii: tuple[tuple[Algorithm, int], ...],
    rate: float,
    items: int,
    upload_seconds: int,
    apart: bool,
    quick: bool,
    output: Path | None,
    as_json: bool,
) -> int:
    """Measure how many altered copies of your pictures, videos or texts are recognised.

    The command alters the pictures of FOLDER, matches the copies, and reports recall, false matches and costs.
    With --videos it re-encodes and cuts the videos of FOLDER, also into another upload, and reports what is found.
    With --texts it changes the texts of FOLDER, and puts passages of 300 words into 3,000 words of others.
    """
    processes = processes or os.cpu_count() or 1
    _prepare_output(output)
    _refuse_options_of_others(context, videos, texts, attacks)
    if texts:
        paths = _sample(find_texts(folder), limit, seed)
        return _print_failures(measure_texts(folder, paths, seed, processes, output, as_json))
    if attacks:
        return _evaluate_attacks(folder, limit, seed, processes, output, as_json)
    if videos:
        return _evaluate_videos(folder, limit, seed, processes, upload_seconds, output, as_json)
    settings = Settings.read()
    algorithms = tuple(map(Algorithm, dict.fromkeys(names))) or settings.algorithms
    chosen = tuple(profile for profile in PROFILES if not profiles or profile in profiles)
    every = _QUICK_ALTER_ONE_OF if quick else _ALTER_ONE_OF
    scheme = Scheme(algorithms, chosen, tuple(ALTERATIONS), seed, _check_radii(radii), every)
    measure = partial(evaluate, scheme=scheme, rate=rate, items=items, limits=_limits(settings), processes=processes)
    paths, failures = _find_media(folder, None, seed, videos=False)
    all_by_set = sets.split(paths, folder) if apart else {"": paths}
    by_set = {name: _sample(of_set, limit, seed) for name, of_set in all_by_set.items()}
    evaluations, stopwatch = _measure_sets(measure, by_set, folder, output, failures)
    if evaluations:
        _print_sets(evaluations, apart, stopwatch, output, as_json)
    return _print_failures(failures)


def _measure_sets(
    measure: Callable[..., Evaluation],
    by_set: Mapping[str, Sequence[Path]],
    folder: Path,
    output: Path | None,
    failures: dict[str, str],
) -> tuple[dict[str, Evaluation], _Stopwatch]:
    """Measure each set, and write its files. Adds what was not measured to `failures`."""
    evaluations: dict[str, Evaluation] = {}
    total = sum(map(len, by_set.values()))
    with progress_bar("evaluating", total) as advance:
        stopwatch = _Stopwatch(total, advance)
        for name, of_set in by_set.items():
            try:
                evaluation = measure(of_set, advance=stopwatch.advance)
            except BadList as fault:
                raise click.UsageError(str(fault)) from fault
            failures.update(evaluation.unfit)
            failures.update(_write_output(evaluation, of_set, folder / name, output and output / name))
            if len(evaluation.names) >= _FEWEST:
                evaluations[name] = evaluation
    return evaluations, stopwatch


def _limits(settings: Settings) -> Limits:
    return Limits(max_bytes=settings.media_max_bytes, max_pixels=settings.media_max_pixels)


_PICTURE_PARAMETERS = ("names", "profiles", "radii", "rate", "items", "apart", "quick")
"""The names of the parameters that only the evaluation of pictures takes."""
_NOT_TAKEN = {
    "--videos": ("attacks", *_PICTURE_PARAMETERS),
    "--texts": ("videos", "attacks", "upload_seconds", *_PICTURE_PARAMETERS),
    "--attacks": ("upload_seconds", *_PICTURE_PARAMETERS),
}
"""By the option that says what is measured, the parameters that cannot be given with it."""


def _refuse_options_of_others(context: click.Context, videos: bool, texts: bool, attacks: bool) -> None:
    """Raise UsageError for an option that the chosen evaluation does not take."""
    measured = "--texts" if texts else "--videos" if videos else "--attacks" if attacks else ""
    for option in context.command.params:
        given = context.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE
        if given and option.name in _NOT_TAKEN.get(measured, ()):
            raise click.UsageError(f"{option.opts[0]} is not for {measured}")


def _evaluate_attacks(
    folder: Path, limit: int | None, seed: int, processes: int, output: Path | None, as_json: bool
) -> int:
    settings = Settings.read()
    if OVERRULING.isdisjoint(settings.algorithms):
        raise click.UsageError("attacks are on pdq and phash256, and HASHDB_ALGORITHMS has neither")
    paths, failures = _find_media(folder, limit, seed, videos=False)
    if len(paths) < _FEWEST:
        return _print_failures(failures | {str(folder): f"attacks need at least {_FEWEST} pictures"})
    scheme = AttackScheme(settings.algorithms, limits=_limits(settings))
    results: list[Attacked] = []
    with progress_bar("attacking", len(paths)) as advance:
        for result in attack_all(jobs_of(paths), scheme, processes):
            if isinstance(result, Unfit):
                failures[str(paths[result.place])] = result.reason
            else:
                results.append(result)
            advance()
    attacked = attack_figures.outcomes(results)
    document = attack_figures.as_document(attacked, seed)
    if as_json:
        print_json(document)
    else:
        print_table(*attack_figures.attack_table(attacked))
    if output is not None:
        (output / "evaluation.json").write_text(json.dumps(document), "utf-8")
    return _print_failures(failures)


def _evaluate_videos(
    folder: Path, limit: int | None, seed: int, processes: int, upload_seconds: int, output: Path | None, as_json: bool
) -> int:
    if not can_encode():
        raise ExtraMissing("--videos", "video")
    paths, failures = _find_media(folder, limit, seed, videos=True)
    films: list[RecordedFilm] = []
    for path in paths:
        try:
            films.append(RecordedFilm.open(path))
        except (UnreadablePicture, OSError) as error:
            failures[str(path)] = str(error) if isinstance(error, UnreadablePicture) else "the file cannot be read"
    if films:
        around = PannedFilm("around", tuple(sorted(PHOTOS.glob("*.jpg"))), float(upload_seconds), seed)
        scheme = VideoScheme(films, around, trials=len(films), wholes=len(films), interval=QUERY_INTERVAL, seed=seed)
        with progress_bar("evaluating", steps(scheme)) as advance:
            evaluation = evaluate_videos(scheme, processes, advance)
        tables = {form: video_figures.recall_table(evaluation, form) for form in Form}
        document = video_figures.as_document(evaluation)
        print_recall(document, tables, video_figures.describe_false_matches(evaluation), as_json)
        if output is not None:
            write_files(output, document, video_curves(evaluation), video_page(evaluation, failures))
    else:
        failures.setdefault(str(folder), "this folder has no video that can be measured")
    return _print_failures(failures)


def _find_media(folder: Path, limit: int | None, seed: int, *, videos: bool) -> tuple[list[Path], dict[str, str]]:
    """The videos or the pictures to measure, and what cannot be read, with the reasons."""
    files = find_files([folder])
    failures = {str(path): error for path, error in files.items() if error is not None}
    suffixes = VIDEO_SUFFIXES if videos else PICTURE_SUFFIXES
    paths = [path for path, error in files.items() if error is None and path.suffix.lower() in suffixes]
    return _sample(paths, limit, seed), failures


def _print_failures(failures: Mapping[str, str]) -> int:
    """Print what was not measured on standard error. The exit status: 1 if there is any, else 0."""
    for name, reason in failures.items():
        click.echo(escape_controls(f"hashdb: {name}: {reason}"), err=True)
    return 1 if failures else 0


def _sample(paths: Sequence[Path], limit: int | None, seed: int) -> list[Path]:
    """At most `limit` of the paths, drawn by the seed, in their order."""
    if limit is None or limit >= len(paths):
        return list(paths)
    return sorted(Random(seed).sample(paths, limit))


def _check_radii(radii: Sequence[tuple[Algorithm, int]]) -> dict[Algorithm, int]:
    for algorithm, bits in radii:
        if not 0 <= bits < algorithm.bits // 2:
            most = algorithm.bits // 2 - 1
            raise click.BadParameter(f"the radius of {algorithm} must be 0 to {most} bits", param_hint="--radius")
    return dict(radii)


def _prepare_output(output: Path | None) -> None:
    """Create the output folder first, so that an evaluation of minutes does not fail at the end."""
    if output is None:
        return
    try:
        output.mkdir(parents=True, exist_ok=True)
        (output / "evaluation.json").touch()
    except OSError as error:
        raise click.BadParameter(f"the folder cannot be written: {os_reason(error)}", param_hint="--output") from error


def _write_output(
    evaluation: Evaluation, paths: Sequence[Path], folder: Path, output: Path | None
) -> Mapping[str, str]:
    """Write the files of a set. Returns what failed: the folder, if it has too few pictures."""
    if (usable := len(evaluation.names)) < _FEWEST:
        return {str(folder): f"an evaluation needs at least {_FEWEST} pictures, and this folder has {usable}"}
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        write_files(output, as_document(evaluation), picture_curves(evaluation), picture_page(evaluation))
        sets.write_mistakes(evaluation, paths, output / "mistakes", _limits(Settings.read()))
    return {}


class _Stopwatch:
    """Measures the time for the pictures, and shows the progress."""

    def __init__(self, total: int, show: Callable[[], None]) -> None:
        self.total, self._show = total, show
        self._start = self._last = time.monotonic()

    def advance(self) -> None:
        """Count a picture as done."""
        self._show()
        self._last = time.monotonic()

    def __str__(self) -> str:
        seconds, whole = self._last - self._start, time.monotonic() - self._start
        minutes = seconds / 60 * 1000 / self.total
        return (
            f"{self.total} pictures took {seconds:.0f} s, and {whole - seconds:.0f} s more for pairs and costs; "
            f"1,000 like them would take about {minutes:.0f} minutes."
        )


def _print_sets(evaluations: sets.Sets, apart: bool, stopwatch: _Stopwatch, output: Path | None, as_json: bool) -> None:
    if not apart:
        _print_evaluation(evaluations[""], stopwatch, as_json)
        return
    document = sets.as_document(evaluations)
    if output is not None:
        (output / "evaluation.json").write_text(json.dumps(document), "utf-8")
    if as_json:
        print_json(document)
        return
    for profile in next(iter(evaluations.values())).scheme.profiles:
        for title, table in (
            (f"What a service matches, {profile}", sets.summary(evaluations, profile)),
            (f"Percent recognised, {profile}", sets.recalls(evaluations, profile)),
        ):
            click.echo(title)
            print_table(*table)
            click.echo()
        click.echo(sets.worst(evaluations, profile))
        click.echo()
    click.echo(str(stopwatch))


def _print_evaluation(evaluation: Evaluation, stopwatch: _Stopwatch, as_json: bool) -> None:
    if as_json:
        print_json(as_document(evaluation))
        return
    for title, table in (
        ("Percent recognised", figures.recall_table(evaluation, brief=True)),
        ("What a service matches", figures.matches(evaluation)),
        ("At the radii in force", figures.in_force(evaluation)),
        (f"At the radii of {figures.format_rate(evaluation.rate)} false matches a pair", figures.choices(evaluation)),
    ):
        click.echo(title)
        print_table(*table)
        click.echo()
    click.echo("“Matched”: a service answers with the picture.")
    click.echo("“At the rate”: within the radius of any algorithm in the last table, with transforms.")
    click.echo()
    for title, sentences in (
        ("False matches:", figures.mistakes(evaluation, count=10)),
        ("Check of the fits on the other half of the pictures:", figures.checks(evaluation)),
        ("Nearest pairs of different pictures:", figures.nearest(evaluation, count=3)),
        ("Pairs that show the same thing, not counted:", figures.same(evaluation)),
    ):
        for number, sentence in enumerate(sentences):
            if not number:
                click.echo(title)
            click.echo(f"  {escape_controls(sentence)}")
    click.echo(str(stopwatch))
