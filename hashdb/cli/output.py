"""What the commands print: tables and sentences for people, one JSON document for programs."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    # At run time these cost a command that does not need them a third of its start.
    from rich.console import Console

    from hashdb.domain.review.incidents import Proposal
    from hashdb.wire import Answered

_BIDI_CONTROLS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""What changes the direction of the text around it."""

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


def print_json(document: Answered | Mapping[str, Any] | Sequence[Any]) -> None:
    """Print one JSON document on standard output, in ASCII: whatever a file is called, it can be written and read."""
    if isinstance(document, Mapping | Sequence):
        click.echo(json.dumps(document, indent=1))
    else:
        click.echo(json.dumps(json.loads(document.json_text()), separators=(",", ":")))


@contextmanager
def json_array(wanted: bool) -> Iterator[Callable[[Mapping[str, object]], None]]:
    """What adds an element to an array on standard output, at once; it is what `print_json` prints of the whole.

    The array is closed whatever ends the work. Of work that fails before the first element nothing is printed.
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
    """Tell that a second person has to ask for the same."""
    if as_json:
        from hashdb.wire.review import ProposalOut

        print_json(ProposalOut.from_domain(proposal))
    else:
        until = f"{proposal.expires_at:%Y-%m-%d %H:%M} UTC"
        click.echo(f"proposal {proposal.id}: nothing is done until a second person asks for the same, by {until}")


def print_anything() -> None:
    """Let a character that cannot be written, as of a file's name that is not UTF-8, be written as an escape."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def escaped(value: object) -> str:
    """A text, such as a file's name, on one line: what would end it, or move or colour a terminal, as an escape."""
    text = str(value)
    return text if text.isprintable() else "".join(map(_escape, text))


def _escape(character: str) -> str:
    is_control = character in _BIDI_CONTROLS or unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")
    return character.encode("unicode_escape").decode() if is_control else character


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under headings; numbers stand at the right by a leading `>` of their heading."""
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column.lstrip(">"), justify="right" if column.startswith(">") else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console().print(table)


def console(*, err: bool = False) -> Console:
    """Standard output or error: as wide as the terminal, 200 columns where it is none; text is printed as it is."""
    from rich.console import Console

    out = Console(stderr=err, markup=False, highlight=False, emoji=False)
    return out if out.is_terminal else Console(stderr=err, markup=False, highlight=False, emoji=False, width=200)


def tracked(what: str, total: int) -> tuple[AbstractContextManager[object], Callable[..., None]]:
    """A progress bar on standard error, shown on a terminal only, and what moves it on by one, or by a number."""
    if total < 2 or not sys.stderr.isatty():
        return nullcontext(), lambda count=1: None
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    screen = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=screen,
        transient=True,
        disable=not screen.is_terminal,
    )
    task = bar.add_task(what, total=total, rate="")

    def advance(count: int = 1) -> None:
        speed = bar.tasks[0].speed
        bar.update(task, advance=count, rate=f"{speed:.0f}/s" if speed else "")

    return bar, advance


def counted(what: str) -> tuple[AbstractContextManager[object], Callable[[int], None]]:
    """The same for work whose end is not known: how much is done, and how fast."""
    if not sys.stderr.isatty():
        return nullcontext(), lambda count: None
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn

    screen = Console(stderr=True)
    columns = SpinnerColumn(), TextColumn("{task.description} {task.completed:,.0f}  {task.fields[rate]}")
    bar = Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal)
    task = bar.add_task(what, total=None, rate="")

    def advance(count: int) -> None:
        speed = bar.tasks[0].speed
        bar.update(task, advance=count, rate=f"{speed:,.0f}/s" if speed else "")

    return bar, advance
