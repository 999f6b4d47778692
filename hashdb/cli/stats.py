"""hashdb report: the figures of a period as JSON, CSV or HTML, or in the terms of the TCO regulation or the DSA."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import click

from hashdb.cli.accounts import find_member
from hashdb.cli.home import open_home
from hashdb.cli.options import TEXT
from hashdb.domain.accounts.members import COMMAND_LINE
from hashdb.domain.stats.reports import Report, statement_of_reasons, tco_report
from hashdb.errors import BadSetting
from hashdb.service import HashDB
from hashdb.service.contributions import contributions
from hashdb.service.stats import reports
from hashdb.settings import Settings
from hashdb.web.reports import page
from hashdb.wire.stats import ReportOut, csv_text

_FORMS = ("json", "csv", "html")


class _Day(click.ParamType[date]):
    """A day, like 2026-11-20."""

    name = "day"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """The day; a usage error if the text is not one."""
        try:
            return value if isinstance(value, date) else date.fromisoformat(value)
        except ValueError:
            self.fail("takes a day, like 2026-11-20", param, ctx)


@click.command("report")
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--from", "first", type=_Day(), help="The first day (UTC); by default the first of the log.")
@click.option("--to", "last", type=_Day(), help="The last day (UTC), included; today by default.")
@click.option("--format", "form", type=click.Choice(_FORMS), help="By default what FILE ends in, else json.")
@click.option("--member", type=TEXT, help="Of one member alone, by its id or name.")
@click.option(
    "--preset",
    type=click.Choice(["tco", "dsa"]),
    help="tco: what is known here of Regulation (EU) 2021/784, Art. 7(3), for a platform (see --member); "
    "dsa: the fields of a statement of reasons for a match on the contribution of --contribution. In JSON.",
)
@click.option("--contribution", type=click.IntRange(1), help="With --preset dsa: which contribution was matched.")
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

    Report on a period: what was contributed, matched, disputed and refused, into FILE or on standard output.

    The same period has the same numbers each time, once it is final.
    """
    format = "json" if as_json else form or ("json" if file is None else file.suffix.removeprefix(".").lower())
    if format not in _FORMS:
        raise click.UsageError(f"{file} does not end in .json, .csv or .html: name a --format")
    if preset is not None and format != "json":
        raise click.UsageError("a preset is told in JSON")
    if (preset == "dsa") != (contribution is not None):
        raise click.UsageError("--preset dsa and --contribution go together")
    with open_home(Settings.read()) as db:
        if contribution is not None:
            text = _format_json(_statement(db, contribution))
        else:
            id = None if member is None else find_member(db, member).id
            report = reports.transparency(db, COMMAND_LINE, first, last, form=preset or format, member=id)
            text = _format_json(tco_report(report)) if preset else _format_report(report, format)
    _write(file, text)


def _statement(db: HashDB, id: int) -> Any:
    contribution = contributions.get(db, COMMAND_LINE, id)
    return statement_of_reasons(contribution.media, contribution.context, contribution.labels)


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
        raise BadSetting(str(file), f"cannot be written: {(error.strerror or 'unknown error').lower()}") from None
