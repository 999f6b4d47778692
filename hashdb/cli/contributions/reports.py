"""The report of an import: each faulty row, the kinds of faults, and the first rows as they will be stored."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import click

from hashdb.cli.contributions.columns import FIELDS, Columns, quote_name
from hashdb.cli.contributions.exports import to_row, without_empty
from hashdb.cli.output import counted, escape_controls, print_json, print_table
from hashdb.domain.contributions import Draft
from hashdb.errors import MAX_FAULTS, Fault

FIRST_ROWS = 5
"""How many rows a dry run shows."""
_FIRST_LINES = 5
_KINDS = 50
"""How many kinds of faults are distinguished. A list may have another unknown label in every row."""
_DIGITS_SHOWN = 8


@dataclass(slots=True)
class Kind:
    """A kind of fault: its first one, in how many rows it is, and the first lines of these rows."""

    first: Fault
    rows: int = 0
    lines: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Report:
    """The result of the rows so far. `faulty` counts rows, not faults."""

    name: str
    as_json: bool
    dry_run: bool
    columns: Columns
    rows: int = 0
    contributed: int = 0
    known: int = 0
    faulty: int = 0
    is_refused: bool = False
    """Whether the list itself has a fault, so that no row is imported."""
    labelled: int = 0
    """Rows without labels, which get those of the command line."""
    first: dict[int, Draft] = field(default_factory=dict)
    """The first good rows, by line."""
    faults: list[dict[str, object]] = field(default_factory=list)
    """The first faults, in JSON."""
    fault_count: int = 0
    kinds: dict[tuple[str, str], Kind] = field(default_factory=dict)
    """The kinds of faults, by field and reason: see `_kind`."""
    others: int = 0
    """Rows with faults of further kinds."""

    def refuse(self, line: int, *faults: Fault) -> None:
        """Report a faulty row by its line. The row itself is never printed: it contains a hash."""
        self.faulty += 1
        for kind, fault in {_kind(fault): fault for fault in faults}.items():
            self._count(line, kind, fault)
        for fault in faults:
            self._add(line, fault, is_printed=not self.dry_run)

    def refuse_list(self, line: int, *faults: Fault) -> None:
        """Report faults of the list: nothing of it is imported."""
        self.is_refused = True
        for fault in faults:
            self._add(line, fault, is_printed=True)

    def accept(self, line: int, draft: Draft) -> None:
        """Report a good row: the first ones are kept."""
        if len(self.first) < FIRST_ROWS:
            self.first[line] = draft

    def print(self) -> None:
        """Print the result on standard output."""
        if self.as_json:
            self._print_json()
            return
        if self.dry_run:
            self._print_rows()
            self._print_kinds()
        if self.is_refused and not self.rows:
            click.echo(f"{escape_controls(self.name)}: no row was read; nothing was stored")
            return
        counts = {"contributed": self.contributed, "known": self.known, "faulty": self.faulty}
        parts = [counted(self.rows, "row")]
        if self.dry_run:
            parts.append(f"{self.rows - self.faulty} good")
        parts += [f"{count} {name}" for name, count in counts.items() if count or name == "faulty"]
        stored = self.contributed or self.known
        click.echo(f"{escape_controls(self.name)}: {', '.join(parts)}{'' if stored else '; nothing was stored'}")

    def print_unused(self) -> None:
        """Name the columns that are left out, on standard error."""
        if self.columns.unused and not self.as_json:
            listed = ", ".join(map(quote_name, self.columns.unused))
            click.echo(escape_controls(f"{self.name}: not used: {listed}"), err=True)

    def _add(self, line: int, fault: Fault, *, is_printed: bool) -> None:
        self.fault_count += 1
        if self.as_json and len(self.faults) < MAX_FAULTS:
            self.faults.append({"line": line, "at": fault.at, "reason": fault.reason})
        if is_printed and not self.as_json:
            click.echo(escape_controls(f"{self.name}:{line}: {fault}"), err=True)

    def _count(self, line: int, key: tuple[str, str], fault: Fault) -> None:
        """Count a row with a fault of the kind with this key."""
        if key not in self.kinds and len(self.kinds) == _KINDS:
            self.others += 1
            return
        kind = self.kinds.setdefault(key, Kind(fault))
        kind.rows += 1
        if len(kind.lines) < _FIRST_LINES:
            kind.lines.append(line)

    def _print_rows(self) -> None:
        read_as = self.columns.used | dict.fromkeys(self.columns.unused, "not used")
        if any(name != ours for name, ours in read_as.items()):
            print_table(("column", "read as"), [(escape_controls(name), ours) for name, ours in read_as.items()])
            click.echo()
        if not self.first:
            return
        rows = {line: to_row(draft) for line, draft in self.first.items()}
        names = [name for name in FIELDS if any(name in without_empty(row) for row in rows.values())]
        print_table(
            (">line", *names), ([str(line), *(_cell(row[name]) for name in names)] for line, row in rows.items())
        )
        if len(rows) < self.rows - self.faulty:
            click.echo(f"These are the first {len(rows)} good rows, as they will be stored.")
        if self.labelled:
            click.echo(f"{counted(self.labelled, 'row')} without labels will have those of --label.")
        click.echo()

    def _print_kinds(self) -> None:
        if not self.kinds:
            return
        lines = ((counted(kind.rows, "row"), _lines(kind), escape_controls(kind.first)) for kind in self.kinds.values())
        print_table((">faulty", "lines", "fault"), lines)
        if self.others:
            click.echo(f"{counted(self.others, 'row')} with faults of other kinds")
        click.echo()

    def _print_json(self) -> None:
        document: dict[str, object] = {
            "rows": self.rows,
            "contributed": self.contributed,
            "known": self.known,
            "faulty": self.faulty,
            "dry_run": self.dry_run,
            "columns": dict(self.columns.used),
            "unused": list(self.columns.unused),
            "faults": self.faults,
        }
        if self.dry_run:
            document["labelled"] = self.labelled
            document["first"] = [{"line": line, **without_empty(to_row(draft))} for line, draft in self.first.items()]
            document["kinds"] = [
                {"at": kind.first.at, "reason": kind.first.reason, "rows": kind.rows, "lines": kind.lines}
                for kind in self.kinds.values()
            ]
        if self.fault_count > len(self.faults):
            document["omitted"] = self.fault_count - len(self.faults)
        print_json(document)


def _kind(fault: Fault) -> tuple[str, str]:
    """The kind of a fault, by which rows are counted: the field without positions, and the reason without numbers."""
    return re.sub(r"\[\d+\]", "", fault.at), re.sub(r"\d+", "0", fault.reason)


def _lines(kind: Kind) -> str:
    return ", ".join(map(str, kind.lines)) + (", …" if kind.rows > len(kind.lines) else "")


def _cell(value: object) -> str:
    """A value on a screen: of a hash its first digits, of frames their number."""
    if isinstance(value, list):
        if value and isinstance(value[0], dict):
            return counted(len(value), "frame")
        return " ".join(re.sub(rf"(:[0-9a-f]{{{_DIGITS_SHOWN}}})[0-9a-f]+", r"\1…", text) for text in map(str, value))
    return "" if value is None else escape_controls(value)
