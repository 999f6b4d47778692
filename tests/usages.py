"""Compares the commands that a page shows with the command line. It runs none of them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click

from hashdb.cli import hashdb

_BLOCK = re.compile(r"^```(?:bash|console)(?: run)?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_COMMAND = re.compile(r"(?:^|[\s(])hashdb( [a-z].*?)(?=\s*(?:[|)]|\d?>|$))")


def commands_in_blocks(page: str) -> Iterator[str]:
    """The words after `hashdb` of each command in the code blocks of a page, up to a pipe or a redirection."""
    for block in _BLOCK.findall(page):
        for line in block.replace("\\\n", " ").splitlines():
            if match := _COMMAND.search(line):
                yield match[1]


def commands_in_text(page: str) -> list[str]:
    """The words after `hashdb` of each command in the text of a page."""
    return re.findall(r"`hashdb( [a-z][^`]*)`", page)


def usage_error(words: str, *, whole: bool) -> str | None:
    """Why the command line would reject these words, or None.

    Without `whole`, the words only name a command: it may be a group, or lack arguments, but must have the options.
    """
    command: click.Command = hashdb
    rest = shlex.split(words)
    while isinstance(command, click.Group) and rest:
        try:
            _, subcommand, rest = command.resolve_command(click.Context(command), rest)
        except click.UsageError:
            return f"{rest[0]} is no command"
        assert subcommand is not None
        command = subcommand
    if isinstance(command, click.Group):
        return "is a group of commands" if whole else None
    return _parse_error(command, rest) if whole else _unknown_option(command, rest)


def _unknown_option(command: click.Command, words: list[str]) -> str | None:
    known = {"--help"} | {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    return next((f"{word} is no option" for word in words if word.startswith("--") and word not in known), None)


def _parse_error(command: click.Command, words: list[str]) -> str | None:
    try:
        values_by_name, left, _ = command.make_parser(click.Context(command)).parse_args(words)
    except click.UsageError as error:
        return error.format_message()
    faults = [f"{word} is too many" for word in left]
    for parameter in command.params:
        values = _values(values_by_name.get(parameter.name or ""))
        if parameter.required and not values:
            faults.append(f"{parameter.name} is missing")
        if isinstance(parameter.type, click.Choice):
            faults += [f"{value} is no choice" for value in values if value not in parameter.type.choices]
    return "; ".join(faults) or None


def _values(value: object) -> list[object]:
    if isinstance(value, tuple | list):
        return list(value)
    return [value] if isinstance(value, str) else []
