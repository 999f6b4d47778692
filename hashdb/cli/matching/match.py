"""hashdb match: hash pictures on this machine and match them. hashdb hash: print the hashes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hashdb.cli.help import ALGORITHMS, Choice, Command
from hashdb.cli.matching.pictures import (
    Outcome,
    StateFile,
    fast_option,
    find_pictures,
    hash_all,
    jobs_option,
    print_failures,
    remember_pictures,
    send_in_batches,
    state_option,
)
from hashdb.cli.options import Radius
from hashdb.cli.output import as_json, escape_controls, print_json_array, progress_bar
from hashdb.domain.matching.matches import Answer, Match, Query, Result
from hashdb.domain.matching.segments import Segment
from hashdb.domain.rules import SIGNALS_AN_ITEM
from hashdb.domain.seeds import Seed
from hashdb.domain.signals import Algorithm, Signal
from hashdb.hashing import Mode
from hashdb.hashing.videos import QUERY_INTERVAL
from hashdb.member_settings import MemberSettings

if TYPE_CHECKING:
    from hashdb.local import LocalIndex


@click.command(
    "match",
    cls=Command,
    examples=(
        "hashdb match upload.jpg clip.mp4",
        "hashdb match --transforms --state done.jsonl --json uploads/ > matches.json",
        "hashdb match --local --radius pdq=20 upload.jpg",
        "hashdb match --remember --transforms uploads/",
    ),
)
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--radius",
    "radii",
    multiple=True,
    type=Radius(),
    help="Match within this many bits, like `pdq=20`, instead of the default radius; may be repeated.",
)
@click.option(
    "--transforms",
    is_flag=True,
    help="Also match each picture mirrored, rotated, straightened, inverted, unframed, and its panels.",
)
@click.option(
    "--remember",
    is_flag=True,
    help="Also remember the pictures under their paths, to be told if they are listed later.",
)
@click.option("--local", is_flag=True, help="Match in the local copy that `hashdb sync` keeps, without the service.")
@state_option
@jobs_option
@fast_option
@as_json
def match_command(
    paths: tuple[Path, ...],
    radii: tuple[tuple[Algorithm, int], ...],
    transforms: bool,
    remember: bool,
    local: bool,
    state: Path | None,
    jobs: int | None,
    fast: bool,
    as_json: bool,
) -> int:
    """Check whether pictures and videos match contributions.

    PATHS are files or folders. The command hashes them on this machine, and sends only the hashes.
    It prints `review` with the contributions that match, or `no match`. A match is advice to review.
    """
    settings = MemberSettings.of_member()
    done = StateFile(state, "match and remember" if remember else "match")
    files, already_done = done.split(find_pictures(paths))
    bar, advance = progress_bar("matching", len(files))
    failed = []
    with ExitStack() as stack:
        algorithms, seeds, match = stack.enter_context(_open_copy(settings) if local else _connect())
        stack.enter_context(done)
        stack.enter_context(bar)
        add = stack.enter_context(print_json_array(as_json))
        done.report(already_done, add if as_json else None)
        mode = Mode.TRANSFORMS if transforms else Mode.PLAIN
        outcomes = stack.enter_context(
            closing(hash_all(files, algorithms, settings, mode, jobs, seeds=seeds, interval=QUERY_INTERVAL, fast=fast))
        )
        send = partial(_match_batch, match, dict(radii))
        if remember:
            send = partial(_remember_and_match, stack.enter_context(_open_index(settings)), send)
        for outcome, result in send_in_batches(list(files), outcomes, send):
            advance()
            if as_json:
                add(_to_json(outcome, result))
            elif result is not None:
                _print_result(outcome.path, result)
            if result is None:
                failed.append(outcome)
            else:
                done.record(outcome.path)
    return print_failures(failed)


_TIMES = 5

Matcher = tuple[tuple[Algorithm, ...], tuple[Seed, ...], Callable[[Sequence[Query]], Answer]]
"""The algorithms and the seeds in use, and the function that answers queries."""


@contextmanager
def _connect() -> Iterator[Matcher]:
    # `hashdb hash` needs no client.
    from hashdb.client import Client

    with Client.from_environment() as client:
        me = client.me()
        match = client.match if me.signatures else lambda queries: client.match(list(map(for_version_0_1_0, queries)))
        yield tuple(me.algorithms), me.seeds, match


def for_version_0_1_0(query: Query) -> Query:
    """The query with what a service of version 0.1.0 takes: no signatures, and 64 signals of transforms at most."""
    transforms: dict[str, tuple[Signal, ...]] = {}
    left = SIGNALS_AN_ITEM
    for name, signals in query.transforms.items():
        if kept := signals[:left]:
            transforms[name] = kept
            left -= len(kept)
    return replace(query, transforms=transforms, signatures={})


@contextmanager
def _open_copy(settings: MemberSettings) -> Iterator[Matcher]:
    with _open_index(settings) as index:
        yield index.rules.algorithms, index.seeds, index.match
        click.echo(f"hashdb: the local copy is {format_age(index.age)} old (event {index.checkpoint})", err=True)


def format_age(age: timedelta) -> str:
    """A duration in the largest unit that fits, like `3 hours`."""
    seconds = max(0, int(age.total_seconds()))
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)):
        if seconds >= size or size == 1:
            count = seconds // size
            return f"{count} {unit}{'' if count == 1 else 's'}"
    raise AssertionError("a loop without an end")


def _match_batch(
    match: Callable[[Sequence[Query]], Answer], radii: Mapping[Algorithm, int], batch: Sequence[Outcome]
) -> list[Result | None]:
    queries = [
        Query(
            outcome.hashed.signals,
            radius=radii,
            transforms=dict(outcome.hashed.transforms),
            signatures=dict(outcome.hashed.signatures),
            frames=outcome.domain_frames(),
            duration=outcome.duration,
        )
        for outcome in batch
        if outcome.hashed is not None
    ]
    results = iter(match(queries).results if queries else ())
    return [None if outcome.hashed is None else next(results) for outcome in batch]


def _open_index(settings: MemberSettings) -> LocalIndex:
    from hashdb.local import LocalIndex

    return LocalIndex(settings.home / "local")


def _remember_and_match(
    index: LocalIndex, match: Callable[[Sequence[Outcome]], list[Result | None]], batch: list[Outcome]
) -> list[Result | None]:
    # In this order: a contribution that comes after the match is looked back for, and finds the upload.
    remember_pictures(index.remembered.remember, batch, datetime.now(UTC))
    for outcome in batch:
        if outcome.frames:
            click.echo(f"hashdb: {escape_controls(outcome.path)}: not remembered: only pictures are", err=True)
    return match(batch)


def _print_result(path: Path, result: Result) -> None:
    columns = [escape_controls(path), format_action(result), *map(format_match, result.matches)]
    click.echo("  ".join(columns))


def format_action(result: Result) -> str:
    """The action of a result in words, like `review (2 members)`."""
    if result.action == "none":
        return "no match"
    members = "1 member" if result.members == 1 else f"{result.members} members"
    details = [members] * bool(result.matches) + ["not all shown"] * result.truncated
    return f"review ({', '.join(details)})"


def format_match(match: Match) -> str:
    """A match in words: contribution, transform, distances in bits or seconds, labels, severity and standing."""
    severity = "" if match.severity is None else f", severity {match.severity}"
    transform = "" if match.transform is None or match.segments else f" ({match.transform})"
    labels = " ".join(match.labels)
    how = "; ".join(_how(match))
    # Of a match that is not verified, the score says no more than the distances.
    score = "" if match.score is None or match.evidence is None else f"score {match.score:.1f}, "
    return f"contribution {match.contribution}{transform}: {how}; {score}{labels}{severity}, {match.standing}"


def _how(match: Match) -> Iterator[str]:
    if match.digest is not None:
        yield f"the same file ({match.digest})"
    yield from map(_format_segment, match.segments)
    if match.distance and not match.segments:
        distances = ", ".join(
            f"{algorithm} {bits}" if bits is not None else algorithm for algorithm, bits in match.distance.items()
        )
        times = match.at or [frame.at for frame in match.frames]
        place = f" at {', '.join(map(format_time, times[:_TIMES]))}{', …' * (len(times) > _TIMES)}" if times else ""
        yield distances + place + (" of this file" if match.frames else " of the video" if match.at else "")


def _format_segment(segment: Segment) -> str:
    start, end = map(format_time, segment.listed)
    transform = "" if segment.transform is None else f", {segment.transform}"
    frames = "1 frame" if segment.frames == 1 else f"{segment.frames} frames"
    return f"{start}–{end} at {format_time(segment.query[0])} of this file, {frames}, {segment.speed:.1f}×{transform}"


def format_time(seconds: float) -> str:
    """A time of a video, like `1:02:03` or `0:48`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _to_json(outcome: Outcome, result: Result | None) -> dict[str, object]:
    if result is None:
        return {"path": str(outcome.path), "error": outcome.error}
    from hashdb.wire.matching import ResultOut

    return {"path": str(outcome.path), **json.loads(ResultOut.from_domain(result).json_text())}


_FORMS = {"signals": "a line for each file, with its hashes", "vpdq": "the lines of a video as vPDQ writes them"}


@click.command(
    "hash",
    cls=Command,
    examples=(
        "hashdb hash photo.jpg",
        "hashdb hash --algorithm pdq --json photos/",
        "hashdb hash --transforms --json upload.jpg",
        "hashdb hash --format vpdq clip.mp4 > clip.txt",
    ),
)
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--algorithm",
    "names",
    multiple=True,
    type=Choice(ALGORITHMS),
    help="Compute only this algorithm; may be repeated. By default, those of HASHDB_ALGORITHMS.",
)
@click.option("--format", "form", type=Choice(_FORMS), default="signals", show_default=True, help="Format.")
@click.option(
    "--transforms",
    is_flag=True,
    help="With --json: also print the hashes of altered forms of each picture, and signatures, for a query.",
)
@state_option
@jobs_option
@fast_option
@as_json
def hash_command(
    paths: tuple[Path, ...],
    names: tuple[str, ...],
    form: str,
    transforms: bool,
    state: Path | None,
    jobs: int | None,
    fast: bool,
    as_json: bool,
) -> int:
    """Print the hashes of pictures and videos.

    PATHS are files or folders. The command prints one line for each file, and needs no service.
    """
    settings = MemberSettings.read()
    if form == "vpdq":
        if as_json or names or fast or transforms or state is not None or len(files := find_pictures(paths)) != 1:
            raise click.UsageError("--format vpdq takes one video, and no other option but --jobs")
        return _print_vpdq(files, settings)
    if transforms and not as_json:
        raise click.UsageError("--transforms needs --json")
    algorithms = tuple(map(Algorithm, names)) or settings.algorithms
    done = StateFile(state, "hash transforms" if transforms else "hash")
    files, already_done = done.split(find_pictures(paths))
    bar, advance = progress_bar("hashing", len(files))
    failed = []
    mode = Mode.TRANSFORMS if transforms else Mode.PLAIN
    hashed = hash_all(files, algorithms, settings, mode, jobs, fast=fast)
    with done, bar, print_json_array(as_json) as add, closing(hashed) as outcomes:
        done.report(already_done, add if as_json else None)
        for outcome in outcomes:
            advance()
            if as_json:
                add(_hashes_to_json(outcome))
            else:
                _print_hashes(outcome)
            if outcome.hashed is None:
                failed.append(outcome)
            else:
                done.record(outcome.path)
    return print_failures(failed)


def _print_vpdq(files: Mapping[Path, str | None], settings: MemberSettings) -> int:
    """Print the frames of the grid of one video, of every quality, as vPDQ does. Returns the exit status."""
    from hashdb.wire.sharing.vpdq import text_line

    (outcome,) = hash_all(files, (Algorithm.PDQ,), settings)
    if outcome.hashed is not None and not outcome.frames:
        outcome = outcome.failed("is not a video")
    for number, at, on_grid, hashed in outcome.frames:
        if on_grid and hashed.signals:
            click.echo(text_line(number, at, hashed.quality or 0, hashed.signals[0]))
    return print_failures([outcome])


def _print_hashes(outcome: Outcome) -> None:
    if outcome.hashed is not None:
        columns = [escape_controls(outcome.path), *map(str, outcome.hashed.signals)]
        if outcome.frames:
            columns.insert(1, f"{len(outcome.frames)} frames, {format_time(outcome.duration or 0)}")
        if outcome.hashed.quality is not None:
            columns.append(f"quality {outcome.hashed.quality}")
        click.echo("  ".join(columns))


def _hashes_to_json(outcome: Outcome) -> dict[str, object]:
    if outcome.hashed is None:
        return {"path": str(outcome.path), "error": outcome.error}
    signals = [str(signal) for signal in outcome.hashed.signals]
    item: dict[str, object] = {"path": str(outcome.path), "signals": signals, "quality": outcome.hashed.quality}
    if outcome.frames:
        item["duration"] = outcome.duration
        item["frames"] = [
            {"at": at, "quality": hashed.quality, "signals": list(map(str, hashed.signals))}
            for _, at, _, hashed in outcome.frames
        ]
    if outcome.incomplete is not None:
        item["incomplete"] = outcome.incomplete
    for name in ("transforms", "signatures"):
        if by_view := getattr(outcome.hashed, name):
            item[name] = {view: list(map(str, values)) for view, values in by_view}
    return item
