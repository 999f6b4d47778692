"""Output of the commands: tables and sentences for people, one JSON document for programs, progress bars."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from itertools import repeat, zip_longest
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hashdb.errors import BadNote, StoreBusy, os_reason

if TYPE_CHECKING:
    # At run time, these imports would take a third of the start of a command that does not use them.
    from hashdb.domain.review.proposals import Proposal
    from hashdb.wire import PageModel, ResponseModel

_Item = TypeVar("_Item")
_BIDI_CONTROLS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that change the direction of the text around them."""
_SQLITE_ERRORS = ("DatabaseError", "OperationalError")
"""The names of the errors of a damaged database, and of one that cannot be read or written."""

AddElement = Callable[[Mapping[str, object]], None]
"""Prints an element of a JSON array."""

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


def print_json(document: ResponseModel | Mapping[str, Any] | Sequence[Any]) -> None:
    """Print one JSON document on standard output. It is ASCII, so that any file name can be written and read."""
    if isinstance(document, Mapping | Sequence):
        click.echo(json.dumps(document, indent=1))
    else:
        click.echo(json.dumps(json.loads(document.json_text()), separators=(",", ":")))


def print_list(
    model: type[PageModel],
    items: Sequence[_Item],
    columns: Sequence[str],
    cells: Callable[[_Item], Sequence[object]],
    as_json: bool,
) -> None:
    """Print all items of a list: with `--json` as one page of the API, else as a table. An empty cell is None.

    A heading in `columns` that begins with `>` aligns its column to the right.
    """
    if as_json:
        print_json(model.from_rows(items, len(items)))
    else:
        print_table(columns, (["" if cell is None else str(cell) for cell in cells(item)] for item in items))


def print_result(document: ResponseModel | Mapping[str, Any], sentence: str, as_json: bool) -> None:
    """Print the document with `--json`, else the sentence."""
    if as_json:
        print_json(document)
    else:
        click.echo(sentence)


def write_text(file: Path, text: str) -> None:
    """Replace a file atomically: after a crash, it holds the old text or the new one. Raises BadNote.

    A device or a pipe, like /dev/null, is written to, and a link stays.
    """
    try:
        if file.exists() and not file.is_file():
            file.write_text(text, "utf-8")
            return
        # Not `Path.resolve`, which raises RuntimeError for links that lead in a circle.
        target = Path(os.path.realpath(file))
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as temporary:
                temporary.write(text)
            Path(name).replace(target)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise BadNote(f"{file} cannot be written: {os_reason(error)}") from None


@contextmanager
def print_json_array(as_json: bool) -> Iterator[AddElement | None]:
    """A function that prints an element of a JSON array at once, as `print_json` prints it; None without `--json`.

    The array is closed even if the work fails. If it fails before the first element, nothing is printed.
    """
    if not as_json:
        yield None
        return
    count = 0

    def add(element: Mapping[str, object]) -> None:
        nonlocal count
        text = json.dumps(element, indent=1).replace("\n", "\n ")
        click.echo(f"{',' if count else '['}\n {text}", nl=False)
        count += 1

    try:
        yield add
    except BaseException:
        if count:
            click.echo("\n]")
        raise
    click.echo("\n]" if count else "[]")


def print_proposal(proposal: Proposal, as_json: bool) -> None:
    """Print that a second person has to make the same request."""
    if as_json:
        from hashdb.wire.review import ProposalOut

        print_json(ProposalOut.from_domain(proposal))
    else:
        until = f"{proposal.expires_at:%Y-%m-%d %H:%M} UTC"
        click.echo(
            f"proposal {proposal.id}: a second person must make the same request by {until}; until then nothing changes"
        )


def prepare_streams() -> None:
    """Write what a stream cannot encode, as in a file name that is not UTF-8, as an escape; let no stream be closed."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        # A stream that was closed before the start is None.
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def describe(error: Exception) -> str:
    """The sentence of an error, with its notes; if SQLite has a reason other than a lock, that reason."""
    if isinstance(error, StoreBusy) and error.__cause__ is not None:
        sentence = describe_disk_error(error.__cause__)
        if sentence is not None and "locked" not in sentence:
            return sentence
    return "".join([str(error), *getattr(error, "__notes__", ())])


def describe_disk_error(error: BaseException) -> str | None:
    """The sentence of an error of a file or of SQLite, as with a full disk or a damaged database; None for another."""
    if isinstance(error, OSError):
        return f"{error.filename or 'a file or a connection'} cannot be used: {os_reason(error)}"
    # SQLAlchemy has the error of SQLite in `orig`. sqlite3 is not imported for its classes: few commands need it.
    of_driver = getattr(error, "orig", error)
    is_of_sqlite = type(of_driver).__module__ == "sqlite3" and type(of_driver).__name__ in _SQLITE_ERRORS
    return f"a database cannot be read or written: {of_driver}" if is_of_sqlite else None


def escape_controls(value: object) -> str:
    """A text, such as a file name, on one line: line ends and terminal control characters become escapes."""
    text = str(value)
    return text if text.isprintable() else "".join(map(_escape, text))


def _escape(character: str) -> str:
    is_control = character in _BIDI_CONTROLS or unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")
    return character.encode("unicode_escape").decode() if is_control else character


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under headings. A leading `>` in a heading aligns its column to the right.

    Where a terminal is too narrow, the cells of the widest column go on in further lines.
    """
    right = [column.startswith(">") for column in columns]
    lines = [[column.lstrip(">") for column in columns], *rows]
    widths = [max(map(_width, cells)) for cells in zip(*lines, strict=True)]
    widest = max(widths)
    line_width = get_terminal_size((_DEFAULT_WIDTH, 0)).columns if sys.stdout.isatty() else _DEFAULT_WIDTH
    room = line_width - len(_GAP) * (len(widths) - 1)
    widths[widths.index(widest)] = max(_LEAST_WIDTH, min(widest, room - sum(widths) + widest))
    for number, cells in enumerate(lines):
        for parts in zip_longest(*map(_wrap, cells, widths), fillvalue=""):
            padding = [" " * (width - _width(part)) for part, width in zip(parts, widths, strict=True)]
            line = _GAP.join(
                space + part if to_right else part + space
                for part, space, to_right in zip(parts, padding, right, strict=True)
            )
            click.echo(line.rstrip() if number else click.style(line.rstrip(), bold=True))


_DEFAULT_WIDTH, _LEAST_WIDTH, _GAP = 200, 10, "  "
"""The characters of a line that is not on a terminal, and of the narrowest column; and what is between columns."""


def _width(text: str) -> int:
    """How many columns of a terminal a text takes."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else not unicodedata.combining(char) for char in text)


def _wrap(text: str, width: int) -> list[str]:
    """The lines of a text in a column of a width."""
    lines = [""]
    for character in text:
        if _width(lines[-1] + character) > width:
            lines.append("")
        lines[-1] += character
    return lines


@contextmanager
def progress_bar(what: str, total: int | None = None) -> Iterator[Callable[..., None]]:
    """A progress bar on standard error, shown on a terminal only; yields the function that advances it (by 1 or more).

    Without a `total`, it is a counter: how much is done, and how fast.
    """
    if not sys.stderr.isatty() or total in (0, 1):
        yield lambda count=1: None
        return
    started, done = time.monotonic(), 0

    def advance(count: int = 1) -> None:
        nonlocal done
        done += count
        bar.update(count, done)

    def rate(done: int | None) -> str | None:
        return f"{done / max(time.monotonic() - started, 0.001):.0f}/s" if done else None

    with click.progressbar(
        None if total else repeat(0),
        total,
        what,
        bar_template="%(label)s  [%(bar)s]  %(info)s" if total else "%(label)s  %(info)s",
        show_pos=True,
        item_show_func=rate,
        update_min_steps=max(1, (total or 0) // 1_000),
        file=sys.stderr,
    ) as bar:
        yield advance


def counted(count: int, noun: str, plural: str = "") -> str:
    """A number of things, like `1 page` or `3 pages`; the `plural` is by default the noun with an s."""
    return f"{count} {noun if count == 1 else plural or f'{noun}s'}"
