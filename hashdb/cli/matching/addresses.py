"""Addresses on the command line: the lists of `--urls`, and what a line is hashed to."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import TypeVar

import click

from hashdb.cli.contributions.files import UNDECODABLE
from hashdb.cli.matching.outcomes import Outcome, fail_all
from hashdb.cli.options import PATH
from hashdb.errors import HashDBError
from hashdb.hashing import Hashed
from hashdb.hashing.addresses import url_signals

_LINES_A_REQUEST = 1_000
_COMMENT = "#"
_ADDRESS = re.compile(r"h(tt|xx)ps?\W", re.IGNORECASE)
_Answer = TypeVar("_Answer")

urls_option = click.option(
    "--urls",
    type=PATH,
    help="Instead of PATHS: a list of addresses, one on each line; `-` is standard input. Their text is not sent.",
)


def check_sources(paths: tuple[Path, ...], urls: Path | None, *, only_for_files: Mapping[str, object]) -> None:
    """Raise UsageError unless there are either paths or a list of addresses, and no path is an address.

    `only_for_files` has the options that cannot be used with a list of addresses: their values by their names.
    """
    if urls is None and not paths:
        raise click.UsageError("Missing argument 'PATHS...', or --urls FILE")
    if any(_ADDRESS.match(str(path)) and not os.path.exists(path) for path in paths):
        raise click.UsageError("PATHS are files: write addresses into a list, and pass it with --urls")
    if urls is None:
        return
    if paths:
        raise click.UsageError("--urls replaces PATHS: run the command once for each")
    if given := [name for name, value in only_for_files.items() if value]:
        raise click.UsageError(f"--urls cannot be used with {given[0]}: an address is not a file")


def read_addresses(lines: Iterable[str], *, for_query: bool) -> Iterator[Outcome]:
    """The outcome of each address of a list, whose lines `open_list` returns.

    `for_query`: for a query, an address is also hashed without its parameters, unless one of them names the page.
    Empty lines, and lines that begin with `#`, are left out. A line that is no address is an outcome with an error,
    which does not have the line's text. Raises ExtraMissing.
    """
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.lstrip().startswith(_COMMENT):
            yield _outcome(number, line, for_query)


def send_addresses(
    lines: Iterable[str], send: Callable[[list[Outcome]], Sequence[_Answer | None]], *, for_query: bool
) -> Iterator[tuple[Outcome, _Answer | None]]:
    """The outcome of each address of a list, in order, with its answer or None; otherwise as `read_addresses`.

    `send` gets up to a thousand addresses at a time, and may replace them in its list by failed ones. If it raises
    HashDBError, these and all later addresses fail with that error, and nothing more is sent.
    """
    outcomes = read_addresses(lines, for_query=for_query)
    while batch := list(islice(outcomes, _LINES_A_REQUEST)):
        try:
            answers = send(batch)
        except HashDBError as error:
            yield from fail_all(chain(batch, outcomes), error)
            return
        yield from zip(batch, answers, strict=True)


def _outcome(number: int, line: str, for_query: bool) -> Outcome:
    name = Path(f"line {number}")
    if UNDECODABLE in line:
        return Outcome(name, error="is not text in UTF-8", line=number)
    try:
        signals = url_signals(line, for_query=for_query)
    except ValueError as error:
        return Outcome(name, error=str(error), line=number)
    return Outcome(name, Hashed(signals), line=number)
