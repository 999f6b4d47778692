"""hashdb status: which service, key and home are in use, where each is set, and whether they work."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

import click

from hashdb.cli.help import Command
from hashdb.cli.matching.formats import format_age
from hashdb.cli.output import as_json, describe, escape_controls, print_json
from hashdb.configuration import Configuration
from hashdb.errors import HashDBError, NoCopy

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class _Row:
    """One thing that the commands of a member use: its value, the setting that it is from, or what is wrong with it."""

    name: str
    value: str = ""
    setting: str = ""
    error: str = ""

    def __str__(self) -> str:
        setting = f"  ({self.setting})" * bool(self.setting)
        return f"{self.name:<9}{'error: ' * bool(self.error)}{self.error or self.value}{setting}"


@click.command("status", cls=Command, examples=("hashdb status",))
@as_json
def status_command(as_json: bool) -> int:
    """Show the service, key and home in use, and whether they work.

    The command says where each is set. It never shows the secret of the key.
    Exits 1 if a setting is wrong, or the service does not answer to the key.
    """
    rows = list(_check(Configuration.read()))
    if as_json:
        print_json([asdict(row) for row in rows])
    else:
        for row in rows:
            click.echo(escape_controls(row))
    return 1 if any(row.error for row in rows) else 0


def _check(configuration: Configuration) -> Iterator[_Row]:
    yield _Row("file", f"{configuration.file}{'' if os.path.exists(configuration.file) else ', which is not there'}")
    url = _row_or_error("address", lambda: _address(configuration))
    key = _row_or_error("key", lambda: _key(configuration))
    yield from (url, key)
    yield _row_or_error("service", _ask) if not url.error and not key.error else _Row("service", "not asked")
    yield _Row("home", configuration.home.value, configuration.home.setting)
    yield _row_or_error("copy", _copy)


def _row_or_error(name: str, make: Callable[[], _Row]) -> _Row:
    try:
        return make()
    except HashDBError as error:
        return _Row(name, error=describe(error))


def _address(configuration: Configuration) -> _Row:
    url = configuration.url
    parts = urlsplit(url.value)
    is_readable = parts.scheme == "http" and parts.hostname not in _LOOPBACK
    return _Row("address", f"{url.value}{', without TLS: others can read the key' * is_readable}", url.setting)


def _key(configuration: Configuration) -> _Row:
    key = configuration.key()
    if not key.value:
        return _Row("key", "none; a socket needs none")
    # HASHDB_KEY takes precedence over HASHDB_KEY_FILE.
    hides = key.setting == "HASHDB_KEY" and os.environ.get("HASHDB_KEY_FILE")
    return _Row("key", "set", f"{key.setting}; HASHDB_KEY_FILE is not used" if hides else key.setting)


def _ask() -> _Row:
    from hashdb.client import Client

    with Client.from_environment() as client:
        me = client.me()
    scopes = " ".join(me.key.scopes)
    return _Row("service", f"answers {me.member.name}, key {me.key.id} ({scopes}), version {me.version}")


def _copy() -> _Row:
    from hashdb.local import LocalIndex

    try:
        with LocalIndex.from_environment() as copy:
            return _Row("copy", f"{format_age(copy.age)} old (event {copy.checkpoint})")
    except NoCopy:
        return _Row("copy", "none; `hashdb sync` makes one")
