"""Commands as a page writes them, held to what the command line takes; none is run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click

from hashdb.cli import hashdb

_BLOCK = re.compile(r"^```(?:bash|console)(?: run)?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_COMMAND = re.compile(r"(?:^|[\s(])hashdb( [a-z].*?)(?=\s*(?:[|)]|\d?>|$))")


def typed(page: str) -> Iterator[str]:
    """The words after `hashdb` of each command in the blocks of a page, as far as a pipe or a redirection."""
    for block in _BLOCK.findall(page):
        for line in block.replace("\\\n", " ").splitlines():
            if found := _COMMAND.search(line):
                yield found[1]


def named(page: str) -> list[str]:
    """The words after `hashdb` of each command within the sentences of a page."""
    return re.findall(r"`hashdb( [a-z][^`]*)`", page)


def fault(words: str, *, whole: bool) -> str | None:
    """Why a command cannot be given so, or None.

    Without `whole` it is only named: it may be a group, or lack what it needs, as long as it has the options.
    """
    command: click.Command = hashdb
    rest = shlex.split(words)
    while isinstance(command, click.Group) and rest:
        try:
            _, found, rest = command.resolve_command(click.Context(command), rest)
        except click.UsageError:
            return f"{rest[0]} is no command"
        assert found is not None
        command = found
    if isinstance(command, click.Group):
        return "is a group of commands" if whole else None
    return _given(command, rest) if whole else _unknown(command, rest)


def _unknown(command: click.Command, words: list[str]) -> str | None:
    known = {"--help"} | {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
    return next((f"{word} is no option" for word in words if word.startswith("--") and word not in known), None)


def _given(command: click.Command, words: list[str]) -> str | None:
    try:
        given, left, _ = command.make_parser(click.Context(command)).parse_args(words)
    except click.UsageError as error:
        return error.format_message()
    faults = [f"{word} is too many" for word in left]
    for one in command.params:
        values = _values(given.get(one.name or ""))
        if one.required and not values:
            faults.append(f"{one.name} is missing")
        if isinstance(one.type, click.Choice):
            faults += [f"{value} is no choice" for value in values if value not in one.type.choices]
    return "; ".join(faults) or None


def _values(given: object) -> list[object]:
    if isinstance(given, tuple | list):
        return list(given)
    return [given] if isinstance(given, str) else []
