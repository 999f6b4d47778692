"""hashdb import: contribute a list of hashes, reporting each invalid row. hashdb export: print such a list."""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO

import click

from hashdb.cli.contributions.rows import FIELDS, LISTS, Format, Row, read_rows
from hashdb.cli.help import ALGORITHMS, LABELS, Choice, Code, Command
from hashdb.cli.output import as_json, escape_controls, print_json, progress_bar, progress_counter
from hashdb.client import Client
from hashdb.domain.contributions import Contribution, Draft, Filter, Status
from hashdb.domain.signals import Algorithm
from hashdb.errors import MAX_FAULTS, Fault, InvalidInput, MalformedRequest
from hashdb.settings import Settings
from hashdb.wire import ValidationContext
from hashdb.wire.cells import line
from hashdb.wire.contributions import DraftIn, read_draft
from hashdb.wire.sharing.exports import bundle, event
from hashdb.wire.videos import drafts_in_requests

_POSITION = re.compile(r"contributions\[(\d+)\]\.?")


@dataclass(slots=True)
class Report:
    """The result of the rows so far. Each fault is printed when it is found; for JSON, a thousand are kept."""

    name: str
    as_json: bool
    rows: int = 0
    contributed: int = 0
    known: int = 0
    faulty: int = 0
    faults: list[dict[str, object]] = field(default_factory=list)

    def refuse(self, line: int, *faults: Fault) -> None:
        """Report a faulty row by its line. The row itself is never printed: it contains a hash."""
        self.faulty += 1
        for fault in faults:
            if self.as_json and len(self.faults) < MAX_FAULTS:
                self.faults.append({"line": line, "at": fault.at, "reason": fault.reason})
            if not self.as_json:
                click.echo(escape_controls(f"{self.name}:{line}: {fault}"), err=True)


_FORMATS = {
    "csv": "a table whose first line names the columns",
    "jsonl": "one JSON object per line",
    "text": "an algorithm and a hash, or only a hash, per line",
    "vpdq": "the hashes of one video, as `hashdb hash --format vpdq` or vPDQ prints them",
}


@click.command(
    "import",
    cls=Command,
    examples=(
        "hashdb import --dry-run hashes.csv",
        "hashdb import --label glorification --algorithm pdq --skip-faulty hashes.txt",
        "hashdb export --format jsonl | hashdb import --format jsonl -",
    ),
)
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--format", "form", type=Choice(_FORMATS), help="Format of the file. By default its suffix decides.")
@click.option(
    "--label", "labels", multiple=True, type=Code(LABELS), help="Label for rows without labels; may be repeated."
)
@click.option("--algorithm", type=Choice(ALGORITHMS), help="Algorithm, for files with one bare hash per line.")
@click.option("--dry-run", is_flag=True, help="Only check the rows; store nothing.")
@click.option("--skip-faulty", is_flag=True, help="Skip invalid rows. By default one invalid row stops the import.")
@as_json
def import_command(
    file: Path,
    form: str | None,
    labels: tuple[str, ...],
    algorithm: str | None,
    dry_run: bool,
    skip_faulty: bool,
    as_json: bool,
) -> int:
    """Import a list of hashes.

    FILE is a CSV file, a JSON Lines file or a text file; `-` is standard input. In CSV and JSON Lines, the columns and
    keys are the fields of a contribution; `vpdq`, `md5` and `sha256` may hold a video's hashes. A text file has an
    algorithm and a hash on each line.
    Safe to repeat: known items are unchanged.
    """
    report, format = Report(str(file), as_json), Format(form) if form else Format.of(file)
    with Client.from_environment() as client, _open_seekable(file) as lines:
        me = client.me()
        context = ValidationContext(me.rules(), datetime.now(UTC), imported=True)

        def drafts() -> Iterator[tuple[int, Draft]]:
            lines.seek(0)
            rows = read_rows(lines, format, Algorithm(algorithm) if algorithm else None)
            for line, draft in _drafts(rows, labels, context, report):
                # A service of version 0.1.0 refuses signatures.
                yield line, draft if me.signatures else replace(draft, signatures=())

        if dry_run or not skip_faulty:
            bar, advance = progress_counter("checking")
            with bar:
                for _ in drafts():
                    advance(1)
        if not dry_run and not report.faulty:
            report.rows = 0
            _contribute(client, drafts(), report, skip_faulty=skip_faulty)
    _print_report(report, dry_run=dry_run)
    return 1 if report.faulty else 0


def _drafts(
    rows: Iterator[Row], labels: Sequence[str], context: ValidationContext, report: Report
) -> Iterator[tuple[int, Draft]]:
    """The drafts of the valid rows, each with its line; the other rows are reported."""
    for row in rows:
        report.rows += 1
        if row.fault is not None:
            report.refuse(row.line, row.fault)
            continue
        fields = row.fields if row.fields.get("labels") or not labels else {**row.fields, "labels": list(labels)}
        try:
            yield row.line, read_draft(json.dumps(fields), context)
        except InvalidInput as error:
            report.refuse(row.line, *error.faults)
        except MalformedRequest:
            report.refuse(row.line, Fault("", "is not JSON in UTF-8"))


def _contribute(client: Client, drafts: Iterator[tuple[int, Draft]], report: Report, *, skip_faulty: bool) -> None:
    bar, advance = progress_bar("importing", report.rows) if report.rows else progress_counter("importing")
    lines: deque[int] = deque()

    def remember(drafts: Iterator[tuple[int, Draft]]) -> Iterator[Draft]:
        for line, draft in drafts:
            lines.append(line)
            yield draft

    with bar:
        for part in drafts_in_requests(remember(drafts)):
            batch = {lines.popleft(): draft for draft in part}
            advance(len(batch))
            while batch:
                try:
                    receipt = client.contribute(list(batch.values()), imported=True)
                except InvalidInput as error:
                    # Faults that only the service can find, like a signal on the benign list.
                    for line, faults in _faults_by_line(error, list(batch)).items():
                        report.refuse(line, *faults)
                        del batch[line]
                    if skip_faulty:
                        continue
                    return
                known = sum(recorded.known for recorded in receipt.recorded)
                report.known += known
                report.contributed += len(batch) - known
                break


def _faults_by_line(error: InvalidInput, lines: Sequence[int]) -> dict[int, list[Fault]]:
    faults: dict[int, list[Fault]] = {}
    for fault in error.faults:
        position = _POSITION.match(fault.at)
        if position is None:
            raise error
        faults.setdefault(lines[int(position[1])], []).append(Fault(fault.at[position.end() :], fault.reason))
    return faults


def _print_report(report: Report, *, dry_run: bool) -> None:
    counts = {"rows": report.rows, "contributed": report.contributed, "known": report.known, "faulty": report.faulty}
    if report.as_json:
        omitted = {"omitted": report.faulty - len(report.faults)} if report.faulty > len(report.faults) else {}
        print_json({**counts, "dry_run": dry_run, "faults": report.faults, **omitted})
        return
    summary = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count or name in ("rows", "faulty"))
    stored = report.contributed or report.known
    summary = summary.replace("1 rows", "1 row", 1) if report.rows == 1 else summary
    click.echo(f"{escape_controls(report.name)}: {summary}{'' if stored else '; nothing was stored'}")


@contextmanager
def _open_seekable(file: Path) -> Iterator[TextIO]:
    """The lines of a file, or a copy of standard input: they are read twice."""
    if str(file) == "-":
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="surrogateescape", newline="") as copy:
            if isinstance(sys.stdin, TextIOWrapper):
                sys.stdin.reconfigure(encoding="utf-8", errors="surrogateescape")
            _copy(sys.stdin.read, copy)
            yield copy
        return
    try:
        opened = file.open(encoding="utf-8", errors="surrogateescape", newline="")
    except OSError as error:
        raise click.UsageError(f"{file} cannot be read: {(error.strerror or '').lower()}") from None
    with opened:
        yield opened


def _copy(read: Callable[[int], str], copy: TextIO) -> None:
    while text := read(1 << 20):
        copy.write(text)


Fields = Mapping[str, object]


_EXPORTS = {
    "csv": "a table whose first line names the columns",
    "jsonl": "one JSON object per line",
    "misp": "one MISP event",
    "stix": "one bundle of STIX 2.1",
}


@click.command(
    "export", cls=Command, examples=("hashdb export > contributions.csv", "hashdb export --format stix > bundle.json")
)
@click.option("--format", "form", type=Choice(_EXPORTS), default="csv", show_default=True, help="Format.")
@as_json
def export_command(form: str, as_json: bool) -> None:
    """Export your active contributions as a list.

    The command prints one row for each contribution. `hashdb import` reads the formats `csv` and `jsonl`. The formats
    `misp` and `stix` also contain contributions that no longer match, marked as deleted or revoked.
    """
    if form in ("misp", "stix"):
        _print_bundle(form)
        return
    bar, advance = progress_counter("exporting")
    with Client.from_environment() as client, bar:
        contributions = client.contributions(Filter(member=client.me().member.id, status=Status.ACTIVE))
        write = _print_array if as_json else _print_lines if form == "jsonl" else _print_csv
        write(_to_rows(client, contributions, advance))


def _print_bundle(form: str) -> None:
    """Print the contributions for MISP or STIX.

    Erased ones, and videos without a digest of their file, have nothing to be identified by, and are left out.
    """
    bar, advance = progress_counter("exporting")
    url = Settings.read().url
    with Client.from_environment() as client, bar:
        me = client.me().member
        contributions = _identified(client.contributions(Filter(member=me.id)), advance)
        for part in (
            bundle(url, contributions) if form == "stix" else event(url, me.name, datetime.now(UTC), contributions)
        ):
            click.echo(part, nl=False)


def _identified(contributions: Iterable[Contribution], advance: Callable[[int], None]) -> Iterator[Contribution]:
    videos = 0
    for contribution in contributions:
        advance(1)
        if contribution.frame_count and not contribution.signals:
            videos += 1
        elif not contribution.erased:
            yield contribution
    if videos:
        click.echo(f"hashdb: videos without a digest of their file, which are left out: {videos:,}", err=True)


def _to_rows(client: Client, contributions: Iterable[Contribution], advance: Callable[[int], None]) -> Iterator[Fields]:
    for contribution in contributions:
        draft = _draft(contribution)
        if contribution.frame_count:
            # A frame whose signals are all suppressed has none.
            draft = replace(draft, frames=tuple(frame for frame in client.frames(contribution.id) if frame.signals))
        yield json.loads(DraftIn.from_domain(draft).model_dump_json())
        advance(1)


def _print_csv(rows: Iterable[Fields]) -> None:
    click.echo(line(FIELDS), nl=False)
    for row in rows:
        click.echo(line(_cell(name, row[name]) for name in FIELDS), nl=False)


def _print_lines(rows: Iterable[Fields]) -> None:
    for row in rows:
        click.echo(_to_json_line(row))


def _print_array(rows: Iterable[Fields]) -> None:
    click.echo("[", nl=False)
    for number, row in enumerate(rows):
        click.echo(f"{',' if number else ''}\n{_to_json_line(row)}", nl=False)
    click.echo("\n]")


def _to_json_line(row: Fields) -> str:
    return json.dumps({name: row[name] for name in FIELDS if row[name] not in (None, [])})


def _draft(contribution: Contribution) -> Draft:
    return Draft(**{field.name: getattr(contribution, field.name) for field in fields(Draft)})


def _cell(name: str, value: object) -> object:
    if name in LISTS and isinstance(value, Iterable):
        return " ".join(map(str, value))
    if name == "frames":
        return json.dumps(value, separators=(",", ":")) if value else ""
    return "" if value is None else value
