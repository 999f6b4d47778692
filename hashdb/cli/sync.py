"""hashdb sync: keep a local copy of the list level with the service, to match without it."""

from __future__ import annotations

import time
from collections.abc import Callable

import click

from hashdb.cli.home import prepare_home
from hashdb.cli.output import as_json, counted, print_json
from hashdb.client import Client
from hashdb.errors import ServiceError, ServiceUnreachable, Unavailable
from hashdb.local import Sync, syncing
from hashdb.settings import Settings

_WAIT = 20
"""Seconds that a request of `--follow` waits for a change."""
_PAUSE, _LONGEST_PAUSE = 1.0, 60.0


@click.command("sync")
@click.option("--follow", is_flag=True, help="Go on for ever: a change is there within a second of being made.")
@as_json
def command(follow: bool, as_json: bool) -> None:
    """Bring the local copy level, from where it was. `hashdb match --local` reads it, also meanwhile."""
    if follow and as_json:
        raise click.UsageError("--follow does not end, so it prints no JSON document")
    started_over: list[str] = []

    def say(said: str) -> None:
        started_over.append(said)
        click.echo(f"hashdb: {said}", err=True)

    home = Settings.read().home
    prepare_home(home)
    folder = home / "local"
    with Client.from_environment() as client, syncing(folder, client, say=say) as sync:
        bar, advance = counted("syncing")
        with bar:
            changes = sync.catch_up(progress=advance)
        state, count = sync.state, sync.count()
        if as_json:
            said = {"checkpoint": state.seq, "epoch": state.epoch, "contributions": count, "changes": changes}
            print_json(said | {"started_over": bool(started_over)})
            return
        _tell(sync, changes)
        if follow:
            _follow(sync, lambda: _tell(sync, sync.catch_up(_WAIT), quiet=True))


def _follow(sync: Sync, once: Callable[[], None]) -> None:
    pause = _PAUSE
    while True:
        try:
            once()
            pause = _PAUSE
        except (ServiceUnreachable, ServiceError, Unavailable) as error:
            click.echo(f"hashdb: {error}; the copy stays at event {sync.state.seq:,}", err=True)
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)


def _tell(sync: Sync, changes: int, *, quiet: bool = False) -> None:
    if changes or not quiet:
        many = "1 change" if changes == 1 else f"{changes:,} changes"
        click.echo(f"level with event {sync.state.seq:,}: {many}, {sync.count():,} contributions")
