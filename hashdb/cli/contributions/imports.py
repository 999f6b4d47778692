"""hashdb import: contribute a list of hashes, reporting each invalid row."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any, TextIO

import click

from hashdb.cli.contributions.columns import COLUMN_NAMES, Columns, normalize
from hashdb.cli.contributions.dates import SHAPES, Dates, Zone
from hashdb.cli.contributions.files import BEGINNING, Encoding, open_list
from hashdb.cli.contributions.reports import Report
from hashdb.cli.contributions.rows import Format, read_rows
from hashdb.cli.contributions.values import Row, Values
from hashdb.cli.help import ALGORITHMS, LABELS, Choice, Code, Command
from hashdb.cli.options import PATH, TEXT
from hashdb.cli.output import as_json, progress_bar
from hashdb.client import Client
from hashdb.domain.contributions import Draft
from hashdb.domain.rules import Rules
from hashdb.domain.signals import Algorithm
from hashdb.domain.spelling import did_you_mean
from hashdb.errors import Fault, InvalidInput, MalformedRequest
from hashdb.wire import ValidationContext, read, to_json
from hashdb.wire.drafts import DraftIn
from hashdb.wire.frames import drafts_in_requests
from hashdb.wire.problems import faults_by_item

_ENCODING = ": if it is text, pass --encoding, like --encoding utf-16-le"
_NO_LABELS = Fault("labels", "is required")
_UNLABELLED = Fault("labels", "is required: pass --label for rows without labels")
_FORMATS = {
    "csv": "a table whose first line names the columns",
    "tsv": "the same, with tabs between the columns",
    "jsonl": "one JSON object per line",
    "text": "an algorithm and a hash, or only a hash, per line",
    "vpdq": "the hashes of one video, as `hashdb hash --format vpdq` or vPDQ prints them",
}


class _Mapping(click.ParamType[tuple[str, str]]):
    """`theirs=ours`: their name, which may have a `=`, and one of COLUMN_NAMES."""

    name = "theirs=field"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """The two names; a usage error if the text is not such a pair."""
        if isinstance(value, tuple):
            return value
        text = TEXT.convert(value, param, ctx)
        theirs, equals, ours = text.rpartition("=")
        if not equals or not normalize(theirs):
            self.fail(f"{text!r} is not theirs=field, like Category=labels", param, ctx)
        if ours not in COLUMN_NAMES:
            self.fail(
                f"{ours!r} is not a field: {', '.join(COLUMN_NAMES)}{did_you_mean(ours, COLUMN_NAMES)}", param, ctx
            )
        return theirs, ours


@click.command(
    "import",
    cls=Command,
    examples=(
        "hashdb import --dry-run hashes.csv",
        "hashdb import --map Category=labels --ignore-columns --timezone Europe/Berlin --dates day-first theirs.csv",
        "hashdb import --label glorification --algorithm pdq --skip-faulty hashes.txt",
        "hashdb export --format jsonl | hashdb import --format jsonl -",
    ),
)
@click.argument("file", type=PATH)
@click.option(
    "--format",
    "form",
    type=Choice(_FORMATS),
    help="Format of the file. By default its suffix or its first line decides.",
)
@click.option("--encoding", type=Encoding(), help="Encoding of a file without a byte order mark, if not UTF-8.")
@click.option(
    "--label", "labels", multiple=True, type=Code(LABELS), help="Label for rows without labels; may be repeated."
)
@click.option("--algorithm", type=Choice(ALGORITHMS), help="Algorithm, for hashes without an algorithm.")
@click.option(
    "--map", "mapped", multiple=True, type=_Mapping(), help="Read their column or key as this field; may be repeated."
)
@click.option(
    "--ignore-column", "ignored", multiple=True, type=TEXT, help="Leave out this column or key; may be repeated."
)
@click.option("--ignore-columns", "ignore_rest", is_flag=True, help="Leave out all columns and keys that are not used.")
@click.option("--timezone", "zone", type=Zone(), help="Time zone of dates and times that have none.")
@click.option("--dates", "shape", type=Choice(SHAPES), help="Format of dates and times that are not in ISO 8601.")
@click.option("--dry-run", is_flag=True, help="Only check the rows, and show the first ones; store nothing.")
@click.option("--skip-faulty", is_flag=True, help="Skip invalid rows. By default one invalid row stops the import.")
@as_json
def import_command(
    file: Path,
    form: str | None,
    encoding: str | None,
    labels: tuple[str, ...],
    algorithm: str | None,
    mapped: tuple[tuple[str, str], ...],
    ignored: tuple[str, ...],
    ignore_rest: bool,
    zone: tzinfo | None,
    shape: str | None,
    dry_run: bool,
    skip_faulty: bool,
    as_json: bool,
) -> int:
    """Import a list of hashes.

    FILE is a CSV file, a JSON Lines file or a text file; `-` is standard input. In CSV and JSON Lines, the columns and
    keys are the fields of a contribution, also in other spellings; `algorithm` and `hash`, or a column for each
    algorithm, hold the hashes. A column that is not used stops the import, unless you leave it out. A text file has an
    algorithm and a hash on each line.
    Safe to repeat: known items are unchanged.
    """
    columns = Columns(read_mappings(mapped), ignored, ignore_rest)
    report = Report(str(file), as_json, dry_run, columns)
    with open_list(file, encoding, _ENCODING) as lines, Client.from_environment() as client:
        format = Format(form) if form else Format.detect(file.suffix, lines.read(BEGINNING))
        if format in (Format.TEXT, Format.VPDQ) and (mapped or ignored):
            raise click.UsageError(
                f"{file} is read as {format}, which has no columns: pass --format csv if the file has columns"
            )
        me = client.me()
        values = Values(Dates(zone, shape), Algorithm(algorithm) if algorithm else None, me.rules().vocabulary)
        # A service of version 0.1.0 refuses signatures.
        drafts = _Drafts(lines, format, columns, values, labels, me.rules(), bool(me.signatures))
        _check(drafts, report)
        if not (dry_run or report.is_refused or (report.faulty and not skip_faulty)):
            # The rows were reported by the check.
            _contribute(client, drafts.read(report=None), report, skip_faulty=skip_faulty)
    report.print()
    return 1 if report.faulty or report.is_refused else 0


@dataclass(frozen=True, slots=True)
class _Drafts:
    """The drafts of a list, which is read twice: to check it, and to send them."""

    lines: TextIO
    format: Format
    columns: Columns
    values: Values
    labels: tuple[str, ...]
    rules: Rules
    with_signatures: bool

    def read(self, report: Report | None) -> Iterator[tuple[int, Draft]]:
        """The drafts, each with its line; faults are reported if there is a report."""
        self.lines.seek(0)
        rows = read_rows(self.lines, self.format, self.values, self.columns, is_labelled=bool(self.labels))
        context = ValidationContext(self.rules, datetime.now(UTC), imported=True)
        for line, draft in read_drafts(rows, self.labels, context, report):
            yield line, draft if self.with_signatures else replace(draft, signatures=())


def _check(drafts: _Drafts, report: Report) -> None:
    """Read the list once, and report its rows; nothing is sent."""
    with progress_bar("checking") as advance:
        for line, draft in drafts.read(report):
            report.accept(line, draft)
            advance(1)
    if not report.is_refused:
        report.print_unused()


def read_mappings(mapped: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The field of each column of `--map`. Raises UsageError for a column or a field that occurs twice."""
    for position, what in enumerate(("their column", "the field")):
        names = [pair[position] for pair in mapped]
        counts = Counter(map(normalize, names))
        if twice := next((name for name in names if counts[normalize(name)] > 1), None):
            raise click.UsageError(f"--map names {what} {twice!r} twice")
    return dict(mapped)


def read_drafts(
    rows: Iterator[Row], labels: Sequence[str], context: ValidationContext, report: Report | None
) -> Iterator[tuple[int, Draft]]:
    """The drafts of the valid rows, each with its line; the other rows are reported."""
    for row in rows:
        if row.whole:
            if report:
                report.refuse_list(row.line, *row.faults)
            continue
        if report:
            report.rows += 1
        faults = row.faults
        if not faults:
            fields = row.fields
            if labels and not fields.get("labels"):
                fields = {**fields, "labels": list(labels)}
                if report:
                    report.labelled += 1
            try:
                yield row.line, read(DraftIn, to_json(fields), context).to_domain()
                continue
            except InvalidInput as error:
                faults = tuple(_UNLABELLED if fault == _NO_LABELS else fault for fault in error.faults)
            except MalformedRequest:
                faults = (Fault("", "is not JSON in UTF-8"),)
        if report:
            report.refuse(row.line, *faults)


def _contribute(client: Client, drafts: Iterator[tuple[int, Draft]], report: Report, *, skip_faulty: bool) -> None:
    lines: deque[int] = deque()

    def note_lines(drafts: Iterator[tuple[int, Draft]]) -> Iterator[Draft]:
        for line, draft in drafts:
            lines.append(line)
            yield draft

    with progress_bar("importing", report.rows - report.faulty) as advance:
        for part in drafts_in_requests(note_lines(drafts)):
            batch = {lines.popleft(): draft for draft in part}
            advance(len(batch))
            while batch:
                try:
                    receipt = client.contribute(list(batch.values()), imported=True)
                except InvalidInput as error:
                    # Faults that only the service can find, like a signal on the benign list.
                    for line, faults in faults_by_item(error, list(batch)).items():
                        report.refuse(line, *faults)
                        del batch[line]
                    if skip_faulty:
                        continue
                    return
                known = sum(recorded.known for recorded in receipt.recorded)
                report.known += known
                report.contributed += len(batch) - known
                break
