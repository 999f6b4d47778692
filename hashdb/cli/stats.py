"""hashdb report: the figures of a period as JSON, CSV or HTML, or in the terms of the TCO regulation or the DSA."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import click

from hashdb.cli.accounts import find_member
from hashdb.cli.help import Choice, Command
from hashdb.cli.home import empty_log, open_home
from hashdb.cli.options import FILE, NAME_OR_ID, Id
from hashdb.domain.accounts.members import COMMAND_LINE
from hashdb.domain.stats.reports import Report
from hashdb.domain.stats.statements import statement_of_reasons, tco_report
from hashdb.errors import BadSetting, os_reason
from hashdb.service.contributions import contributions
from hashdb.service.stats import reports
from hashdb.web.reports import page
from hashdb.wire.stats import ReportOut, csv_text

_FORMS = {"json": "one JSON document", "csv": "one row per figure", "html": "a page for people"}
_PRESETS = {
    "tco": "what hashdb knows for Regulation (EU) 2021/784, Article 7(3), of one platform: give --member",
    "dsa": "fields of a statement of reasons, for a match with one contribution: give --contribution",
}


class _Day(click.ParamType[date]):
    """A day, like 2026-11-20."""

    name = "day"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """The day; a usage error if the text is not one."""
        try:
            return value if isinstance(value, date) else date.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not a day: write it like 2026-11-20", param, ctx)


@click.command(
    "report",
    cls=Command,
    examples=(
        "hashdb report --from 2026-07-01 --to 2026-09-30 report.html",
        "hashdb report --preset tco --member 'Example Video' tco.json",
        "hashdb report --preset dsa --contribution 17",
    ),
)
@click.argument("file", required=False, type=FILE)
@click.option("--from", "first", type=_Day(), help="First day (UTC). By default the first day of the log.")
@click.option("--to", "last", type=_Day(), help="Last day (UTC), included. By default today.")
@click.option(
    "--format", "form", type=Choice(_FORMS), help="Format. By default the suffix of FILE decides; without FILE, json."
)
@click.option("--member", type=NAME_OR_ID, help="Report on one member only: its id or name.")
@click.option("--preset", type=Choice(_PRESETS), help="Report in the terms of a law, in JSON.")
@click.option(
    "--contribution", type=Id("contribution"), help="With --preset dsa: the id of the contribution that matched."
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
def report_command(
    file: Path | None,
    first: date | None,
    last: date | None,
    form: str | None,
    member: str | None,
    preset: str | None,
    contribution: int | None,
    as_json: bool,
) -> None:
    """Report what happened in a period.

    The report counts contributions, matches, disputes and refusals. It is written to FILE, or to standard output.
    Once a period is over and final, its numbers never change. Run this command on the service's machine.
    """
    format = "json" if as_json else form or ("json" if file is None else file.suffix.removeprefix(".").lower())
    if format not in _FORMS:
        raise click.UsageError(f"{file} does not end in .json, .csv or .html: give --format")
    if preset is not None and format != "json":
        raise click.UsageError("--preset writes JSON only: leave out --format, or give --format json")
    if (preset == "dsa") != (contribution is not None):
        raise click.UsageError("--preset dsa and --contribution go together: give both or neither")
    with open_home() as db:
        if not db.store.head().seq:
            raise empty_log()
        if contribution is not None:
            listed = contributions.get(db, COMMAND_LINE, contribution)
            text = _format_json(statement_of_reasons(listed.media, listed.context, listed.labels))
        else:
            id = None if member is None else find_member(db, member).id
            report = reports.transparency(db, COMMAND_LINE, first, last, form=preset or format, member=id)
            text = _format_json(tco_report(report)) if preset else _format_report(report, format)
    _write(file, text)


def _format_report(report: Report, form: str) -> str:
    if form == "html":
        return page(report)
    return csv_text(report) if form == "csv" else _format_json(json.loads(ReportOut.from_domain(report).json_text()))


def _format_json(document: Any) -> str:
    return f"{json.dumps(document, indent=1)}\n"


def _write(file: Path | None, text: str) -> None:
    if file is None:
        click.echo(text, nl=False)
        return
    try:
        file.write_text(text, "utf-8")
    except OSError as error:
        raise BadSetting(str(file), f"cannot be written: {os_reason(error)}") from None
