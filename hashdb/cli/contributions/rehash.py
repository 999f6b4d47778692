"""hashdb rehash: add what this version hashes to contributions that an older version made of the same pictures."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import click

from hashdb import __version__
from hashdb.cli.help import PROFILES, Choice, Command
from hashdb.cli.matching.outcomes import Outcome, check_quality, print_failures, print_unreadable, send_in_batches
from hashdb.cli.matching.pictures import find_files, hash_all, jobs_option, only_pictures
from hashdb.cli.matching.state import StateFile, state_option
from hashdb.cli.options import PATH
from hashdb.cli.output import as_json, counted, escape_controls, print_json_array, progress_bar
from hashdb.client import Client
from hashdb.domain.contributions import Addition, Contribution
from hashdb.domain.matching.benign import CLOSE_TO_BENIGN
from hashdb.domain.seeds import Seed
from hashdb.domain.signals import SIGNALS_AN_ITEM, Algorithm, Profile, Signal
from hashdb.domain.signatures import SIGNATURES_AN_ITEM, WHOLE
from hashdb.errors import Fault, InvalidInput, ServiceTooOld
from hashdb.hashing import Hashed, Mode
from hashdb.member_settings import MemberSettings
from hashdb.wire.problems import faults_by_item

_BITS_SEARCHED = 256
"""Contributions are found by their hashes of so many bits: shorter hashes of different pictures are often equal."""


class _Rehashed(NamedTuple):
    """How many signals and signatures were added to each contribution of a picture, by id, or why none could be."""

    added: Mapping[int, int]
    refused: Mapping[int, str]

    @property
    def outcome(self) -> str:
        """The word under which the command counts the picture."""
        if not self.added:
            return "not contributed"
        return "added to" if any(self.added.values()) else "up to date"


@click.command(
    "rehash",
    cls=Command,
    examples=("hashdb rehash removed/ --dry-run", "hashdb rehash removed/ --state rehashed.jsonl"),
)
@click.argument("paths", nargs=-1, required=True, type=PATH)
@click.option(
    "--profile",
    type=Choice(PROFILES),
    help="How many variants of each picture to hash.  [default: thorough for severity 3 and 4, else balanced]",
)
@click.option("--dry-run", is_flag=True, help="Show what would be added, and add nothing.")
@state_option
@jobs_option
@as_json
def rehash_command(
    paths: tuple[Path, ...], as_json: bool, profile: str | None, dry_run: bool, state: Path | None, jobs: int | None
) -> int:
    """Add what this version hashes to your contributions.

    PATHS are files or folders with pictures that you contributed. Run it after an upgrade that hashes more of a
    picture: the command finds your active contributions by the hashes of the whole picture, and adds the hashes that
    they do not have. They keep their ids and all else. Safe to repeat. Videos and documents are left out.
    """
    settings = MemberSettings.read()
    pictures = only_pictures(find_files(paths), "nothing can be added to a video or a document")
    if failed := print_unreadable(pictures, as_json):
        return print_failures(failed)
    counts = Counter[str]()
    with Client.from_environment() as client, ExitStack() as stack:
        me = client.me()
        if not me.signatures:
            raise ServiceTooOld(me.version, "adds no signals")
        one_profile = None if profile is None else Profile(profile)
        run = _Run(client, settings, tuple(me.algorithms), me.seeds, one_profile, jobs, dry_run)
        state_file = stack.enter_context(StateFile(state, run.task))
        files = state_file.skip_done(pictures)
        advance = stack.enter_context(progress_bar("rehashing", len(files)))
        print_element = stack.enter_context(print_json_array(as_json))
        state_file.report_skipped(print_element)
        hashed = stack.enter_context(closing(run.hash(files, run.profile or Profile.BALANCED)))
        for outcome, rehashed in send_in_batches(list(files), map(check_quality, hashed), run.send):
            advance()
            if rehashed is None or rehashed.refused:
                failed.append(outcome if rehashed is None else outcome.failed("; ".join(rehashed.refused.values())))
            else:
                counts[rehashed.outcome] += 1
                if not dry_run:
                    state_file.record(outcome.path)
            if print_element is not None:
                print_element(_to_json(outcome, rehashed))
            elif rehashed is not None:
                _print(outcome.path, rehashed, dry_run)
    if counts:
        click.echo(f"hashdb: {', '.join(f'{count} {what}' for what, count in sorted(counts.items()))}", err=True)
    return print_failures(failed)


@dataclass(frozen=True)
class _Run:
    """The service, and how pictures are hashed: by `profile`, or if that is None, by that of each contribution."""

    client: Client
    settings: MemberSettings
    algorithms: tuple[Algorithm, ...]
    seeds: tuple[Seed, ...]
    profile: Profile | None
    jobs: int | None
    dry_run: bool

    @property
    def task(self) -> str:
        """The task in the state file: another version, seed or profile hashes other parts of a picture."""
        return " ".join(["rehash", __version__, self.profile or "", *[str(seed.id) for seed in self.seeds[:1]]])

    def hash(self, files: Mapping[Path, str | None], profile: Profile) -> Generator[Outcome, None, None]:
        return hash_all(files, self.algorithms, self.settings, Mode(profile), self.jobs, seeds=self.seeds)

    def send(self, batch: list[Outcome]) -> list[_Rehashed | None]:
        """The result of each picture of a batch; None if it was not hashed."""
        wholes = [self._whole(outcome) for outcome in batch]
        by_signal: dict[Signal, dict[int, Contribution]] = defaultdict(dict)
        for contribution in self.client.holding(list(dict.fromkeys(chain.from_iterable(wholes)))):
            for signal in _whole_of(contribution):
                by_signal[signal][contribution.id] = contribution
        # For each picture of the batch, its contributions by id.
        by_picture = [{id: own for signal in whole for id, own in by_signal[signal].items()} for whole in wholes]
        by_id = {id: contribution for own in by_picture for id, contribution in own.items()}
        added, refused = self._add(by_id, self._hashes(batch, by_picture))
        return [
            None
            if outcome.hashed is None
            else _Rehashed(
                {id: added[id] for id in own if id in added}, {id: refused[id] for id in own if id in refused}
            )
            for outcome, own in zip(batch, by_picture, strict=True)
        ]

    def _whole(self, outcome: Outcome) -> list[Signal]:
        """The hashes of the whole picture by which its contributions are found."""
        of_whole = () if outcome.hashed is None else outcome.hashed.signals[: len(self.algorithms)]
        return [signal for signal in of_whole if signal.algorithm.bits == _BITS_SEARCHED]

    def _hashes(self, batch: Sequence[Outcome], by_picture: Sequence[Mapping[int, Contribution]]) -> dict[int, Hashed]:
        """The hashes of its picture for each contribution, by id, computed with the profile of the contribution."""
        profiles = {
            (place, id): self.profile or Profile.of_severity(contribution.severity)
            for place, own in enumerate(by_picture)
            for id, contribution in own.items()
        }
        hashed_as = self.profile or Profile.BALANCED
        others = {batch[place].path: None for (place, _), profile in profiles.items() if profile is not hashed_as}
        with closing(self.hash(others, Profile.THOROUGH)) as outcomes:
            thorough = {outcome.path: outcome.hashed for outcome in outcomes if outcome.hashed is not None}
        hashes: dict[int, Hashed] = {}
        for (place, id), profile in profiles.items():
            path, first = batch[place].path, batch[place].hashed
            hashed = first if profile is hashed_as else thorough.get(path)
            if hashed is not None:
                hashes[id] = hashed
        return hashes

    def _add(
        self, contributions: Mapping[int, Contribution], hashes: Mapping[int, Hashed]
    ) -> tuple[dict[int, int], dict[int, str]]:
        """How many hashes were (in a dry run: would be) added to each contribution, and why others were refused."""
        added = dict.fromkeys(hashes, 0)
        refused: dict[int, str] = {}
        additions: dict[int, Addition] = {}
        for id, hashed in hashes.items():
            now, signatures = contributions[id], hashed.signatures.get(WHOLE, ())
            new_signals = len(set(hashed.signals).difference(now.signals))
            new_signatures = len(set(signatures).difference(now.signatures))
            added[id] = min(new_signals, SIGNALS_AN_ITEM - len(now.signals) - now.masked)
            added[id] += min(new_signatures, SIGNATURES_AN_ITEM - len(now.signatures))
            if added[id]:
                additions[id] = Addition(id, hashed.signals, signatures)
        while additions and not self.dry_run:
            try:
                receipt = self.client.add_signals(list(additions.values()))
            except InvalidInput as error:
                # The service stored none of the request: leave out what it refuses, and send the others again.
                _leave_out(error, additions, refused)
                continue
            for id, recorded in zip(additions, receipt.recorded, strict=True):
                added[id] = _count(recorded.contribution) - _count(contributions[id])
            break
        return {id: count for id, count in added.items() if id not in refused}, refused


def _count(contribution: Contribution) -> int:
    return len(contribution.signals) + len(contribution.signatures)


def _whole_of(contribution: Contribution) -> Iterator[Signal]:
    """The first signal of each algorithm of 256 bits: in everything that hashdb hashes, it is of the whole picture."""
    if contribution.frame_count:
        return
    seen = set[Algorithm]()
    for signal in contribution.signals:
        if signal.algorithm.bits == _BITS_SEARCHED and signal.algorithm not in seen:
            seen.add(signal.algorithm)
            yield signal


def _leave_out(error: InvalidInput, additions: dict[int, Addition], refused: dict[int, str]) -> None:
    """Remove refused signals that are near a benign one from their additions, and additions that are refused."""
    for id, faults in faults_by_item(error, list(additions)).items():
        by_place = {f"signals[{i}]": signal for i, signal in enumerate(additions[id].signals)}
        benign = {fault.at for fault in faults if fault.at in by_place and fault.reason == CLOSE_TO_BENIGN}
        others = tuple(signal for place, signal in by_place.items() if place not in benign)
        additions[id] = replace(additions[id], signals=others)
        for fault in faults:
            if fault.at not in benign:
                field = fault.at.partition("[")[0]
                refused[id] = fault.reason if field == "id" else str(Fault(field, fault.reason))
        if id in refused:
            del additions[id]


def _print(path: Path, rehashed: _Rehashed, dry_run: bool) -> None:
    for id, count in rehashed.added.items():
        what = f"{counted(count, 'hash', 'hashes')} {'to add' if dry_run else 'added'}" if count else "up to date"
        click.echo(f"{escape_controls(path)}  contribution {id}: {what}")
    if not rehashed.added and not rehashed.refused:
        click.echo(f"{escape_controls(path)}  not among your active contributions")


def _to_json(outcome: Outcome, rehashed: _Rehashed | None) -> dict[str, object]:
    if rehashed is None:
        return {"path": str(outcome.path), "error": outcome.error}
    contributions: list[dict[str, object]] = [{"id": id, "added": count} for id, count in rehashed.added.items()]
    contributions += [{"id": id, "error": reason} for id, reason in rehashed.refused.items()]
    return {"path": str(outcome.path), "contributions": contributions}
