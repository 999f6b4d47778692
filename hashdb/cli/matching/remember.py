"""hashdb remember: keep the hashes of uploads on this machine, and tell which of them are listed later."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hashdb.cli.contributions.files import open_list
from hashdb.cli.help import Group
from hashdb.cli.matching.addresses import check_sources, send_addresses, urls_option
from hashdb.cli.matching.formats import format_age, format_match
from hashdb.cli.matching.match import open_local_index
from hashdb.cli.matching.outcomes import print_answers, print_failures, remember_uploads, send_in_batches
from hashdb.cli.matching.pictures import fast_option, find_files, hash_queries, jobs_option
from hashdb.cli.matching.state import StateFile, state_option
from hashdb.cli.options import PATH, TEXT, Instant
from hashdb.cli.output import (
    as_json,
    counted,
    escape_controls,
    print_json,
    print_result,
)
from hashdb.domain.matching.lookback import LookBackReport, ReportKind, Upload
from hashdb.domain.rules import Rules
from hashdb.domain.spelling import nearest
from hashdb.errors import MAX_FAULTS, Fault, InvalidInput, MalformedRequest, NoCopy, TooLarge, reject
from hashdb.member_settings import MemberSettings

if TYPE_CHECKING:
    from hashdb.local import LocalIndex
    from hashdb.local.remembered import Remembered
    from hashdb.local.reports import Reports
    from hashdb.wire import ValidationContext

_REPORTED = 3
"""The exit status of `hashdb remember matches` that printed a report."""
_WAIT = 20.0
"""How many seconds `--follow` waits for a report before it looks again."""
_LINES = 5_000
"""Lines of JSON whose uploads are remembered at once."""


class _Remember(Group):
    """`hashdb remember FILES` is short for `hashdb remember add FILES`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, self._with_add(ctx, args))

    # For a caller that resolves words which it does not parse before, such as a check of examples.
    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        return super().resolve_command(ctx, self._with_add(ctx, args))

    def _with_add(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or args[0] in self.commands or args[0] in ctx.help_option_names:
            return args
        is_misspelt = not os.path.lexists(args[0]) and nearest(args[0], self.commands)
        return args if is_misspelt else ["add", *args]


@click.group(
    "remember",
    cls=_Remember,
    examples=(
        "hashdb remember upload.jpg",
        "hashdb remember manifesto.pdf",
        "hashdb remember --jsonl uploads.jsonl",
        "hashdb remember matches --follow",
    ),
)
def remember_command() -> None:
    """Remember uploads, and report which of them are listed later.

    The hashes of uploads stay on this machine. While `hashdb sync --follow` or the sidecar runs, each new contribution
    is matched with them. `hashdb remember FILES` is short for `hashdb remember add FILES`.
    """


@remember_command.command(
    "add",
    examples=(
        "hashdb remember add uploads/ --transforms",
        "hashdb remember add upload.jpg --id post-81 --at 2026-11-20T10:00:00Z",
        "hashdb remember add --urls urls.txt",
        "hashdb remember add --jsonl uploads.jsonl",
    ),
)
@click.argument("paths", nargs=-1, type=PATH)
@click.option(
    "--jsonl",
    type=PATH,
    help="Remember the uploads of this JSON Lines file instead; `-` is standard input.",
)
@click.option("--id", "id", type=TEXT, help="Your own id of the upload, for one file. By default its path.")
@click.option("--at", type=Instant(), help="When the files were uploaded: a time, or `now`, which is the default.")
@click.option("--transforms", is_flag=True, help="Remember each picture as `hashdb match --transforms` asks for it.")
@urls_option
@state_option
@jobs_option
@fast_option
@as_json
def add(
    paths: tuple[Path, ...],
    jsonl: Path | None,
    id: str | None,
    at: datetime | None,
    transforms: bool,
    urls: Path | None,
    state: Path | None,
    jobs: int | None,
    fast: bool,
    as_json: bool,
) -> int:
    """Remember uploads; an id that is remembered already is replaced.

    PATHS are pictures, videos, documents and texts, or folders of them. A line of JSON has `id`, `at` and `signals`,
    and may have `transforms`, `signatures`, `frames` and `duration`. The id of an address is its digest, as `hashdb
    hash --urls` prints it. Nothing is matched: `hashdb match --remember` does both.
    """
    of_files = {"--id": id, "--transforms": transforms, "--state": state, "--jobs": jobs, "--fast": fast}
    _require_one_source(paths, jsonl, urls, of_files, at)
    settings = MemberSettings.of_member()
    with open_local_index(settings) as index:
        rules = _read_rules(index)
        if jsonl is not None:
            return _add_lines(jsonl, rules, index.remembered, as_json)
        send = partial(remember_uploads, index.remembered.remember, at=at or datetime.now(UTC), own_id=id)
        if urls is not None:
            with open_list(urls) as lines:
                answers = send_addresses(lines, send, for_query=True)
                failed = print_answers(answers, _to_text, _to_json, what="remembering", as_json=as_json)
            return print_failures(failed)
        files = find_files(paths)
        if id is not None and len(files) != 1:
            raise click.UsageError("--id is for one file")
        seeds = () if rules is None else index.seeds
        algorithms = settings.algorithms if rules is None else rules.algorithms
        state_file = StateFile(state, task="remember transforms" if transforms else "remember")
        left = state_file.skip_done(files)
        hashing = hash_queries(left, algorithms, settings, jobs, seeds=seeds, transforms=transforms, fast=fast)
        with state_file, closing(hashing) as hashed:
            failed = print_answers(
                send_in_batches(list(left), hashed, send),
                _to_text,
                _to_json,
                what="remembering",
                as_json=as_json,
                total=len(left),
                state_file=state_file,
            )
        return print_failures(failed)


def _require_one_source(
    paths: tuple[Path, ...], jsonl: Path | None, urls: Path | None, of_files: Mapping[str, object], at: datetime | None
) -> None:
    """Raise UsageError unless there is one source of uploads, and no option that it does not take.

    `of_files` has the options that only files take; addresses take `at`, too.
    """
    if [bool(paths), jsonl is not None, urls is not None].count(True) != 1:
        raise click.UsageError("name files or folders, a list of addresses with --urls, or JSON Lines with --jsonl")
    if jsonl is None:
        check_sources(paths, urls, only_for_files=of_files)
    elif any(value is not None and value is not False for value in (*of_files.values(), at)):
        raise click.UsageError("--jsonl allows no other option than --json")


def _to_text(upload: Upload) -> str:
    return "remembered"


def _to_json(upload: Upload) -> dict[str, object]:
    return {"id": upload.id}


def _add_lines(file: Path, rules: Rules | None, remembered: Remembered, as_json: bool) -> int:
    """Remember the uploads of a file of JSON Lines: all of them, or with a faulty line none. The exit status."""
    from hashdb.settings import Settings
    from hashdb.wire import ValidationContext

    context = ValidationContext(Settings.read().rules() if rules is None else rules, datetime.now(UTC))
    faults: list[tuple[int, Fault]] = []
    with open_list(file) as lines:
        count = sum(1 for _ in _read_lines(lines, context, remembered, faults))
        if not faults:
            lines.seek(0)
            uploads = _read_lines(lines, context, remembered, faults)
            while batch := list(islice(uploads, _LINES)):
                remembered.remember(batch)
    if not as_json:
        for line, fault in faults:
            click.echo(escape_controls(f"{file}:{line}: {fault}"), err=True)
    remembered_now = 0 if faults else count
    listed = [{"line": line, "at": fault.at, "reason": fault.reason} for line, fault in faults]
    sentence = "nothing is remembered: correct these lines" if faults else f"{counted(count, 'upload')} remembered"
    print_result({"remembered": remembered_now, "faults": listed}, sentence, as_json)
    return 1 if faults else 0


def _read_lines(
    lines: Iterable[str], context: ValidationContext, remembered: Remembered, faults: list[tuple[int, Fault]]
) -> Iterator[Upload]:
    """The uploads of lines of JSON. The faults are added to a list; after a thousand, no more is read."""
    from hashdb.wire import read
    from hashdb.wire.lookback import UploadIn

    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            upload = read(UploadIn, line.encode(errors="surrogateescape"), context).to_domain()
            reject(remembered.faults([upload]))
        except InvalidInput as error:
            faults += [(number, Fault(fault.at.removeprefix("uploads[0]."), fault.reason)) for fault in error.faults]
        except MalformedRequest:
            faults.append((number, Fault("", "is not JSON in UTF-8")))
        except TooLarge as error:
            faults.append((number, Fault("", str(error))))
        else:
            yield upload
        if len(faults) >= MAX_FAULTS:
            return


@remember_command.command(
    "matches",
    examples=("hashdb remember matches", "hashdb remember matches --follow --json", "hashdb remember matches --peek"),
)
@click.option("--follow", is_flag=True, help="Keep running, and print each report as it is made.")
@click.option("--peek", is_flag=True, help="Do not acknowledge: the same reports are printed again.")
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each report.")
def matches(follow: bool, peek: bool, as_json: bool) -> int:
    """Print which remembered uploads were listed later, and which are no longer.

    Each report is printed once: then it is acknowledged. Without --follow, the exit status says if there was a report:
    3 if there was one, and 0 if there was none. A match is advice to review.
    """
    settings = MemberSettings.of_member()
    after, count = None, 0
    with open_local_index(settings) as index:
        # Without a copy nothing is ever found, so an empty answer would mislead: this raises NoCopy.
        index.opened()
        reports = _open_reports(index)
        while True:
            listed = reports.after(after, wait=_WAIT if follow else 0)
            if not listed and not follow:
                break
            click.echo(
                "".join(f"{_report_to_json(report) if as_json else _report_to_text(report)}\n" for report in listed),
                nl=False,
            )
            sys.stdout.flush()
            count += len(listed)
            if peek and listed:
                after = listed[-1].number
            elif listed:
                reports.acknowledge(listed[-1].number)
        _print_age(index, reports)
    return _REPORTED if count else 0


@remember_command.command("forget", examples=("hashdb remember forget post-81 post-82",))
@click.argument("ids", nargs=-1, required=True, type=TEXT)
@as_json
def forget(ids: tuple[str, ...], as_json: bool) -> None:
    """Forget uploads, and the reports about them.

    IDS are your own ids of the uploads. Unknown ids are ignored, but the field `forgotten` of --json counts them, too.
    """
    settings = MemberSettings.of_member()
    with open_local_index(settings) as index:
        index.remembered.forget(ids)
        _open_reports(index).forget(ids)
    print_result({"forgotten": len(ids)}, "forgotten; ids that were not remembered are ignored", as_json)


@remember_command.command("status", examples=("hashdb remember status",))
@as_json
def status(as_json: bool) -> None:
    """Show what is remembered, how far look-back is, and which reports wait."""
    settings = MemberSettings.of_member()
    with open_local_index(settings) as index:
        index.opened()
        reports = _open_reports(index)
        state, days = reports.state(), index.remembered.count_by_day()
        looked_back = None if state.cursor is None else {"epoch": state.cursor.epoch, "seq": state.cursor.seq}
        document = {
            "remembered": sum(days.values()),
            "days": {day.isoformat(): count for day, count in days.items()},
            "retention_days": index.remembered.retention.days,
            "looked_back": looked_back,
            "checkpoint": index.checkpoint,
            "reports": state.last,
            "acknowledged": state.acknowledged,
            "waiting": state.waiting,
        }
        if as_json:
            print_json(document)
            return
        span = f", of {min(days)} to {max(days)}" if days else ""
        records = counted(sum(days.values()), "record")
        click.echo(f"remembered: {records}{span} (replaced uploads and forgotten ids count, too)")
        click.echo(f"retention: {counted(index.remembered.retention.days, 'day')}")
        click.echo(f"reports: {state.last}; not acknowledged: {state.waiting}")
        _print_age(index, reports)


def _open_reports(index: LocalIndex) -> Reports:
    from hashdb.local.reports import Reports

    return Reports(index.remembered.folder)


def _read_rules(index: LocalIndex) -> Rules | None:
    """The rules of the copy; None, with a warning, if there is no copy yet."""
    try:
        return index.rules
    except NoCopy:
        click.echo("hashdb: there is no local copy yet: nothing is found before `hashdb sync --follow` runs", err=True)
        return None


def _print_age(index: LocalIndex, reports: Reports) -> None:
    cursor = reports.cursor()
    done = "has not begun" if cursor is None else f"is done up to event {cursor.seq}"
    copy = f"the local copy is {format_age(index.age)} old (event {index.checkpoint})"
    click.echo(f"hashdb: {copy}, and look-back {done}", err=True)


def _report_to_text(report: LookBackReport) -> str:
    what = "matched" if report.kind is ReportKind.MATCHED else f"taken back ({report.reason})"
    columns = [f"{report.found_at:%Y-%m-%d %H:%M:%S} UTC", report.upload, what, format_match(report.match)]
    return "  ".join(map(escape_controls, columns))


def _report_to_json(report: LookBackReport) -> str:
    from hashdb.wire.lookback import ReportOut

    # In ASCII, as `print_json` writes.
    return json.dumps(json.loads(ReportOut.from_domain(report).json_text()))
