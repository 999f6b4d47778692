"""hashdb contribute: hash files and addresses on this machine, and send the hashes. Also withdraw and erase."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import click

from hashdb.cli.contributions.files import open_list
from hashdb.cli.help import BASES, CONTEXTS, LABELS, PROFILES, REASONS, TCO_GROUNDS, Choice, Code, Command
from hashdb.cli.home import open_home
from hashdb.cli.matching.addresses import check_sources, send_addresses, urls_option
from hashdb.cli.matching.outcomes import (
    Outcome,
    check_quality,
    check_texts_accepted,
    print_answers,
    print_failures,
    print_unreadable,
    send_in_batches,
)
from hashdb.cli.matching.pictures import fast_option, find_files, hash_all, jobs_option
from hashdb.cli.matching.state import StateFile, state_option
from hashdb.cli.options import PATH, TEXT, Id, Instant
from hashdb.cli.output import as_json, print_result
from hashdb.client import Client
from hashdb.domain.accounts.members import COMMAND_LINE
from hashdb.domain.contributions import Draft, Media, Recorded
from hashdb.domain.meanings import explain_all
from hashdb.domain.signals import Profile
from hashdb.domain.signatures import WHOLE
from hashdb.domain.vocabulary import Vocabulary
from hashdb.errors import InvalidInput, ServiceTooOld
from hashdb.hashing import Mode
from hashdb.member_settings import MemberSettings
from hashdb.wire.contributions import ContributionOut
from hashdb.wire.problems import faults_by_item

_MEDIA = explain_all("media")


@click.command(
    "contribute",
    cls=Command,
    examples=(
        "hashdb contribute removed.jpg --label glorification --removed-at now",
        "hashdb contribute removed/ --label recruitment --severity 3 --removed-at now --state done.jsonl",
        "hashdb contribute --urls links.txt --label recruitment --removed-at now",
    ),
)
@click.argument("paths", nargs=-1, type=PATH)
@urls_option
@click.option(
    "--label", "labels", multiple=True, type=Code(LABELS), required=True, help="What the content does; may be repeated."
)
@click.option(
    "--removed-at",
    type=Instant(),
    required=True,
    help="When you removed it: RFC 3339, like `2026-11-20T10:00:00Z`, or `now`.",
)
@click.option("--severity", type=click.IntRange(0, 4), help="Severity from 0 to 4; 4 is a crisis.")
@click.option("--basis", type=Code(BASES), help="Why you removed it.")
@click.option("--tco-ground", type=Code(TCO_GROUNDS), help="Ground of Regulation (EU) 2021/784, Article 2(7).")
@click.option(
    "--entity",
    type=TEXT,
    help="Entity behind it: a list and a slug, like `UN:example`. Lists: UN, EU, UK, US-FTO, CA, AU, NZ"
    " (`hashdb codes entity_list`).",
)
@click.option("--incident", type=TEXT, help="Label of an incident, like `CIP:example-2026`.")
@click.option(
    "--context", "contexts", multiple=True, type=Code(CONTEXTS), help="What a reviewer should know; may be repeated."
)
@click.option("--notified-at", type=Instant(), help="When someone reported it to you: RFC 3339, or `now`.")
@click.option("--expires-at", type=Instant(), help="When the contribution stops matching: RFC 3339.")
@click.option("--reference", type=TEXT, help="Your own id of the content. Visible to you and to auditors only.")
@click.option(
    "--media",
    type=Choice(_MEDIA),
    default="image",
    show_default="what the file is, or document for an address",
    help="The kind of content that you removed.",
)
@click.option(
    "--profile",
    type=Choice(PROFILES),
    help="How many variants of each picture to contribute.  [default: thorough for severity 3 and 4, else balanced]",
)
@state_option
@jobs_option
@fast_option
@as_json
def contribute_command(paths: tuple[Path, ...], urls: Path | None, as_json: bool, **given: Any) -> int:
    """Contribute the hashes of files and addresses that you removed.

    PATHS are pictures, videos, documents and texts, or folders of them; `-` is a document or a text on standard input.
    The command hashes them on this machine, and sends only the hashes.
    Safe to repeat: the service returns the existing contribution for a file that you contributed before.
    """
    options = _Options(*[given.pop(name) for name in _Options._fields])
    check_sources(paths, urls, only_for_files={f"--{name}": value for name, value in options._asdict().items()})
    template = Draft(
        signals=(), labels=given.pop("labels"), context=given.pop("contexts"), media=Media(given.pop("media")), **given
    )
    if urls is not None:
        with open_list(urls) as lines:
            failed = _contribute_addresses(lines, template, as_json)
    else:
        files = find_files(paths)
        # If no file can be read, nothing is left to contribute.
        failed = print_unreadable(files, as_json) or _contribute_files(files, template, options, as_json)
    return print_failures(failed)


class _Options(NamedTuple):
    """The options about files, by the names of the parameters."""

    profile: str | None
    state: Path | None
    jobs: int | None
    fast: bool
    """Decode only the key frames of videos: about ten times as fast, and less is found."""


def _contribute_files(
    files: Mapping[Path, str | None], template: Draft, options: _Options, as_json: bool
) -> list[Outcome]:
    """Contribute files, and print a line for each. Returns the outcomes without an answer.

    `files` has each path with its error, or None.
    """
    settings = MemberSettings.read()
    state_file = StateFile(options.state)
    left = state_file.skip_done(files)
    # The mode with the name of a profile hashes the variants of that profile.
    mode = Mode(options.profile or Profile.of_severity(template.severity))
    with state_file, Client.from_environment() as client:
        me = client.me()
        _require_codes(template, me.rules().vocabulary)
        algorithms, version_without_texts = tuple(me.algorithms), None if me.takes_texts else me.version
        send = partial(_send, client, template, with_signatures=bool(me.signatures))
        hashing = hash_all(left, algorithms, settings, mode, options.jobs, seeds=me.seeds, fast=options.fast)
        with closing(hashing) as hashed:
            checked = (check_quality(check_texts_accepted(outcome, version_without_texts)) for outcome in hashed)
            return print_answers(
                send_in_batches(list(left), checked, send),
                _to_text,
                _to_json,
                what="contributing",
                as_json=as_json,
                total=len(left),
                state_file=state_file,
                to_id=lambda recorded: recorded.contribution.id,
            )


def _contribute_addresses(lines: Iterable[str], template: Draft, as_json: bool) -> list[Outcome]:
    """Contribute the addresses of a list, and print a line for each. Returns the outcomes without an answer."""
    template = replace(template, media=_media(template, Media.DOCUMENT))
    with Client.from_environment() as client:
        me = client.me()
        _require_codes(template, me.rules().vocabulary)
        if not me.takes_addresses:
            raise ServiceTooOld(me.version, "does not accept addresses")
        # Addresses have no signatures that would have to be left out.
        answers = send_addresses(lines, partial(_send, client, template, with_signatures=True), for_query=False)
        return print_answers(answers, _to_text, _to_json, what="contributing", as_json=as_json)


def _media(template: Draft, usual: Media) -> Media:
    """The kind of content in --media. Its default `image` stands for an option that was not given: then `usual`."""
    return usual if template.media is Media.IMAGE else template.media


def _require_codes(template: Draft, vocabulary: Vocabulary) -> None:
    """Raise a usage error for a code that the service will not take, before anything is hashed."""
    codes = {
        ("--label", "behaviour"): template.labels,
        ("--context", "context"): template.context,
        ("--basis", "basis"): (template.basis,),
        ("--tco-ground", "tco_ground"): (template.tco_ground,),
    }
    for (option, kind), given in codes.items():
        for code in given:
            if code is not None and (fault := vocabulary.fault(kind, code)):
                raise click.BadParameter(fault, param_hint=repr(option))
    if template.entity is not None and (fault := vocabulary.entity_fault(template.entity)):
        raise click.BadParameter(fault, param_hint="'--entity'")


def _send(client: Client, template: Draft, batch: list[Outcome], *, with_signatures: bool) -> list[Recorded | None]:
    """Contribute what was hashed; return what was recorded for each outcome (None if the outcome is an error).

    An outcome that the service refuses is replaced in `batch` by an error.
    """
    drafts = {
        position: _draft(template, outcome) for position, outcome in enumerate(batch) if outcome.hashed is not None
    }
    if not with_signatures:
        # A service of version 0.1.0 refuses signatures.
        drafts = {position: replace(draft, signatures=()) for position, draft in drafts.items()}
    recorded: dict[int, Recorded] = {}
    while drafts and not recorded:
        try:
            answer = client.contribute(list(drafts.values()))
            recorded = dict(zip(drafts, answer.recorded, strict=True))
        except InvalidInput as error:
            # The service stored none of the request: mark the faulty drafts, and send the others again.
            # `faults_by_item` raises the error again if a fault is not of a draft.
            for position, faults in faults_by_item(error, list(drafts)).items():
                batch[position] = batch[position].failed(str(faults[0]))
                del drafts[position]
    return [recorded.get(position) for position in range(len(batch))]


def _draft(template: Draft, outcome: Outcome) -> Draft:
    assert outcome.hashed is not None
    hashed = outcome.hashed
    of_whole = hashed.signatures.get(WHOLE, ())
    draft = replace(template, signals=hashed.signals, quality=hashed.quality, signatures=of_whole)
    if not outcome.has_parts:
        return draft
    media = _media(template, outcome.media)
    return replace(draft, media=media, frames=outcome.domain_frames(), duration=outcome.duration)


def _to_text(recorded: Recorded) -> str:
    contribution, known = recorded.contribution, " (already known)" if recorded.known else ""
    standing = "" if contribution.standing.matches else f", {contribution.standing}"
    return f"contribution {contribution.id}{known}{standing}"


def _to_json(recorded: Recorded) -> dict[str, object]:
    document: dict[str, object] = json.loads(ContributionOut.from_recorded(recorded).json_text())
    return document


@click.command("withdraw", cls=Command, examples=("hashdb withdraw 17 --reason removal_reversed",))
@click.argument("contribution", type=Id("contribution"))
@click.option("--reason", type=Code(REASONS), required=True, help="Why you withdraw it.")
@as_json
def withdraw_command(contribution: int, reason: str, as_json: bool) -> None:
    """Withdraw one of your contributions.

    CONTRIBUTION is its id. From the next request on it no longer matches.
    """
    with Client.from_environment() as client:
        withdrawn = client.withdraw(contribution, reason)
    print_result(
        ContributionOut.from_domain(withdrawn),
        f"contribution {withdrawn.id} withdrawn ({withdrawn.withdrawal_reason})",
        as_json,
    )


@click.command("erase", cls=Command, examples=("hashdb erase 17", "hashdb erase 17 --now"))
@click.argument("contribution", type=Id("contribution"))
@click.option(
    "--now",
    is_flag=True,
    help="Also erase the signals at once. By default the database keeps them, hidden, until 90 days after the"
    " withdrawal: some protocols name what to remove by its signal.",
)
@as_json
def erase_command(contribution: int, now: bool, as_json: bool) -> None:
    """Erase the data of a contribution.

    CONTRIBUTION is the id of any member's contribution. The command withdraws it first. Its events stay in the audit
    log. Run this command on the service's machine.
    """
    # The other commands run on a member's machine, which may not have the service's packages.
    from hashdb.service.contributions import contributions

    with open_home() as db:
        contributions.erase(db, COMMAND_LINE, contribution, at_once=now)
        erased = contributions.get(db, COMMAND_LINE, contribution)
    kept_signals = "" if now else "; the database keeps its signals, hidden, until 90 days after the withdrawal"
    print_result(ContributionOut.from_domain(erased), f"contribution {contribution} erased{kept_signals}", as_json)
