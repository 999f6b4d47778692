"""hashdb match: hash files and addresses on this machine, and match them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from hashdb.cli.contributions.files import open_list
from hashdb.cli.help import Command
from hashdb.cli.matching.addresses import check_sources, send_addresses, urls_option
from hashdb.cli.matching.formats import format_action, format_age, format_match
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
from hashdb.cli.output import as_json
from hashdb.domain.matching.matches import Answer, Query, Result
from hashdb.domain.seeds import Seed
from hashdb.domain.signals import SIGNALS_AN_ITEM, Algorithm, Signal
from hashdb.errors import ServiceTooOld
from hashdb.member_settings import MemberSettings

if TYPE_CHECKING:
    from hashdb.domain.ledger.policies import Policy
    from hashdb.local import LocalIndex

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
        # If no file can be read, nothing is left to match.
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
    # Not at the top: `hashdb match --local` needs no client.
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


def _to_json(result: Result) -> dict[str, object]:
    """A result as the API returns it."""
    from hashdb.wire.matching import ResultOut

    document: dict[str, object] = json.loads(ResultOut.from_domain(result).json_text())
    return document
