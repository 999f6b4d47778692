"""hashdb match: hash files and addresses on this machine, and match them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from hashdb.cli.contributions.files import open_list
from hashdb.cli.help import Command
from hashdb.cli.matching.addresses import check_sources, send_addresses, urls_option
from hashdb.cli.matching.outcomes import (
    Outcome,
    check_texts_accepted,
    print_answers,
    print_failures,
    print_unreadable,
    query_of,
    remember_uploads,
    send_in_batches,
)
from hashdb.cli.matching.pictures import fast_option, find_files, hash_queries, jobs_option
from hashdb.cli.matching.state import StateFile, state_option
from hashdb.cli.options import PATH, Radius, organisation_policy, policy_option
from hashdb.cli.output import as_json, counted
from hashdb.domain.frames import Unit
from hashdb.domain.matching.matches import Answer, Match, Query, Result
from hashdb.domain.matching.segments import Segment
from hashdb.domain.seeds import Seed
from hashdb.domain.signals import SIGNALS_AN_ITEM, Algorithm, Signal
from hashdb.errors import ServiceTooOld
from hashdb.member_settings import MemberSettings

if TYPE_CHECKING:
    from hashdb.domain.ledger.policies import Policy
    from hashdb.local import LocalIndex

_MAX_SHOWN = 5
"""How many times, pages or stretches of words of a match a line shows."""
_MatchBatch = Callable[[list[Outcome]], list[Result | None]]
"""Returns the result for each outcome, in order; None for one that has an error in the place of hashes."""


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
@click.argument("paths", nargs=-1, type=PATH)
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
    of_files = {
        "--radius": options.radii,
        "--transforms": options.transforms,
        "--state": options.state,
        "--jobs": options.jobs,
        "--fast": options.fast,
    }
    if options.policy_file is not None and not options.local:
        raise click.UsageError("--policy needs --local")
    check_sources(paths, urls, only_for_files=of_files)
    settings = MemberSettings.of_member()
    if urls is not None:
        with open_list(urls) as lines:
            failed = _match_addresses(lines, options, settings, as_json)
    else:
        files = find_files(paths)
        failed = print_unreadable(files, as_json) or _match_files(files, options, settings, as_json)
    return print_failures(failed)


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
    files: Mapping[Path, str | None], options: _Options, settings: MemberSettings, as_json: bool
) -> list[Outcome]:
    """Match files, and print a line for each. Returns the outcomes without an answer."""
    state_file = StateFile(options.state, "match and remember" if options.remember else "match")
    left = state_file.skip_done(files)
    with state_file, _open_matcher(options, settings) as (matcher, match_batch):
        hashing = hash_queries(
            left,
            matcher.algorithms,
            settings,
            options.jobs,
            seeds=matcher.seeds,
            transforms=options.transforms,
            fast=options.fast,
        )
        with closing(hashing) as hashed:
            outcomes = (check_texts_accepted(outcome, matcher.too_old) for outcome in hashed)
            answers = send_in_batches(list(left), outcomes, match_batch)
            return print_answers(
                answers,
                _to_text,
                _to_json,
                what="matching",
                as_json=as_json,
                total=len(left),
                state_file=state_file,
            )


def _match_addresses(lines: Iterable[str], options: _Options, settings: MemberSettings, as_json: bool) -> list[Outcome]:
    """Match the addresses of a list, and print a line for each. Returns the outcomes without an answer."""
    with _open_matcher(options, settings) as (matcher, match_batch):
        if matcher.too_old is not None:
            raise ServiceTooOld(matcher.too_old, "does not support addresses")
        # `for_query` also tries an address without its query string.
        answers = send_addresses(lines, match_batch, for_query=True)
        return print_answers(answers, _to_text, _to_json, what="matching", as_json=as_json)


@contextmanager
def _open_matcher(options: _Options, settings: MemberSettings) -> Iterator[tuple[Matcher, _MatchBatch]]:
    """What answers queries, and the function that matches a batch with it; with --remember, it also remembers it."""
    with ExitStack() as stack:
        if options.local:
            opening = _open_local_matcher(settings, organisation_policy(options.policy_file, settings))
        else:
            opening = _open_service_matcher()
        matcher = stack.enter_context(opening)
        match_batch = partial(_match_batch, matcher.match, dict(options.radii))
        if options.remember:
            match_batch = partial(_remember_and_match, stack.enter_context(open_local_index(settings)), match_batch)
        yield matcher, match_batch


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
    match: Callable[[Sequence[Query]], Answer], radii: Mapping[Algorithm, int], batch: list[Outcome]
) -> list[Result | None]:
    """As a `_MatchBatch`: match what was hashed."""
    queries = [query_of(outcome, outcome.hashed, radii) for outcome in batch if outcome.hashed is not None]
    results = iter(match(queries).results if queries else ())
    return [None if outcome.hashed is None else next(results) for outcome in batch]


def open_local_index(settings: MemberSettings, policy: Policy | None = None) -> LocalIndex:
    """The local copy in the folder of the settings; `with` closes it."""
    from hashdb.local import LocalIndex

    return LocalIndex(settings.copy_folder, policy=policy)


def _remember_and_match(index: LocalIndex, match_batch: _MatchBatch, batch: list[Outcome]) -> list[Result | None]:
    """As a `_MatchBatch`: remember uploads for look-back, then match them.

    In this order, look-back compares every contribution that comes after the match with the uploads.
    """
    remember_uploads(index.remembered.remember, batch, datetime.now(UTC))
    return match_batch(batch)


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
