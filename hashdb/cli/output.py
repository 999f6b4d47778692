"""Output of the commands: tables and sentences for people, one JSON document for programs, progress bars."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    # At run time, these imports would take a third of the start of a command that does not use them.
    from rich.console import Console

    from hashdb.domain.review.incidents import Proposal
    from hashdb.wire import PageModel, ResponseModel

_Item = TypeVar("_Item")
_BIDI_CONTROLS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that change the direction of the text around them."""

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
    """Print all items of a list: with `--json` as one page of the API, else as a table. An empty cell is None."""
    if as_json:
        print_json(model.of(items, len(items)))
    else:
        print_table(columns, (["" if cell is None else str(cell) for cell in cells(item)] for item in items))


def print_result(document: ResponseModel | Mapping[str, Any], sentence: str, as_json: bool) -> None:
    """Print the document with `--json`, else the sentence."""
    if as_json:
        print_json(document)
    else:
        click.echo(sentence)


@contextmanager
def print_json_array(wanted: bool) -> Iterator[Callable[[Mapping[str, object]], None]]:
    """A function that prints an element of a JSON array at once; the whole looks as `print_json` prints it.

    The array is closed even if the work fails. If it fails before the first element, nothing is printed.
    """
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
    if wanted:
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


def escape_unencodable() -> None:
    """Write a character that the stream cannot encode, as in a file name that is not UTF-8, as an escape."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def escape_controls(value: object) -> str:
    """A text, such as a file name, on one line: line ends and terminal control characters become escapes."""
    text = str(value)
    return text if text.isprintable() else "".join(map(_escape, text))


def _escape(character: str) -> str:
    is_control = character in _BIDI_CONTROLS or unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")
    return character.encode("unicode_escape").decode() if is_control else character


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under headings. A leading `>` in a heading aligns its column to the right."""
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column.lstrip(">"), justify="right" if column.startswith(">") else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console().print(table)


def console(*, err: bool = False) -> Console:
    """Standard output or error, as wide as the terminal, or 200 columns if it is not one. Markup is not interpreted."""
    from rich.console import Console

    out = Console(stderr=err, markup=False, highlight=False, emoji=False)
    return out if out.is_terminal else Console(stderr=err, markup=False, highlight=False, emoji=False, width=200)


def progress_bar(what: str, total: int) -> tuple[AbstractContextManager[object], Callable[..., None]]:
    """A progress bar on standard error, shown on a terminal only, and the function that advances it (by 1 or more)."""
    return _progress(what, total) if total > 1 else _NO_PROGRESS


def progress_counter(what: str) -> tuple[AbstractContextManager[object], Callable[..., None]]:
    """A progress counter for work of unknown size: how much is done, and how fast."""
    return _progress(what, None)


_NO_PROGRESS = nullcontext(), lambda count=1: None


def _progress(what: str, total: int | None) -> tuple[AbstractContextManager[object], Callable[..., None]]:
    if not sys.stderr.isatty():
        return _NO_PROGRESS
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

    rate = TextColumn("{task.fields[rate]}")
    columns = (
        (SpinnerColumn(), TextColumn("{task.description} {task.completed:,.0f} "), rate)
        if total is None
        else (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), rate, TimeRemainingColumn())
    )
    screen = Console(stderr=True)
    bar = Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal)
    task = bar.add_task(what, total=total, rate="")

    def advance(count: int = 1) -> None:
        speed = bar.tasks[0].speed
        bar.update(task, advance=count, rate=f"{speed:,.0f}/s" if speed else "")

    return bar, advance
