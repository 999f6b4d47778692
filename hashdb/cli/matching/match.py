"""hashdb match: hash files and addresses on this machine, and match them."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from hashdb.cli.help import Command
from hashdb.cli.matching.addresses import check_sources, send_addresses, urls_option
from hashdb.cli.matching.outcomes import (
    Outcome,
    check_texts_accepted,
    print_answers,
    print_failures,
    query_of,
    remember_uploads,
    send_in_batches,
)
from hashdb.cli.matching.pictures import fast_option, find_files, hash_all, jobs_option
from hashdb.cli.matching.state import StateFile, state_option
from hashdb.cli.options import Radius, organisation_policy, policy_option
from hashdb.cli.output import as_json, counted, print_json_array, progress_bar
from hashdb.domain.frames import Unit
from hashdb.domain.matching.matches import Answer, Match, Query, Result
from hashdb.domain.matching.segments import Segment
from hashdb.domain.seeds import Seed
from hashdb.domain.signals import SIGNALS_AN_ITEM, Algorithm, Signal
from hashdb.errors import ServiceTooOld
from hashdb.hashing import Mode
from hashdb.hashing.texts import QUERY_STEP
from hashdb.hashing.videos import QUERY_INTERVAL
from hashdb.member_settings import MemberSettings

if TYPE_CHECKING:
    from hashdb.domain.ledger.policies import Policy
    from hashdb.local import LocalIndex

_MAX_SHOWN = 5
"""How many times, pages or stretches of words of a match a line shows."""


@click.command(
    "match",
    cls=Command,
    examples=(
        "hashdb match upload.jpg clip.mp4 upload.pdf",
        "hashdb match --transforms --state done.jsonl --json uploads/ > matches.json",
        "hashdb match --local --radius pdq=20 upload.jpg",
        "hashdb match --local --policy quorum.txt upload.jpg",
        "hashdb match --remember --transforms uploads/",
        "hashdb match --urls links.txt",
    ),
)
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@urls_option
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
    help="Also remember files under their paths, and addresses, to learn if they are listed later.",
)
@click.option("--local", is_flag=True, help="Match in the local copy that `hashdb sync` keeps, without the service.")
@policy_option
@state_option
@jobs_option
@fast_option
@as_json
def match_command(paths: tuple[Path, ...], urls: Path | None, as_json: bool, **parameters: Any) -> int:
    """Check whether files and addresses match contributions.

    PATHS are pictures, videos, documents and texts, or folders of them; `-` is a document or a text on standard input.
    The command hashes them on this machine, and sends only the hashes.
    It prints `review` with the contributions that match, or `no match`. A match is advice to review.
    """
    options = _Options(**parameters)
    not_only_of_files = ("local", "radii", "remember", "policy_file")
    of_files = {f"--{name}": value for name, value in options._asdict().items() if name not in not_only_of_files}
    if options.policy_file is not None and not options.local:
        raise click.UsageError("--policy needs --local")
    # A list of addresses takes no --radius either, but the name of its parameter is not that of the option.
    check_sources(paths, urls, only_for_files={"--radius": options.radii, **of_files})
    settings = MemberSettings.of_member()
    if options.local:
        opening = _open_local_matcher(settings, organisation_policy(options.policy_file, settings))
    else:
        opening = _open_service_matcher()
    if urls is not None:
        return _match_addresses(urls, options, settings, opening, as_json)
    return _match_files(paths, options, settings, opening, as_json)


class _Options(NamedTuple):
    """The options of `hashdb match`, named like the parameters of its function, except --urls and --json."""

    radii: tuple[tuple[Algorithm, int], ...]
    """The radius in bits for each algorithm that --radius names."""
    transforms: bool
    remember: bool
    local: bool
    policy_file: Path | None
    state: Path | None
    """The file that lists the files that earlier runs matched."""
    jobs: int | None
    """The number of processes that hash; None for the default."""
    fast: bool


def _match_files(
    paths: Sequence[Path],
    options: _Options,
    settings: MemberSettings,
    opening: AbstractContextManager[Matcher],
    as_json: bool,
) -> int:
    """Match files and folders, and print a line for each file. Returns the exit status."""
    state_file = StateFile(options.state, "match and remember" if options.remember else "match")
    files = state_file.skip_done(find_files(paths))
    with ExitStack() as stack:
        matcher = stack.enter_context(opening)
        stack.enter_context(state_file)
        advance = stack.enter_context(progress_bar("matching", len(files)))
        print_element = stack.enter_context(print_json_array(as_json))
        state_file.report_skipped(print_element)
        hashed = stack.enter_context(closing(_hash_queries(files, matcher, settings, options)))
        outcomes = (check_texts_accepted(outcome, matcher.too_old) for outcome in hashed)
        match_batch = partial(_match_batch, matcher.match, dict(options.radii))
        if options.remember:
            match_batch = partial(_remember_and_match, stack.enter_context(open_local_index(settings)), match_batch)
        answers = send_in_batches(list(files), outcomes, match_batch)
        failed = print_answers(
            answers, _to_text, _to_json, print_element, advance, lambda path, _: state_file.record(path)
        )
    return print_failures(failed)


def _hash_queries(
    files: Mapping[Path, str | None], matcher: Matcher, settings: MemberSettings, options: _Options
) -> Generator[Outcome, None, None]:
    """Hash files for queries; yield the hashes or the error of each, in order. `files` has the errors found before."""
    mode = Mode.TRANSFORMS if options.transforms else Mode.PLAIN
    return hash_all(
        files,
        matcher.algorithms,
        settings,
        mode,
        options.jobs,
        seeds=matcher.seeds,
        interval=QUERY_INTERVAL,
        step=QUERY_STEP,
        fast=options.fast,
    )


def _match_addresses(
    urls: Path, options: _Options, settings: MemberSettings, opening: AbstractContextManager[Matcher], as_json: bool
) -> int:
    """Match the addresses of a list, and print a line for each. Returns the exit status."""
    with ExitStack() as stack:
        matcher = stack.enter_context(opening)
        advance = stack.enter_context(progress_bar("matching"))
        print_element = stack.enter_context(print_json_array(as_json))
        if matcher.too_old is not None:
            raise ServiceTooOld(matcher.too_old, "does not support addresses")
        match_batch = partial(_match_batch, matcher.match, {})
        if options.remember:
            match_batch = partial(_remember_and_match, stack.enter_context(open_local_index(settings)), match_batch)
        # `for_query` also tries an address without its query string.
        answers = send_addresses(urls, match_batch, for_query=True)
        failed = print_answers(answers, _to_text, _to_json, print_element, advance)
    return print_failures(failed)


class Matcher(NamedTuple):
    """What answers queries: the service or the local copy, with the algorithms and the seeds that it uses."""

    algorithms: tuple[Algorithm, ...]
    seeds: tuple[Seed, ...]
    match: Callable[[Sequence[Query]], Answer]
    """Returns a result for each query, in order."""
    too_old: str | None = None
    """The version of the service if it is too old to match texts and addresses; else None."""


@contextmanager
def _open_service_matcher() -> Iterator[Matcher]:
    """Match with the service in the settings of the client, like HASHDB_URL."""
    # Not at the top: `hashdb hash` imports this module, and needs no client.
    from hashdb.client import Client

    with Client.from_environment() as client:
        me = client.me()
        match = client.match if me.signatures else lambda queries: client.match(list(map(for_version_0_1_0, queries)))
        too_old = None if me.takes_texts and me.takes_addresses else me.version
        yield Matcher(tuple(me.algorithms), me.seeds, match, too_old)


def for_version_0_1_0(query: Query) -> Query:
    """The query as a service of version 0.1.0 accepts it: without signatures, and with 64 signals of transforms."""
    transforms: dict[str, tuple[Signal, ...]] = {}
    remaining = SIGNALS_AN_ITEM
    for name, signals in query.transforms.items():
        if kept := signals[:remaining]:
            transforms[name] = kept
            remaining -= len(kept)
    return replace(query, transforms=transforms, signatures={})


@contextmanager
def _open_local_matcher(settings: MemberSettings, policy: Policy | None) -> Iterator[Matcher]:
    """Match in the local copy, and print its age at the end. With a policy, its quorum must have approved the copy."""
    with open_local_index(settings, policy) as index:
        index.require_approval()
        yield Matcher(index.rules.algorithms, index.seeds, index.match)
        click.echo(f"hashdb: the local copy is {format_age(index.age)} old (event {index.checkpoint})", err=True)


def format_age(age: timedelta) -> str:
    """A duration in the largest unit that fits, like `3 hours`."""
    seconds = max(0, int(age.total_seconds()))
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= size:
            return counted(seconds // size, unit)
    return counted(seconds, "second")


def _match_batch(
    match: Callable[[Sequence[Query]], Answer], radii: Mapping[Algorithm, int], batch: Sequence[Outcome]
) -> list[Result | None]:
    """The result for each outcome, in order; None for one that has an error in the place of hashes."""
    queries = [query_of(outcome, outcome.hashed, radii) for outcome in batch if outcome.hashed is not None]
    results = iter(match(queries).results if queries else ())
    return [None if outcome.hashed is None else next(results) for outcome in batch]


def open_local_index(settings: MemberSettings, policy: Policy | None = None) -> LocalIndex:
    """The local copy in the folder of the settings; `with` closes it."""
    from hashdb.local import LocalIndex

    return LocalIndex(settings.home / "local", policy=policy)


def _remember_and_match(
    index: LocalIndex, match: Callable[[Sequence[Outcome]], list[Result | None]], batch: list[Outcome]
) -> list[Result | None]:
    """Remember uploads for look-back, then match them.

    In this order, look-back compares every contribution that comes after the match with the uploads.
    """
    remember_uploads(index.remembered.remember, batch, datetime.now(UTC))
    return match(batch)


def _to_text(result: Result) -> str:
    """A result on one line, behind the path of its file."""
    return "  ".join([format_action(result), *map(format_match, result.matches)])


def format_action(result: Result) -> str:
    """What to do with an upload, in words: `no match`, or for example `review (2 members)`."""
    if result.action == "none":
        return "no match"
    members = counted(result.members, "member")
    details = [members] * bool(result.matches) + ["not all shown"] * result.truncated
    return f"review ({', '.join(details)})"


def format_match(match: Match) -> str:
    """A match in words, like `contribution 17 (mirrored): pdq 12, phash 4; graphic_violence, severity 3, active`."""
    severity = "" if match.severity is None else f", severity {match.severity}"
    transform = "" if match.transform is None or match.segments else f" ({match.transform})"
    labels = " ".join(match.labels)
    similarities = "; ".join(_similarities(match))
    # If a match was not verified, its score only repeats the distances.
    score = "" if match.score is None or match.evidence is None else f"score {match.score:.1f}, "
    return f"contribution {match.contribution}{transform}: {similarities}; {score}{labels}{severity}, {match.standing}"


def _similarities(match: Match) -> Iterator[str]:
    """What is similar, in words: an equal file or address, the segments, or the distances in bits and the place."""
    if match.digest is not None:
        yield "the same address" if match.digest is Algorithm.URL else f"the same file ({match.digest})"
    yield from map(_format_segment, match.segments)
    if match.distance and not match.segments:
        distances = ", ".join(
            f"{algorithm} {bits}" if bits is not None else algorithm for algorithm, bits in match.distance.items()
        )
        yield distances + _where(match)


def _where(match: Match) -> str:
    """Where the match is, in words that begin with a space; empty if both items are pictures.

    If the listed item has parts, the place is in that item; else it is in the file of the query.
    """
    if match.pages:
        return f" on {_numbered('page', match.pages)} of the document"
    if match.words:
        return f" at words {', '.join(f'{first}-{end}' for first, end in match.words[:_MAX_SHOWN])} of the text"
    if match.at:
        return f" at {', '.join(map(format_time, match.at[:_MAX_SHOWN]))}{_ellipsis(match.at)} of the video"
    if not match.frames:
        return ""
    if match.frames[0].unit is Unit.PAGES:
        return f" on {_numbered('page', [int(frame.at) for frame in match.frames])} of this file"
    times = [format_time(frame.at) for frame in match.frames]
    return f" at {', '.join(times[:_MAX_SHOWN])}{_ellipsis(times)} of this file"


def _numbered(noun: str, numbers: Sequence[int]) -> str:
    """A noun with its numbers, like `pages 3, 4`."""
    shown = ", ".join(map(str, numbers[:_MAX_SHOWN]))
    return f"{noun}{'' if len(numbers) == 1 else 's'} {shown}{_ellipsis(numbers)}"


def _ellipsis(items: Sequence[object]) -> str:
    """What follows the first `_MAX_SHOWN` items: `, …` if there are more."""
    return ", …" * (len(items) > _MAX_SHOWN)


def _format_segment(segment: Segment) -> str:
    """A segment in words, like `0:10–0:48 at 0:00 of this file`, `pages 3-5 at page 1 of this file`."""
    transform = "" if segment.transform is None else f", {segment.transform}"
    if segment.unit is Unit.SECONDS:
        start, end = map(format_time, segment.listed)
        frames = f"{counted(segment.frames, 'frame')}, {segment.speed:.1f}×"
        return f"{start}–{end} at {format_time(segment.query[0])} of this file, {frames}{transform}"
    first, last, begin = int(segment.listed[0]), int(segment.listed[1]), int(segment.query[0])
    if segment.unit is Unit.PAGES:
        pages = f"page {first}" if first == last else f"pages {first}-{last}"
        return f"{pages} at page {begin} of this file, {counted(segment.frames, 'page')}{transform}"
    return f"words {first}-{last} at word {begin} of this file, {counted(segment.frames, 'window')}{transform}"


def format_time(seconds: float) -> str:
    """A time in a video as hours, minutes and seconds, like `1:02:03` or `0:48`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _to_json(result: Result) -> dict[str, object]:
    """A result as the API returns it."""
    from hashdb.wire.matching import ResultOut

    document: dict[str, object] = json.loads(ResultOut.from_domain(result).json_text())
    return document
